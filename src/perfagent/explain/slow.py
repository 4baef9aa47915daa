"""Which slow statements are explained, when, and what is told of them.

The program's thread leaves a slow call in a short queue; the background thread decides; a thread that lives as long as
there is something to ask does the asking, one statement at a time. A statement is asked about once an hour, a few
are in a minute, and a database that does not answer is left alone for five minutes.
"""

from __future__ import annotations

import re
from collections import deque

from perfagent.data.indexes.placeholders import bare
from perfagent.explain import moves, sessions
from perfagent.explain.node import Plan, UnexplainedError
from perfagent.runtime import callers, companions, guard, repeats, transactions
from perfagent.runtime.clock import monotonic
from perfagent.runtime.context import current
from perfagent.runtime.notices import notice
from perfagent.runtime.span import CLIENT, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType

    from perfagent.explain.sessions import Address, Session
    from perfagent.runtime.db import Database, QuerySpan
    from perfagent.runtime.pipeline import Payload, Pipeline

    Job = tuple[QuerySpan, str, Address, "Known"]

KIND = "query.plan"
WAITING = 64  # slow calls that the background thread has not looked at
JOBS = 8  # statements that are to be explained
MOST = 200  # statements that are remembered
LOOKS = 60  # addresses that are read in a minute
LEFT_ALONE = 300.0  # seconds
LONGEST = 8.0  # seconds that one database may take for everything
LONGEST_TEXT = 16_384  # characters of a statement
PLANNERS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}
DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pymysql", "MySQLdb", "sqlite3")
_EXPLAINED = re.compile(r"[\s(]*(?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|VALUES|TABLE|MERGE)\b", re.IGNORECASE)
FAILURE = "perfagent.query.plan.failure"
_scope = Scope("perfagent.explain")


class Known:
    """A statement that was slow before.

    Args:
        due: when it may be asked about again, by the monotonic clock.
    """

    __slots__ = ("due", "told")

    def __init__(self, due: float) -> None:
        self.due = due
        self.told: dict[str, object] = {}
        """Of its plan; empty while there is none."""


class Slow(companions.Worker):
    """The slow statements of this process.

    Args:
        least: ns that a statement takes that is explained.
        a_minute: how many are, at most.
        interval: seconds after which the same one is again.
    """

    def __init__(self, least: int, a_minute: int, interval: float) -> None:
        self.least = least
        self.a_minute = a_minute
        self.interval = interval
        self.known: dict[tuple[Database, int, str], Known] = {}
        """By the database and what it was told to mean: the same text has another plan in another one."""
        super().__init__()

    def reset(self) -> None:
        """In a forked child: what waits is the parent's business."""
        super().reset()
        self.seen: deque[tuple[QuerySpan, Address | None]] = deque()
        self.jobs: deque[Job] = deque()
        self.refused: dict[tuple[object, ...], float] = {}
        self._session: Session | None = None
        self._began = 0.0
        self._minute, self._left, self._looks = 0.0, self.a_minute, LOOKS

    def note(self, span: QuerySpan) -> None:
        """In the program's thread, at the end of a slow call: keeps it, with the way to its database where needed."""
        try:
            if len(self.seen) >= WAITING:
                return
            query, address = span.query, None
            known = self.known.get(_key(span, query)) if type(query) is str else None
            if (known is None or monotonic() >= known.due) and self._looks > 0:
                self._looks -= 1
                address = _address(span)
            self.seen.append((span, address))
        except Exception:
            guard.failed("explain")

    def tell(self, pipeline: Pipeline) -> list[Payload]:
        """In the background thread: has the new ones explained, and tells again what is known of the others."""
        now = monotonic()
        if now >= self._minute + 60:
            self._minute, self._left, self._looks = now, self.a_minute, LOOKS
        if now - self._began > LONGEST:
            self._cut()
        while self.seen:
            self._look(*self.seen.popleft(), now)
        if self.jobs and not pipeline.stopping:  # nobody would hear of what is told after that
            self.start()
        return []

    def _look(self, span: QuerySpan, address: Address | None, now: float) -> None:
        query = span.query
        text = query() if callable(query) else query
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            return
        key = _key(span, text)
        known = self.known.get(key)
        if known is not None and now < known.due:
            if known.told:
                _tell(span, known.told)
            return
        if address is None or not self._left or len(self.jobs) >= JOBS or now < self.refused.get(address.key, 0.0):
            return
        if str(span.database.attributes["db.system.name"]) not in PLANNERS or not _EXPLAINED.match(bare(text)):
            return
        self._left -= 1
        while len(self.known) >= MOST:
            del self.known[next(iter(self.known))]
        known = self.known[key] = Known(now + self.interval)
        self.jobs.append((span, text, address, known))

    def _is_wanted(self) -> bool:
        return bool(self.jobs)

    def _work(self, wake: LockType) -> None:
        # Where a call to a database is under way, the instruments of drivers take what is below for a part of it.
        current.set(Span(_scope, "explain", CLIENT, None))
        while not self._is_over():
            job = self.jobs.popleft()
            span, text, address, known = job
            try:
                told = self._ask(span, text, address)
                if self._halted and FAILURE in told:  # it was cut off by a fork
                    self.jobs.appendleft(job)
                    continue
                known.told = told
                _tell(span, told)
            except Exception:
                guard.failed("explain")

    def halt(self) -> int:
        """Before a fork: what is under way is cut off, and asked again; see Companion."""
        self._halted = True
        self._cut()
        return super().halt()

    def _cut(self) -> None:
        session = self._session
        if session is not None:
            session.cut()

    def _ask(self, span: QuerySpan, text: str, address: Address) -> dict[str, object]:
        system = str(span.database.attributes["db.system.name"])
        told: dict[str, object] = {"db.system.name": system, "db.query.text": span.summary()}
        self._began = monotonic()
        try:
            session = self._session = sessions.opened(address)
        except Exception as error:
            if not _is_of_driver(error):
                raise
            self.refused[address.key] = monotonic() + LEFT_ALONE
            return {**told, FAILURE: f"no connection: {_reason(error)}"}
        try:
            before = moves.before(span.database)
            planner = __import__(f"perfagent.explain.{PLANNERS[system]}", fromlist=["Planner"]).Planner(session, before)
            # Without its first comments: some are code for MySQL, which must not come before EXPLAIN.
            return {**told, **_attributes(planner.plan(bare(text).rstrip("; \n")))}
        except UnexplainedError as error:
            return {**told, FAILURE: str(error)}
        except Exception as error:
            if not _is_of_driver(error):
                raise
            return {**told, FAILURE: _reason(error)}
        finally:
            self._session = None
            try:
                session.close()
            except Exception as error:  # it is gone already
                del error


def _key(span: QuerySpan, text: str) -> tuple[Database, int, str]:
    return span.database, moves.count(span.database), text


def _address(span: QuerySpan) -> Address | None:
    """Where a call went, by the connection that ran it last."""
    for one in list(transactions.asked.values()):
        if one.span is span:
            connection = one.connection()
            return None if connection is None else sessions.address_of(connection)
    return None


def _tell(span: QuerySpan, told: dict[str, object]) -> None:
    place = callers.attributes(span.caller) if span.caller is not None else {}
    took = (span.ended - span.started) / 1e9
    text = str(told["db.query.text"])
    notice(
        KIND,
        f"{told['db.system.name']} {text[:200]}",
        f"The plan of a slow statement: {told.get('perfagent.query.plan.mark') or text[:200]}",
        {**told, **place, "perfagent.query.plan.seconds": took, **repeats.endpoint(span)},
        span,
    )


def _attributes(plan: Plan) -> dict[str, object]:
    told: dict[str, object] = {"perfagent.query.plan.tree": plan.root.as_json()}
    marked = plan.marked()
    if marked is not None:
        told["perfagent.query.plan.mark"] = marked.mark
    if plan.root.cost is not None:
        told["perfagent.query.plan.cost"] = plan.root.cost
    if plan.note:
        told["perfagent.query.plan.note"] = plan.note
    advice = plan.advice
    if advice is not None:
        told.update({
            "perfagent.query.plan.index": advice.ddl,
            "perfagent.query.plan.index.table": advice.table,
            "perfagent.query.plan.index.before": advice.before,
            "perfagent.query.plan.index.after": advice.after,
            "perfagent.query.plan.index.bytes": advice.size,
        })  # fmt: skip
    return told


def _is_of_driver(error: Exception) -> bool:
    """Whether a database, or the way to it, is the reason."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(modules.intersection(DRIVERS))


def _reason(error: Exception) -> str:
    """An error by its kind alone: a message may quote values."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else ""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or number
    return f"{type(error).__name__} {code}".rstrip()
