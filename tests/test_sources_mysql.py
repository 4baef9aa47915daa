"""The source of MySQL and MariaDB against a real MariaDB."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pymysql
import pytest

from perfagent.hub.sources.mysql import Mysql
from perfagent.hub.sources.seen import Blocked, Deadlocks, LongTransaction, PoolUse, SlowStatement, UnusedIndex
from perfagent.hub.sources.source import Collected, Plan, SourceError
from perfagent.hub.sources.sql import tidied
from tests.servers import PASSWORD, MysqlServer, running_mysql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.sources.seen import Seen

pytest_plugins = ["tests.servers"]
DEADLINE = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[MysqlServer]:
    """A MariaDB whose performance_schema is on, with a user "watcher" who may look and do nothing else."""
    consumers = "performance-schema-consumer-events-statements-current=ON"
    with running_mysql("performance-schema=ON", consumers) as found:
        with client(found).cursor() as admin:
            admin.execute(f"CREATE USER watcher IDENTIFIED BY '{PASSWORD}'")
            admin.execute("GRANT PROCESS, REPLICATION CLIENT, REPLICA MONITOR ON *.* TO watcher")
            admin.execute("GRANT SELECT ON performance_schema.* TO watcher")
            admin.execute("GRANT SELECT ON mysql.innodb_index_stats TO watcher")
            admin.execute("GRANT SELECT ON shop.* TO watcher")
            admin.execute("CREATE TABLE items (id int PRIMARY KEY, price int, name varchar(50), KEY by_name (name))")
            admin.execute("INSERT INTO items SELECT seq, seq, concat('item ', seq) FROM seq_1_to_5000")
        yield found


@pytest.fixture
def source(server: MysqlServer) -> Iterator[Mysql]:
    url = server.url.replace("//tester:", "//watcher:")
    plan = Plan("shop-db", "mysql", "high", 15, 10, url, {"slow_ms": 50.0, "long_transaction": 1})
    found = Mysql(plan, None)
    yield found
    found.close()


def client(server: MysqlServer, autocommit: bool = True) -> pymysql.Connection:
    return pymysql.connect(**server._asdict(), autocommit=autocommit)


def run(connection: pymysql.Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def until(source: Mysql, found: Callable[[Collected], bool]) -> Collected:
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


def test_a_row_lock_is_told_with_who_blocks_whom_both_statements_and_how_long(
    server: MysqlServer, source: Mysql
) -> None:
    holder, waiter = client(server, False), client(server, False)
    run(holder, "UPDATE items SET price = 4242 WHERE id = 7")
    waiting = threading.Thread(target=run, args=(waiter, "UPDATE items SET price = 99 WHERE id = 7"))
    waiting.start()
    first = until(source, lambda found: bool(of(found, Blocked)))
    seconds = of(first, Blocked)[0].seconds
    later = until(source, lambda found: any(one.seconds > seconds + 0.3 for one in of(found, Blocked)))
    (blocked,) = of(later, Blocked)
    assert (blocked.blocker, blocked.blocked) == (holder.thread_id(), waiter.thread_id())
    assert blocked.root == holder.thread_id()
    assert blocked.statement == blocked.blocking_statement == "UPDATE items SET price = ? WHERE id = ?"
    assert (blocked.relation, blocked.blocking_state) == ("shop.items", "idle in transaction")
    assert blocked.blocking_seconds >= blocked.seconds
    forgotten = until(source, lambda found: bool(of(found, LongTransaction)))
    assert holder.thread_id() in {one.pid for one in of(forgotten, LongTransaction)}
    holder.rollback()
    waiting.join(DEADLINE)
    waiter.rollback()
    assert not of(until(source, lambda found: not of(found, Blocked)), Blocked)
    holder.close()
    waiter.close()


def test_a_slow_statement_an_unused_index_and_connections_are_told(server: MysqlServer, source: Mysql) -> None:
    source.collect()
    one = client(server)
    for _ in range(3):
        run(one, "SELECT sleep(0.1), 'secret-4711' FROM items WHERE id = 1")
    found = until(source, lambda found: any("sleep" in slow.statement for slow in of(found, SlowStatement)))
    (slow,) = [one for one in of(found, SlowStatement) if "sleep" in one.statement]
    assert slow.calls == 3
    assert slow.mean_ms >= 100
    assert slow.statement.endswith("FROM items WHERE ID = ?")
    assert "4711" not in str(found.seen)
    assert not any("performance_schema" in one.statement for one in of(found, SlowStatement)), "ours are left out"
    assert [one.index for one in of(found, UnusedIndex)] == ["by_name"]
    (pool,) = of(found, PoolUse)
    assert 0 < pool.used <= pool.limit
    run(one, "SELECT * FROM items FORCE INDEX (by_name) WHERE name = 'item 3'")
    until(source, lambda found: not of(found, UnusedIndex))
    one.close()


def test_a_deadlock_is_counted(server: MysqlServer, source: Mysql) -> None:
    source.collect()
    one, two = client(server, False), client(server, False)
    run(one, "UPDATE items SET price = 1 WHERE id = 1")
    run(two, "UPDATE items SET price = 1 WHERE id = 2")
    crossing = threading.Thread(target=broken, args=(one, "UPDATE items SET price = 1 WHERE id = 2"))
    crossing.start()
    broken(two, "UPDATE items SET price = 1 WHERE id = 1")
    crossing.join(DEADLINE)
    found = until(source, lambda found: bool(of(found, Deadlocks)))
    assert [told.count for told in of(found, Deadlocks)] == [1]
    one.close()
    two.close()


def broken(connection: pymysql.Connection, statement: str) -> None:
    with contextlib.suppress(pymysql.err.OperationalError):
        run(connection, statement)
    connection.rollback()


def test_a_user_without_the_right_hears_which_it_lacks_and_a_wrong_password_is_not_shown(server: MysqlServer) -> None:
    run(client(server), f"CREATE USER IF NOT EXISTS nobody_yet IDENTIFIED BY '{PASSWORD}'")
    url = f"mysql://nobody_yet:{PASSWORD}@{server.host}:{server.port}/"
    source = Mysql(Plan("shop-db", "mysql", "high", 15, 10, url), None)
    collected = source.collect()
    source.close()
    assert any("GRANT PROCESS" in note and "TO nobody_yet" in note for note in collected.notes)
    assert any(point.name == "mysql.threads" for point in collected.points), "what it may tell it tells"
    wrong = Mysql(Plan("shop-db", "mysql", "high", 15, 10, url.replace(PASSWORD, "wrongword")), None)
    with pytest.raises(SourceError, match="no connection") as refused:
        wrong.collect()
    assert "wrongword" not in str(refused.value)


def test_without_the_rights_that_are_for_indexes_statements_are_told(server: MysqlServer) -> None:
    admin = client(server)
    run(admin, f"CREATE USER halfway IDENTIFIED BY '{PASSWORD}'")
    run(admin, "GRANT PROCESS, REPLICATION CLIENT, REPLICA MONITOR ON *.* TO halfway")
    run(admin, "GRANT SELECT ON performance_schema.* TO halfway")
    url = f"mysql://halfway:{PASSWORD}@{server.host}:{server.port}/"
    source = Mysql(Plan("shop-db", "mysql", "high", 15, 10, url, {"slow_ms": 50.0}), None)
    source.collect()
    run(admin, "SELECT sleep(0.2)")
    collected = until(source, lambda one: bool(of(one, SlowStatement)))
    source.close()
    assert len(collected.notes) == 1
    assert "mysql.innodb_index_stats TO halfway" in collected.notes[0]


def test_a_server_in_another_time_zone_has_no_transactions_of_hours(server: MysqlServer, source: Mysql) -> None:
    admin, writer = client(server), client(server, autocommit=False)
    run(admin, "SET GLOBAL time_zone = '-05:00'")
    try:
        run(writer, "UPDATE items SET price = 1 WHERE id = 7")
        (found,) = of(until(source, lambda one: bool(of(one, LongTransaction))), LongTransaction)
        assert found.seconds < 600
    finally:
        run(admin, "SET GLOBAL time_zone = 'SYSTEM'")
        writer.rollback()


def test_digests_read_as_people_write_them() -> None:
    digest = "SELECT `sleep` (?) , COUNT ( * ) FROM `shop` . `items` AS `i` WHERE `i` . `id` = ?"
    assert tidied(digest) == "SELECT sleep (?), COUNT (*) FROM shop.items AS i WHERE i.id = ?"
