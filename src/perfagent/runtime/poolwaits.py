"""Who waits for a connection or a worker of a pool, for how long, and at which line of the program.

The one place that all pools tell: what a request waited is part of its time (`timeparts`), and the background thread
adds up what all of them waited and tells of the pools that many wait for. Who gets a connection at once pays nothing
here; who has waited a millisecond pays 2 us.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from sys import _getframe

from perfagent.runtime import callers, guard, outbox
from perfagent.runtime.clock import monotonic
from perfagent.runtime.context import current
from perfagent.runtime.notices import notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    from perfagent.runtime.callers import Caller
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.span import Span

BRIEF = 200_000  # ns; a pool that answers within this was not waited for
LONG = 1_000_000  # ns; shorter waits are nobody's trouble
MOST = 10_000  # waits between two looks of the background thread
POOLS = 200
ENOUGH = 250_000_000  # ns that requests wait within a minute, all together, before it is told
REQUESTS = 3  # that wait
KEPT = 1000  # waits of a pool until requests are added up: who waits again after that counts as another one
A_MINUTE = 60.0
PATIENCE = 5.0  # seconds that the first word of a pool of workers waits for what keeps them
WRAPPED = 8  # functions around a function that are looked through
GIVEN = ("function", "func", "fn", "call")  # the names by which libraries hand a function on

THREADS = frozenset(("anyio", "concurrent.futures"))
"""Pools of workers: what keeps them is known, for it is what they were given to do."""

of_request: Callable[[int, int], None] | None = None
"""Told what the current request has waited, begin and end by `clock.now`, while requests are timed by parts."""
_waits: deque[tuple[Pool, int, int, Caller | None, Any]] = deque(maxlen=MOST)
_held: deque[tuple[Pool, CodeType, int]] = deque(maxlen=MOST)
_refused: deque[tuple[Pool, str, Caller | None, Any]] = deque(maxlen=MOST)
_tallies: dict[tuple[str, str], Tally] = {}


class Pool:
    """What is waited for.

    Args:
        library: whose pool it is, such as "sqlalchemy".
        name: the pool's.
        most: how many it has at most; 0 where nobody knows.
    """

    __slots__ = ("library", "most", "name")

    def __init__(self, library: str, name: str, most: int = 0) -> None:
        self.library = library
        self.name = name
        self.most = most


def waited(pool: Pool, began: int, ended: int) -> None:
    """The current request has waited for a connection, by `clock.now`."""
    if ended - began < BRIEF:
        return
    try:
        if of_request is not None:
            of_request(began, ended)
        if ended - began >= LONG:
            note(pool, began, ended, _place(_getframe(1)), current.get())
    except Exception:
        guard.failed("pools")


def note(pool: Pool, began: int, ended: int, place: Caller | None, span: Span | RemoteContext | None) -> None:
    """Keeps a wait for the background thread; the span is the one that was current."""
    _connect()
    _waits.append((pool, began, ended, place, span))


def held(pool: Pool, work: Any, duration: int) -> None:
    """A worker was kept for so long by a function."""
    code = code_of(work)
    if code is not None:
        _held.append((pool, code, duration))


def refused(pool: Pool, how: str) -> None:
    """The current request has got no connection: the pool was empty, or the time to wait was over.

    Args:
        pool: which one.
        how: "refused", "timed out" or "discarded", where a connection was thrown away because the pool was full.
    """
    _connect()
    _refused.append((pool, how, _place(_getframe(1)), current.get()))


def _connect() -> None:
    if tell not in outbox.sources:
        outbox.sources.insert(0, tell)  # before the one that sends log records


def code_of(work: Any, depth: int = WRAPPED) -> CodeType | None:
    """The code of a function of the program's, below what libraries put around it; None where there is none."""
    kind = type(work).__name__
    if depth == 0:
        return None
    if kind == "partial":  # of the function itself, or of what calls one that it is given
        given = (work.func, *work.args[:2], *(work.keywords[name] for name in GIVEN if name in work.keywords))
        return next((found for one in given if (found := code_of(one, depth - 1)) is not None), None)
    if kind == "method":
        return code_of(work.__func__, depth - 1)
    if kind in ("Carried", "Queued"):
        return code_of(work.work, depth - 1)
    if kind != "function":
        return None
    code: CodeType = work.__code__
    if callers.whose(code.co_filename) != callers.NOT_OWN:
        return code
    return code_of(vars(work).get("__wrapped__"), depth - 1)


def _place(frame: FrameType | None) -> Caller | None:
    place = callers.nearest(frame)
    if place is None and "greenlet" in sys.modules:  # SQLAlchemy asks asynchronous drivers in one
        above = sys.modules["greenlet"].getcurrent().parent
        place = None if above is None else callers.nearest(above.gr_frame)
    return place


# The background thread's side.


class Tally:
    """What was waited for one pool since it was told last."""

    __slots__ = (
        "held", "kept", "longest", "over", "past", "places", "pool", "refused", "requests", "since", "span",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.since = monotonic()
        self.requests: dict[bytes, list[tuple[int, int]]] = {}
        """When each waited, by its trace; of those that were not added up yet."""
        self.kept = self.over = self.past = 0
        """Waits that `requests` has; how many requests were added up before, and what these waited."""
        self.longest = 0
        self.span: Any = None
        """That waited longest."""
        self.places: dict[tuple[CodeType, int], int] = {}
        self.held: dict[CodeType, int] = {}
        self.refused: dict[str, int] = {}

    def add(self, began: int, ended: int, trace: bytes) -> None:
        """A request has waited."""
        if self.kept >= KEPT:
            self.over, self.past = self.sums()
            self.requests.clear()
            self.kept = 0
        self.kept += 1
        self.requests.setdefault(trace, []).append((began, ended))

    def sums(self) -> tuple[int, int]:
        """How many requests have waited, and how long."""
        from perfagent.runtime.timeparts.parts import union

        return self.over + len(self.requests), self.past + sum(map(union, self.requests.values()))


def tell(pipeline: Pipeline) -> list[Payload]:
    """Adds up the waits since the last time and tells of pools that many wait for; a source with nothing to send."""
    while _waits:
        pool, began, ended, place, span = _waits.popleft()
        tally = _tally(pool)
        tally.add(began, ended, b"" if span is None else span.trace_id)
        if place is not None:
            key = place[0], place[1]
            tally.places[key] = tally.places.get(key, 0) + ended - began
        if ended - began > tally.longest:
            tally.longest, tally.span = ended - began, span
    while _held:
        pool, code, duration = _held.popleft()
        tally = _tally(pool)
        tally.held[code] = tally.held.get(code, 0) + duration
    while _refused:
        pool, how, place, span = _refused.popleft()
        tally = _tally(pool)
        tally.refused[how] = tally.refused.get(how, 0) + 1
        if place is not None:
            key = place[0], place[1]
            tally.places[key] = tally.places.get(key, 0) + LONG
        if tally.span is None:
            tally.span = span
    now = monotonic()
    for key, tally in _tallies.copy().items():
        if _tell(tally, now) or now - tally.since > A_MINUTE:
            _tallies.pop(key, None)
    return []


def _tally(pool: Pool) -> Tally:
    key = pool.library, pool.name
    found = _tallies.get(key)
    if found is None:
        if len(_tallies) >= POOLS:
            _tallies.clear()
        found = _tallies[key] = Tally(pool)
    return found


def _tell(tally: Tally, now: float) -> bool:
    """Tells of a pool where that is worth it; returns whether it did."""
    from perfagent.runtime.repeats import endpoint

    requests, whole = tally.sums()
    refusals = sum(tally.refused.values())
    if (whole < ENOUGH or requests < REQUESTS) and refusals < REQUESTS:
        return False
    pool = tally.pool
    if pool.library in THREADS and not tally.held and now - tally.since < PATIENCE:
        return False  # what keeps the workers is known when they have done it
    attributes = {
        **_where(tally),
        "perfagent.pool_wait.library": pool.library,
        "perfagent.pool_wait.pool": pool.name,
        "perfagent.pool_wait.size": pool.most,
        "perfagent.pool_wait.requests": requests,
        "perfagent.pool_wait.seconds": whole / 1e9,
        "perfagent.pool_wait.longest": tally.longest / 1e9,
        "perfagent.pool_wait.window": max(now - tally.since, 10.0),
        **{f"perfagent.pool_wait.{how.replace(' ', '_')}": number for how, number in tally.refused.items()},
    }
    span = tally.span
    if hasattr(span, "entry"):
        attributes |= endpoint(span)
    text = f"{requests} requests waited {whole / 1e9:.2f} s for the pool {pool.name} of {pool.library}"
    return notice("pool_wait", f"{pool.library} {pool.name}", text, attributes, span)


def _where(tally: Tally) -> dict[str, object]:
    """The line that waits; for workers the function that keeps them longest, and how much of their time."""
    if tally.held:
        code, duration = max(tally.held.items(), key=lambda one: one[1])
        share = duration / sum(tally.held.values())
        return {**callers.attributes((code, 0)), "perfagent.pool_wait.held_share": round(share, 3)}
    if not tally.places:
        return {}
    return callers.attributes(max(tally.places.items(), key=lambda one: one[1])[0])


def _forget() -> None:
    """In a forked child: what its parent's requests waited for is its parent's."""
    for kept in (_waits, _held, _refused, _tallies):
        kept.clear()


os.register_at_fork(after_in_child=_forget)
