"""Index advice against a real MariaDB: from statements that are given, and from those that it recorded itself."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from perfagent import advise_indexes
from perfagent.data.indexes.connect import UnreachableError
from perfagent.data.indexes.limits import Limits
from tests.servers import running_mysql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow
SHOP = """
    CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50), email VARCHAR(80));
    CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, customer_id INT, status VARCHAR(10), total INT,
        created DATETIME, KEY twin (status, total), KEY other (status, total), KEY narrow (status), KEY idle (created));
    INSERT INTO customers (name, email) SELECT CONCAT('n', seq), CONCAT('u', seq, '@example.com') FROM seq_1_to_20000;
    INSERT INTO orders (customer_id, status, total, created) SELECT 1 + (seq * 7919) % 20000,
        ELT(1 + seq % 3, 'new', 'paid', 'sent'), seq % 1000, '2026-01-01' - INTERVAL seq MINUTE FROM seq_1_to_200000;
    ANALYZE TABLE customers, orders
"""
SLOW = "SELECT * FROM orders WHERE customer_id = %s ORDER BY total DESC LIMIT 10"


@pytest.fixture(scope="module")
def recording() -> Iterator[MysqlServer]:
    """A MariaDB that records statements, with the shop."""
    with running_mysql("performance_schema=ON") as server:
        connection = pymysql.connect(**server._asdict(), autocommit=True)
        run(connection, SHOP)
        connection.close()
        yield server


@pytest.fixture
def shop(recording: MysqlServer) -> Iterator[Any]:
    """A connection to it."""
    connection = pymysql.connect(**recording._asdict(), autocommit=True)
    yield connection
    connection.close()


def run(connection: Any, script: str) -> None:
    with connection.cursor() as cursor:
        for sql in script.split(";"):
            cursor.execute(sql)


def reads(connection: Any, sql: str) -> int:
    """Rows that the server reads for a statement: a number that no noise is in."""
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        cursor.execute(sql, (7,))
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(value) for _name, value in cursor.fetchall())


def test_the_advised_index_makes_the_query_faster(recording: MysqlServer, shop: Any) -> None:
    with shop.cursor() as cursor:
        for number in range(20):
            cursor.execute(SLOW, (number + 1,))
            cursor.execute("SELECT COUNT(*) FROM orders WHERE status = %s", ("new",))
    report = advise_indexes(recording.url, limits=Limits(unused_days=0))
    (advice,) = [one for one in report.advice if one.kind == "missing"]
    assert (advice.proof, advice.columns[0]) == ("estimate", "`customer_id`")
    assert advice.ddl.endswith("ALGORITHM=INPLACE LOCK=NONE")
    (evidence,) = advice.evidence
    assert "customer_id" in evidence.statement
    assert "orders ALL" in evidence.plan_before
    assert evidence.mean_ms is not None
    assert evidence.mean_ms > 0

    before = reads(shop, SLOW)
    times: dict[str, list[float]] = {"IGNORE": [], "FORCE": []}
    run(shop, advice.ddl)
    assert before >= 5 * reads(shop, SLOW)
    with shop.cursor() as cursor:
        for number in range(15):  # in turns: what else the machine does hits both
            for word, taken in times.items():
                begin = time.perf_counter()
                hinted = SLOW.replace("orders", f"orders {word} INDEX ({advice.index})")
                cursor.execute(hinted, (number + 100,))
                taken.append(time.perf_counter() - begin)
    assert statistics.median(times["IGNORE"]) >= 5 * statistics.median(times["FORCE"])
    again = advise_indexes(recording.url, SLOW)
    assert [one for one in again.advice if one.kind == "missing"] == []
    run(shop, f"DROP INDEX {advice.index} ON orders")


def test_duplicate_redundant_and_unused_indexes_are_found_and_can_be_dropped(recording: MysqlServer, shop: Any) -> None:
    run(shop, "CREATE TABLE copy LIKE orders; INSERT INTO copy SELECT * FROM orders LIMIT 2000")
    report = advise_indexes(recording.url, limits=Limits(unused_days=0))
    found = {(one.kind, one.index): one for one in report.advice if one.table == "copy"}
    assert set(found) == {("duplicate", "other"), ("redundant", "narrow"), ("unused", "idle")} or set(found) == {
        ("duplicate", "twin"),
        ("redundant", "narrow"),
        ("unused", "idle"),
    }
    for one in found.values():
        run(shop, one.ddl)
    report = advise_indexes(recording.url, limits=Limits(unused_days=0))
    assert [one.kind for one in report.advice if one.table == "copy"] in ([], ["unused"])  # what served for the others
    report = advise_indexes(recording.url)
    assert any("indexes were not used, but the server counts for" in note for note in report.notes)
    run(shop, "DROP TABLE copy")


def test_joins_updates_and_deletes_are_looked_into_and_never_run(recording: MysqlServer, shop: Any) -> None:
    report = advise_indexes(
        recording.url,
        """
        SELECT o.* FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = ?;
        UPDATE orders SET total = 0 WHERE customer_id = 5;
        DELETE FROM orders WHERE customer_id = 6;
        SELECT * FROM customers WHERE name = 'x' INTO OUTFILE '/tmp/never';
        SELECT SLEEP(9) FROM customers;
        /*! ANALYZE */ SELECT SLEEP(9) FROM customers
        """,
    )
    missing = {(one.table, one.columns): one for one in report.advice if one.kind == "missing"}
    assert set(missing) >= {("orders", ("`customer_id`",)), ("customers", ("`email`",))}
    assert len(missing["orders", ("`customer_id`",)].evidence) == 3
    with shop.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM orders WHERE customer_id IN (5, 6) AND total > 0")
        assert cursor.fetchone()[0] >= 19


def test_what_an_index_cannot_help_gets_no_advice(recording: MysqlServer) -> None:
    report = advise_indexes(
        recording.url,
        """
        SELECT COUNT(*) FROM orders WHERE status = 'new';
        SELECT * FROM orders WHERE id = 5;
        SELECT SUM(total) FROM orders;
        SELECT * FROM customers WHERE name LIKE '%9%';
        SELECT * FROM orders WHERE created = '2025-12-01'
        """,
    )
    assert [one for one in report.advice if one.kind == "missing"] == []
    assert report.skipped == ()


def test_a_server_that_records_nothing_says_how_to_make_it(mysql_server: MysqlServer) -> None:
    report = advise_indexes(mysql_server.url)
    assert report.statements == 0
    assert any("performance_schema=ON" in note for note in report.notes)


def test_a_wrong_password_is_one_line_without_it(mysql_server: MysqlServer) -> None:
    with pytest.raises(UnreachableError, match="Access denied") as caught:
        advise_indexes(mysql_server.url.replace("opensesame", "closesesame"))
    assert "sesame" not in str(caught.value)
    with pytest.raises(ValueError, match="names no database"):
        advise_indexes(mysql_server.url.rpartition("/")[0])
