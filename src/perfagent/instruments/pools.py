"""Connection pools of databases, read when metrics are collected (semantic conventions, "Database client metrics")."""

from __future__ import annotations

from weakref import ref

from perfagent.runtime import guard, poolwaits
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import COUNTER, DB_SECONDS, HISTOGRAM, UP_DOWN_COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Point = tuple[int, dict[str, object]]

_meter = Scope("perfagent.db", schema_url=SCHEMA)
_NAME = "db.client.connection.pool.name"
wait_time = registry.make(
    _meter,
    HISTOGRAM,
    "db.client.connection.wait_time",
    "s",
    "The time it took to obtain an open connection from the pool.",
    DB_SECONDS,
    keys=(_NAME,),
)
timeouts = registry.make(
    _meter,
    COUNTER,
    "db.client.connection.timeouts",
    "{timeout}",
    "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
    keys=(_NAME,),
)
_owners: dict[int, tuple[ref[Any], Callable[[Any], Figures | None]]] = {}


class Figures:
    """What a pool is like at one moment.

    Args:
        name: the pool's; two of the same name are added up.
        used: connections that the program has.
        idle: connections that wait in the pool.
        most_idle: how many it keeps at most.
        most: how many it opens at most; 0 where there is no limit.
        pending: callers that wait for one.
    """

    __slots__ = ("idle", "most", "most_idle", "name", "pending", "used")

    def __init__(self, name: str, used: int, idle: int, most_idle: int, most: int, pending: int = 0) -> None:
        self.name = name
        self.used = used
        self.idle = idle
        self.most_idle = most_idle
        self.most = most
        self.pending = pending


class Waits:
    """Who waits for a connection of a pool, and for how long.

    Args:
        name: the pool's.
        library: whose it is.
        most: connections that it opens at most; 0 where nobody knows.
    """

    __slots__ = ("pending", "pool", "seconds", "timeouts")

    def __init__(self, name: str, library: str, most: int = 0) -> None:
        attributes = {_NAME: name}
        self.pool = poolwaits.Pool(library, name, most)
        self.pending: list[None] = []
        """One entry a caller: lists grow and shrink atomically, and a number does not."""
        self.seconds = wait_time.of(attributes)
        self.timeouts = timeouts.of(attributes)

    def over(self, began: int, ended: int, was_full: bool = True) -> None:
        """Somebody has got a connection; begin and end by `clock.now`.

        Args:
            began, ended: the wait.
            was_full: whether others had them all; else a new one was opened, which is no wait for others.
        """
        self.seconds.record((ended - began) / 1e9)
        if was_full and ended - began > poolwaits.BRIEF:
            poolwaits.waited(self.pool, began, ended)

    def refuse(self, how: str) -> None:
        """Somebody has got none; as `poolwaits.refused`."""
        self.timeouts.record(1)
        poolwaits.refused(self.pool, how)


def watch(owner: Any, read: Callable[[Any], Figures | None]) -> None:
    """Reports a pool for as long as its owner lives; the owner is not kept alive.

    Args:
        owner: what has the pool.
        read: gives the figures; called by the background thread; None where there is nothing to tell.
    """
    if not _owners:
        _register()
    key = id(owner)
    _owners[key] = ref(owner, lambda _: _owners.pop(key, None)), read


def _register() -> None:
    def metric(
        name: str, description: str, points: Callable[[Figures], Iterator[Point]], unit: str = "{connection}"
    ) -> None:
        registry.make(_meter, UP_DOWN_COUNTER, name, unit, description, callback=lambda: _collected(points))

    metric(
        "db.client.connection.count",
        "The number of connections that are currently in state described by the `state` attribute.",
        _counts,
    )
    metric("db.client.connection.max", "The maximum number of open connections allowed.", _most)
    metric("db.client.connection.idle.max", "The maximum number of idle open connections allowed.", _most_idle)
    metric(
        "db.client.connection.pending_requests",
        "The number of current pending requests for an open connection.",
        _pending,
        "{request}",
    )


def _counts(pool: Figures) -> Iterator[Point]:
    for state, number in (("used", pool.used), ("idle", pool.idle)):
        yield number, {_NAME: pool.name, "db.client.connection.state": state}


def _most(pool: Figures) -> Iterator[Point]:
    if pool.most:
        yield pool.most, {_NAME: pool.name}


def _most_idle(pool: Figures) -> Iterator[Point]:
    yield pool.most_idle, {_NAME: pool.name}


def _pending(pool: Figures) -> Iterator[Point]:
    yield pool.pending, {_NAME: pool.name}


def _collected(points: Callable[[Figures], Iterator[Point]]) -> Iterator[Point]:
    """The points of all pools, those of the same name and state added up."""
    totals: dict[tuple[tuple[str, object], ...], int] = {}
    for owner, read in list(_owners.values()):
        pool = owner()
        try:
            figures = None if pool is None else read(pool)
        except Exception:
            guard.failed("pools")
            continue
        if figures is not None:
            for value, attributes in points(figures):
                key = tuple(attributes.items())
                totals[key] = totals.get(key, 0) + value
    for key, value in totals.items():
        yield value, dict(key)
