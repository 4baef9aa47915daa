"""What sources see that is no metric: who blocks whom, slow statements, unused indexes; each with the moment.

`facts(hub, Blocked)` gives what each source saw when it looked last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.hub import Hub

Fact = TypeVar("Fact", bound="Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that a source saw.

    Args:
        source: its name.
        time: when, seconds since the epoch.
    """

    source: str
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked(Seen):
    """One session of a database that waits for a lock of another.

    Args:
        system: `db.system.name`: postgresql, mysql or mariadb.
        database: its name.
        blocker, blocked: process or thread of both in the database.
        root: the one at the end of the chain, which waits for nobody: ending its transaction helps all.
        seconds: how long it has waited.
        statement: of the one that waits, without literals.
        blocking_statement: what the blocker runs or ran last, without literals; what took the lock may be before it.
        blocking_state: such as "idle in transaction" or "active".
        blocking_seconds: how long the blocker's transaction has lasted; None where that is not told.
        relation: the table that it is about; "" where it is not told.
        mode: the lock that is wanted.
        user, application: of the one that waits.
        blocking_user, blocking_application: of the blocker.
    """

    system: str
    database: str
    blocker: int
    blocked: int
    root: int
    seconds: float
    statement: str
    blocking_statement: str
    blocking_state: str
    blocking_seconds: float | None = None
    relation: str = ""
    mode: str = ""
    user: str = ""
    application: str = ""
    blocking_user: str = ""
    blocking_application: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTransaction(Seen):
    """A transaction that has lasted long; what it locks stays locked, and what it may still see cannot be cleaned up.

    Args:
        system, database: as of `Blocked`.
        pid: process or thread in the database.
        seconds: how long it has lasted.
        idle_seconds: how long its client has sent nothing; 0 while a statement runs.
        state: such as "idle in transaction".
        statement: the last one, without literals.
        user, application: whose it is.
    """

    system: str
    database: str
    pid: int
    seconds: float
    idle_seconds: float
    state: str
    statement: str
    user: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStatement(Seen):
    """A statement that took long in the last interval of its source.

    Args:
        system, database: as of `Blocked`; redis as well.
        statement: without literals.
        calls: in the interval.
        mean_ms: of these calls.
        max_ms: the longest; since the statistics began where `max_is_of_all`, else of the interval; None where unknown.
        total_ms: of these calls together.
        share: of the time of all statements in the interval, 0..1; None where unknown.
        rows: returned or changed in the interval; None where unknown.
        seconds: how long the interval was.
        max_is_of_all: what `max_ms` is of.
    """

    system: str
    database: str
    statement: str
    calls: int
    mean_ms: float
    total_ms: float
    seconds: float
    max_ms: float | None = None
    share: float | None = None
    rows: int | None = None
    max_is_of_all: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedIndex(Seen):
    """An index that no statement has used since the statistics began; it is no key and ensures nothing.

    Args:
        system, database, schema, table, index: which.
        bytes: how large it is.
        writes: rows inserted, deleted or updated in its table meanwhile: each had to keep it up.
        since: when the statistics began, seconds since the epoch; None where that is not told.
    """

    system: str
    database: str
    schema: str
    table: str
    index: str
    bytes: int
    writes: int
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadTuples(Seen):
    """A table with many rows that are deleted and not yet cleaned up.

    Args:
        database, schema, table: which.
        live, dead: rows.
        bytes: of the table.
        last_vacuum: by anybody, seconds since the epoch; None for never.
        threshold: dead rows from which on autovacuum cleans up; None where it is off for the table.
    """

    database: str
    schema: str
    table: str
    live: int
    dead: int
    bytes: int
    last_vacuum: float | None = None
    threshold: float | None = None

    @property
    def share(self) -> float:
        """Of all rows, 0..1."""
        return self.dead / max(self.live + self.dead, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialScans(Seen):
    """A large table that statements read from its begin to its end.

    Args:
        system, database, schema, table: which.
        scans: of all of it, in the interval.
        rows_read: by these.
        index_scans: in the interval.
        rows: that it has.
        bytes: that it has.
        seconds: how long the interval was.
    """

    system: str
    database: str
    schema: str
    table: str
    scans: int
    rows_read: int
    index_scans: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse(Seen):
    """Connections of a server, of those that it allows.

    Args:
        system: as of `Blocked`; redis as well.
        used, limit: connections.
        states: how many in each state, such as {"active": 3, "idle in transaction": 2}.
        waiting: for a lock.
    """

    system: str
    used: int
    limit: int
    states: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0

    @property
    def share(self) -> float:
        """0..1"""
        return self.used / max(self.limit, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlocks(Seen):
    """Deadlocks that a server has broken in the last interval, by ending one of the transactions.

    Args:
        system, database: as of `Blocked`.
        count: in the interval.
        seconds: how long that was.
    """

    system: str
    database: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica(Seen):
    """A replica, as its primary or it itself tells.

    Args:
        system: as of `Blocked`.
        name: its name or address; "" for the server that was asked.
        state: such as "streaming".
        lag_seconds: how far it is behind; None where nobody knows.
        lag_bytes: of the log; None where nobody knows.
    """

    system: str
    name: str
    state: str
    lag_seconds: float | None = None
    lag_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HotKey(Seen):
    """A key of a cache, or keys that differ in their numbers alone, that is asked for much.

    Args:
        system: redis.
        key: numbers in it are `?`.
        share: of the keys that were sampled, weighed by how often they are used; 0..1.
        keys: how many of the sample.
        bytes: of the largest of them; None where unknown.
    """

    system: str
    key: str
    share: float
    keys: int
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse(Seen):
    """Memory of a cache server.

    Args:
        system: redis.
        used, limit: bytes; None for no limit.
        policy: what it does at the limit, such as "allkeys-lru" or "noeviction".
        evicted, expired: keys in the interval.
        hit_ratio: look-ups of the interval that found something, 0..1; None without look-ups.
        fragmentation: memory that the process has, times what is used.
    """

    system: str
    used: int
    limit: int | None
    policy: str
    evicted: int
    expired: int
    hit_ratio: float | None
    fragmentation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointUse(Seen):
    """An endpoint of a service in the last minutes, as its spans tell.

    Args:
        service, endpoint: which.
        requests, per_second: how many.
        p50_ms, p95_ms, p99_ms: durations; at most 9 % off.
        error_ratio: 0..1
        codes: how often it answered with each status.
        request_bytes, response_bytes: mean size of bodies; None where agents do not tell.
    """

    service: str
    endpoint: str
    requests: float
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    error_ratio: float
    codes: Mapping[str, float] = field(default_factory=dict)
    request_bytes: float | None = None
    response_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse(Seen):
    """A cache of a program in the last minutes, as its agent tells.

    Args:
        service, cache, system: which.
        lookups: how many.
        hit_ratio: 0..1
        evictions: in the same time.
        utilisation: of the entries that it may hold, 0..1; None without a limit.
    """

    service: str
    cache: str
    system: str
    lookups: float
    hit_ratio: float
    evictions: float
    utilisation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Seen):
    """What an address answered.

    Args:
        url: without a password.
        ok: whether it answered in time and with a status that is expected.
        status: of HTTP; None without an answer.
        ms: until the whole answer was there; None without one.
        bytes: of the answer's body, as far as it was read.
        problem: what was wrong; "" where nothing was.
    """

    url: str
    ok: bool
    status: int | None
    ms: float | None
    bytes: int
    problem: str = ""


KINDS: dict[str, type[Seen]] = {
    one.__name__: one
    for one in (
        Blocked, LongTransaction, SlowStatement, UnusedIndex, DeadTuples, SequentialScans, PoolUse, Deadlocks, Replica,
        HotKey, MemoryUse, EndpointUse, CacheUse, Probe,
    )
}  # fmt: skip
"""By their names, as they are stored and as the interface calls them."""


def facts(hub: Hub, kind: type[Fact]) -> list[Fact]:
    """What every source of a hub saw when it looked last, of one kind.

    A source that fails or is off has seen nothing.

    Args:
        hub: whose sources.
        kind: such as `Blocked`.
    """
    return [one for one in hub.sources.facts() if isinstance(one, kind)]
