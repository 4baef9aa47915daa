"""The source of PostgreSQL against a real server: what was done to it is what is told of it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from perfagent.hub.sources.postgres import Postgres
from perfagent.hub.sources.seen import (
    Blocked,
    Deadlocks,
    DeadTuples,
    LongTransaction,
    PoolUse,
    SequentialScans,
    SlowStatement,
    UnusedIndex,
)
from perfagent.hub.sources.source import Collected, Plan, SourceError
from tests.servers import DATABASE, PASSWORD, running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.sources.seen import Seen

pytest_plugins = ["tests.servers"]
DEADLINE = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL with pg_stat_statements, and a role "watcher" that has pg_monitor and nothing else."""
    with running_postgres("shared_preload_libraries=pg_stat_statements", "deadlock_timeout=100ms") as (url, _):
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}'")
            admin.execute("GRANT pg_monitor TO watcher")
        yield url


@pytest.fixture
def table(server: str) -> Iterator[str]:
    """A table of 20,000 rows with an index that nobody uses."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE TABLE items (id int PRIMARY KEY, price int, name text) WITH (autovacuum_enabled = false)")
        admin.execute("INSERT INTO items SELECT i, i, 'item ' || i FROM generate_series(1, 20000) AS i")
        admin.execute("CREATE INDEX items_name ON items (name)")
        admin.execute("ANALYZE items")
        yield "items"
        admin.execute("DROP TABLE items CASCADE")


@pytest.fixture
def source(server: str, table: str) -> Iterator[Postgres]:
    found = Postgres(plan(as_watcher(server), slow_ms=50.0, long_transaction=0.2), None)
    yield found
    found.close()


def as_watcher(url: str) -> str:
    return url.replace("//tester:", "//watcher:")


def plan(url: str, timeout: float = 10, **options: object) -> Plan:
    return Plan("shop-db", "postgresql", "high", 15, timeout, url, options)


def until(source: Postgres, found: Callable[[Collected], bool]) -> Collected:
    """The first collection that has what is looked for; statistics of PostgreSQL come a moment later."""
    deadline = time.monotonic() + DEADLINE
    while True:
        source._detail._turn = 0  # what comes at each fourth collection comes at each
        collected = source.collect()
        if found(collected):
            return collected
        assert time.monotonic() < deadline, f"not found: {collected.seen} {collected.notes}"
        time.sleep(0.1)


def of(collected: Collected, kind: type[Seen]) -> list[Seen]:
    return [one for one in collected.seen if isinstance(one, kind)]


def value(collected: Collected, name: str, **attributes: str) -> float:
    wanted = {key.replace("__", "."): text for key, text in attributes.items()}
    return next(p.value for p in collected.points if p.name == name and wanted.items() <= dict(p.attributes).items())


def test_a_lock_is_told_with_who_blocks_whom_both_statements_and_how_long(server: str, source: Postgres) -> None:
    with psycopg.connect(server) as holder, psycopg.connect(server) as middle, psycopg.connect(server) as last:
        holder.execute("UPDATE items SET price = 4242 WHERE id = 7")
        waits = [
            threading.Thread(target=_run, args=(middle, "UPDATE items SET price = 99 WHERE id = 7")),
            threading.Thread(target=_run, args=(last, "DELETE FROM items WHERE id = 7")),
        ]
        waits[0].start()
        until(source, lambda found: len(of(found, Blocked)) == 1)
        waits[1].start()
        first = until(source, lambda found: {b.blocked for b in of(found, Blocked)} == {pid(middle), pid(last)})
        later = until(source, lambda found: max(b.seconds for b in of(found, Blocked)) > longest(first) + 0.3)
        chains = {(b.blocked, b.blocker): b for b in of(later, Blocked)}
        waiter = chains[pid(middle), pid(holder)]
        assert waiter.blocking_statement == "UPDATE items SET price = ? WHERE id = ?"
        assert waiter.statement == "UPDATE items SET price = ? WHERE id = ?"
        assert waiter.blocking_state == "idle in transaction"
        assert waiter.relation == "public.items"
        assert waiter.blocking_seconds >= waiter.seconds > 0.3
        assert {b.root for b in chains.values()} == {pid(holder)}, "the end of each chain is who holds the row"
        assert (pid(last), pid(middle)) in chains, "the last one waits for the one that waits"
        assert value(later, "postgresql.lock.waits") == 2
        assert "4242" not in str(later.seen)
        assert "99" not in [b.statement for b in chains.values()]
        holder.rollback()
        for one in waits:
            one.join(DEADLINE)
        middle.rollback()
        last.rollback()
    assert not of(source.collect(), Blocked)


def _run(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(statement)
    connection.commit()


def pid(connection: psycopg.Connection) -> int:
    return connection.info.backend_pid


def longest(collected: Collected) -> float:
    return max(one.seconds for one in of(collected, Blocked))


def test_a_slow_statement_is_told_with_its_calls_since_the_look_before(server: str, source: Postgres) -> None:
    source.collect()
    with psycopg.connect(server, autocommit=True) as client:
        for _ in range(3):
            client.execute("SELECT pg_sleep(0.1), 'secret-4711'")
    found = until(source, lambda found: any("pg_sleep" in s.statement for s in of(found, SlowStatement)))
    (slow,) = [one for one in of(found, SlowStatement) if "pg_sleep" in one.statement]
    assert slow.calls == 3
    assert slow.mean_ms >= 100
    assert slow.total_ms >= 300
    assert slow.database == DATABASE
    assert slow.share is not None
    assert slow.share > 0.1
    assert "4711" not in slow.statement
    assert not any(
        "perfagent" in one.statement or "pg_stat_activity" in one.statement for one in of(found, SlowStatement)
    )
    source._detail._turn = 0
    assert not any("pg_sleep" in one.statement for one in of(source.collect(), SlowStatement)), "it is not called again"


def test_dead_rows_an_unused_index_and_scans_of_all_are_told(server: str, source: Postgres) -> None:
    source.collect()
    with psycopg.connect(server, autocommit=True) as client:
        client.execute("UPDATE items SET price = price + 1 WHERE id > 10000")
        for _ in range(5):
            client.execute("SELECT count(*) FROM items WHERE price = 3")
    found = until(source, lambda found: bool(of(found, DeadTuples)) and bool(of(found, SequentialScans)))
    (dead,) = of(found, DeadTuples)
    assert (dead.table, dead.dead, dead.threshold, dead.last_vacuum) == ("items", 10_000, None, None)
    assert 0.3 < dead.share < 0.4
    unused = {one.index: one for one in of(found, UnusedIndex)}
    assert set(unused) == {"items_name"}, "a primary key ensures something"
    assert unused["items_name"].bytes > 64 * 1024
    scans = of(found, SequentialScans)
    assert scans[0].table == "items"
    assert scans[0].scans >= 5
    assert value(found, "postgresql.rows", state="dead", postgresql__table__name="public.items") == 10_000
    with psycopg.connect(server, autocommit=True) as client:
        client.execute("SET enable_seqscan = off")
        client.execute("SELECT * FROM items WHERE name = 'item 17'")
        client.execute("VACUUM items")
    cleaned = until(source, lambda found: not of(found, DeadTuples) and not of(found, UnusedIndex))
    assert value(cleaned, "postgresql.table.vacuum.count", postgresql__table__name="public.items") == 1


def test_a_deadlock_is_counted(server: str, source: Postgres) -> None:
    before = value(source.collect(), "postgresql.deadlocks", postgresql__database__name=DATABASE)
    with psycopg.connect(server) as one, psycopg.connect(server) as two:
        one.execute("UPDATE items SET price = 1 WHERE id = 1")
        two.execute("UPDATE items SET price = 1 WHERE id = 2")
        crossing = threading.Thread(target=_broken, args=(one, "UPDATE items SET price = 1 WHERE id = 2"))
        crossing.start()
        _broken(two, "UPDATE items SET price = 1 WHERE id = 1")
        crossing.join(DEADLINE)
    found = until(source, lambda found: bool(of(found, Deadlocks)))
    assert [(one.count, one.database) for one in of(found, Deadlocks)] == [(1, DATABASE)]
    assert value(found, "postgresql.deadlocks", postgresql__database__name=DATABASE) == before + 1


def _broken(connection: psycopg.Connection, statement: str) -> None:
    with contextlib.suppress(psycopg.errors.DeadlockDetected):
        connection.execute(statement)
    connection.rollback()


def test_a_forgotten_transaction_and_the_connections_in_use_are_told(server: str, source: Postgres) -> None:
    with psycopg.connect(server, application_name="shop") as client:
        client.execute("SELECT 'hidden' FROM items LIMIT 1")
        found = until(source, lambda found: any(one.pid == pid(client) for one in of(found, LongTransaction)))
        (forgotten,) = [one for one in of(found, LongTransaction) if one.pid == pid(client)]
        assert forgotten.state == "idle in transaction"
        assert forgotten.idle_seconds > 0
        assert (forgotten.application, forgotten.statement) == ("shop", "SELECT ? FROM items LIMIT ?")
        (pool,) = of(found, PoolUse)
        assert pool.limit == 100
        assert pool.states["idle in transaction"] >= 1
        assert pool.used == sum(pool.states.values())
        client.rollback()
        until(source, lambda found: not any(one.pid == pid(client) for one in of(found, LongTransaction)))


def test_the_connection_is_one_that_can_neither_write_nor_stay_long(server: str) -> None:
    source = Postgres(plan(as_watcher(server), timeout=1), None)
    source.collect()
    source.collect()
    with psycopg.connect(server, autocommit=True) as admin:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perfagent'"
        assert admin.execute(asked).fetchone() == (1,)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source._connection.execute("CREATE TABLE never (id int)")
    with pytest.raises(psycopg.errors.QueryCanceled):
        source._connection.execute("SELECT pg_sleep(30)")
    source.close()


def test_a_role_without_the_right_hears_which_it_lacks(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE nobody_yet LOGIN PASSWORD '{PASSWORD}'")
    found = Postgres(plan(server.replace("//tester:", "//nobody_yet:")), None)
    collected = found.collect()
    found.close()
    assert any("GRANT pg_monitor TO nobody_yet" in note for note in collected.notes)


def test_nothing_of_the_source_stays_in_a_connection_that_a_pooler_hands_on(server: str) -> None:
    source = Postgres(plan(as_watcher(server) + "?options=-c%20geqo%3Doff"), None)
    source.collect()
    source._connection.execute("DISCARD ALL")  # what a pooler does at best: it takes back what was SET, no more
    asked = "SELECT name, source FROM pg_settings WHERE source = 'session'"
    assert source._connection.execute(asked).fetchall() == []
    asked = "SELECT current_setting('default_transaction_read_only'), current_setting('geqo')"
    assert source._connection.execute(asked).fetchone() == ("on", "off"), "by the start, with what the address says"
    source.close()


def test_a_right_that_is_granted_later_needs_no_new_connection(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE later LOGIN PASSWORD '{PASSWORD}'")
        found = Postgres(plan(server.replace("//tester:", "//later:")), None)
        assert any("GRANT pg_monitor" in note for note in found.collect().notes)
        admin.execute("GRANT pg_monitor TO later")
        assert not any("GRANT pg_monitor" in note for note in found.collect().notes)
        found.close()


@pytest.mark.slow
def test_the_extension_without_its_library_costs_the_statements_alone() -> None:
    with running_postgres() as (url, _):
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
        source = Postgres(plan(url), None)
        collected = source.collect()
        source.close()
    assert any("shared_preload_libraries" in note for note in collected.notes)
    assert value(collected, "postgresql.connection.max") == 100


@pytest.mark.slow
def test_a_server_that_began_anew_is_asked_again_and_its_absence_has_no_password(server: str) -> None:
    with running_postgres() as (url, _):
        source = Postgres(plan(url), None)
        assert any("shared_preload_libraries" in note for note in source.collect().notes)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perfagent'")
        with pytest.raises(Exception, match=r"terminat|closed|connection"):
            source.collect()
        assert source.collect().points, "the next collection connects again"
    with pytest.raises(Exception, match=r"."):
        source.collect()
    with pytest.raises(SourceError, match="no connection") as refused:
        source.collect()
    assert "log in" in str(refused.value)
