"""Which slow statements are explained, when, and what is told of them.

The program's thread leaves a slow call in a short queue; the background thread decides; a thread that lives as long as
there is something to ask does the asking, one statement at a time. A statement is asked about once an hour, a few
are in a minute, and a database that does not answer is left alone for five minutes.
"""

from __future__ import annotations

import re
from _thread import allocate_lock
from collections import deque
from time import monotonic, sleep

from perfagent.data.indexes.placeholders import bare
from perfagent.explain import sessions
from perfagent.explain.node import Plan, UnexplainedError
from perfagent.runtime import callers, companions, guard, repeats, transactions
from perfagent.runtime.context import current
from perfagent.runtime.notices import notice
from perfagent.runtime.span import CLIENT, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.explain.sessions import Address, Session
    from perfagent.runtime.db import QuerySpan
    from perfagent.runtime.pipeline import Payload, Pipeline

KIND = "query.plan"
WAITING = 64  # slow calls that the background thread has not looked at
JOBS = 8  # statements that are to be explained
MOST = 200  # statements that are remembered
LOOKS = 60  # addresses that are read in a minute
LEFT_ALONE = 300.0  # seconds
LONGEST = 8.0  # seconds that one database may take for everything
LAST_WAIT = 0.5  # seconds at the end of the process for a plan that is under way
LONGEST_TEXT = 16_384  # characters of a statement
PLANNERS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}
DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pymysql", "MySQLdb", "sqlite3")
_EXPLAINED = re.compile(r"[\s(]*(?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|VALUES|TABLE|MERGE)\b", re.IGNORECASE)
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


class Slow(companions.Companion):
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
        self.known: dict[str, Known] = {}
        self.reset()

    def reset(self) -> None:
        """In a forked child: what waits is the parent's business."""
        self.seen: deque[tuple[QuerySpan, Address | None]] = deque()
        self.jobs: deque[tuple[QuerySpan, str, Address, Known]] = deque()
        self.running = False
        self.refused: dict[tuple[object, ...], float] = {}
        self._switch = allocate_lock()
        self._session: Session | None = None
        self._began = 0.0
        self._minute, self._left, self._looks = 0.0, self.a_minute, LOOKS

    def note(self, span: QuerySpan) -> None:
        """In the program's thread, at the end of a slow call: keeps it, with the way to its database where needed."""
        try:
            if len(self.seen) >= WAITING:
                return
            query, address = span.query, None
            known = self.known.get(query) if type(query) is str else None
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
        if self.running and self._session is not None and now - self._began > LONGEST:
            self._session.cut()
        while self.seen:
            self._look(*self.seen.popleft(), now)
        if self.jobs:
            self._start()
        return []

    def _look(self, span: QuerySpan, address: Address | None, now: float) -> None:
        query = span.query
        text = query() if callable(query) else query
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            return
        known = self.known.get(text)
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
        known = self.known[text] = Known(now + self.interval)
        self.jobs.append((span, text, address, known))

    def _start(self) -> None:
        with self._switch:
            if self.running:
                return
            self.running = True
        try:
            companions.start_thread(self._run)
        except RuntimeError:  # no thread to be had
            self.running = False

    def _run(self) -> None:
        # Where a call to a database is under way, the instruments of drivers take what is below for a part of it.
        current.set(Span(_scope, "explain", CLIENT, None))
        while True:
            with self._switch:
                if not self.jobs:
                    self.running = False
                    return
                span, text, address, known = self.jobs.popleft()
            try:
                known.told = self._ask(span, text, address)
                _tell(span, known.told)
            except Exception:
                guard.failed("explain")

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
            return {**told, "perfagent.query.plan.failure": f"no connection: {_reason(error)}"}
        try:
            planner = __import__(f"perfagent.explain.{PLANNERS[system]}", fromlist=["Planner"]).Planner(session)
            # Without its first comments: some are code for MySQL, which must not come before EXPLAIN.
            return {**told, **_attributes(planner.plan(bare(text).rstrip("; \n")))}
        except UnexplainedError as error:
            return {**told, "perfagent.query.plan.failure": str(error)}
        except Exception as error:
            if not _is_of_driver(error):
                raise
            return {**told, "perfagent.query.plan.failure": _reason(error)}
        finally:
            self._session = None
            try:
                session.close()
            except Exception as error:  # it is gone already
                del error

    def stop(self) -> None:
        """At the end of the process: a plan that is under way has half a second more."""
        self.jobs.clear()
        until = monotonic() + LAST_WAIT
        while self.running and monotonic() < until:
            sleep(0.01)
        if self.running and self._session is not None:
            self._session.cut()


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
