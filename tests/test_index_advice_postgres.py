"""Index advice against a real PostgreSQL with a real slow workload: what is advised is proven, and helps."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from perfagent import advise_indexes
from perfagent.data.indexes.limits import Limits
from tests.servers import running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.data.indexes.advice import Advice, IndexReport

    Database = Callable[..., tuple[str, psycopg.Connection[Any]]]

pytestmark = pytest.mark.slow
NOW = Limits(unused_days=0)
_numbers = itertools.count()

SHOP = """
    CREATE TABLE customers (id serial PRIMARY KEY, name text, email text);
    CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers, status text, total int,
        created timestamptz, shipped timestamptz, note text);
    INSERT INTO customers (name, email) SELECT 'n' || g, 'u' || g || '@example.com' FROM generate_series(1, 20000) g;
    INSERT INTO orders (customer_id, status, total, created, shipped, note)
        SELECT 1 + (g::bigint * 7919) % 20000, (ARRAY['new', 'paid', 'sent'])[1 + g % 3], g % 1000,
            now() - g * interval '1 minute', CASE WHEN g % 500 = 0 THEN NULL ELSE now() END, repeat('x', 40)
        FROM generate_series(1, 300000) g;
    ANALYZE customers; ANALYZE orders;
"""
SLOW = "SELECT * FROM orders WHERE customer_id = %s ORDER BY created DESC LIMIT 10"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL with pg_stat_statements loaded, whose database is the shop."""
    with running_postgres("shared_preload_libraries=pg_stat_statements", "autovacuum=off") as (url, _):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SHOP)
        yield url


@pytest.fixture
def database(server: str) -> Iterator[Database]:
    """Makes a database, a shop or an empty one, with extensions and a script; gives its URL and a connection."""
    opened: list[psycopg.Connection[Any]] = []

    def make(
        script: str = "", extensions: tuple[str, ...] = ("pg_stat_statements", "hypopg"), *, shop: bool = False
    ) -> Any:
        name = f"shop{next(_numbers)}"
        with psycopg.connect(server.replace("/shop", "/postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {'shop' if shop else 'template0'}")
        url = f"{server.rpartition('/')[0]}/{name}"
        connection = psycopg.connect(url, autocommit=True)
        opened.append(connection)
        for extension in extensions:
            connection.execute(f"CREATE EXTENSION {extension}")
        connection.execute(script)
        return url, connection

    yield make
    for connection in opened:
        connection.close()


def of_kind(report: IndexReport, *kinds: str) -> list[Advice]:
    return [one for one in report.advice if one.kind in kinds]


def buffers(connection: psycopg.Connection[Any], sql: str, *values: object) -> int:
    row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def settle(connection: psycopg.Connection[Any]) -> None:
    """Waits until what was counted shows in the statistics: a session hands it on once a second at most."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")


def test_the_advised_index_is_proven_by_the_planner_and_makes_the_query_faster(database: Database) -> None:
    url, connection = database(shop=True)
    for number in range(20):
        connection.execute(SLOW, (number + 1,))
    (advice,) = of_kind(advise_indexes(url), "missing")
    assert (advice.proof, advice.table, advice.columns[0]) == ("hypopg", "orders", '"customer_id"')
    assert advice.ddl.startswith("CREATE INDEX CONCURRENTLY ")
    (evidence,) = advice.evidence
    assert evidence.statement == "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created DESC LIMIT $2"
    assert evidence.cost_before > 10 * evidence.cost_after
    assert "Seq Scan on orders" in evidence.plan_before
    assert advice.index in evidence.plan_after
    assert advice.saved_ms_per_day == pytest.approx(evidence.calls_per_day * evidence.mean_ms * evidence.saved)

    before = buffers(connection, SLOW, 7)
    connection.execute(advice.ddl)
    assert advice.size_bytes is not None
    (size,) = connection.execute(f"SELECT pg_relation_size('{advice.index}')").fetchone() or (0,)
    assert 0.4 < advice.size_bytes / size < 2.5
    assert before >= 5 * buffers(connection, SLOW, 7)

    times: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(15):  # in turns: what else the machine does hits both
        for state, taken in times.items():
            connection.execute(f"SET enable_indexscan = {state}")
            connection.execute(f"SET enable_bitmapscan = {state}")
            begin = time.perf_counter()
            connection.execute(SLOW, (number + 100,), prepare=False)
            taken.append(time.perf_counter() - begin)
    assert statistics.median(times["off"]) >= 5 * statistics.median(times["on"])
    assert of_kind(advise_indexes(url), "missing") == []


def test_without_hypopg_the_same_index_is_advised_by_an_estimate_that_says_so(database: Database) -> None:
    url, connection = database("", ("pg_stat_statements",), shop=True)
    for number in range(20):
        connection.execute(SLOW, (number + 1,))
    report = advise_indexes(url)
    (advice,) = of_kind(report, "missing")
    assert (advice.proof, advice.table, advice.columns[0]) == ("estimate", "orders", '"customer_id"')
    assert "s = (1 - nulls) / distinct" in advice.reason
    assert any("CREATE EXTENSION hypopg" in note for note in report.notes)
    before = buffers(connection, SLOW, 7)
    connection.execute(advice.ddl)
    assert before >= 5 * buffers(connection, SLOW, 7)


def test_a_statement_of_a_file_is_advised_on_with_its_own_figures(database: Database) -> None:
    url, _ = database("", ("hypopg",), shop=True)
    report = advise_indexes(url, f"-- calls=1000 mean_ms=50 rows=10\n{SLOW};")
    (advice,) = report.advice
    (evidence,) = advice.evidence
    assert advice.saved_ms_per_day == pytest.approx(1000 * 50 * evidence.saved)
    assert 0.9 < evidence.saved < 1
    assert report.statements == 1


def test_psycopg2_does_as_well(shop: str) -> None:
    report = advise_indexes(
        shop.replace("postgresql://", "postgresql+psycopg2://"), f"{SLOW}; SELECT '50%' || frob($1) FROM orders"
    )
    (advice,) = report.advice
    assert (advice.proof, advice.columns[0]) == ("hypopg", '"customer_id"')
    ((_text, why),) = report.skipped
    assert "frob" in why


@pytest.mark.parametrize(
    ("sql", "table", "keys", "where"),
    [
        ("SELECT * FROM customers WHERE lower(email) = $1", "customers", ('lower("email")',), ""),
        ("SELECT * FROM orders WHERE created > now() - interval '1 hour'", "orders", ('"created"',), ""),
        ("SELECT max(total) FROM orders", "orders", ('"total"',), ""),
        ("UPDATE orders SET note = 'y' WHERE customer_id = %s", "orders", ('"customer_id"',), ""),
        ("DELETE FROM orders WHERE customer_id IN (?, ?)", "orders", ('"customer_id"',), ""),
        ("SELECT * FROM orders WHERE shipped IS NULL AND total = :t", "orders", ('"total"',), '"shipped" IS NULL'),
        ("SELECT * FROM orders ORDER BY total DESC, created LIMIT 5", "orders", ('"total" DESC', '"created"'), ""),
        (
            "WITH c AS (SELECT id FROM customers WHERE id < 3) SELECT * FROM orders o JOIN c ON c.id = o.customer_id",
            "orders",
            ('"customer_id"',),
            "",
        ),
    ],
)
def test_each_shape_of_a_statement_gets_its_index(
    shop: str, sql: str, table: str, keys: tuple[str, ...], where: str
) -> None:
    (advice,) = of_kind(advise_indexes(shop, sql), "missing")
    assert (advice.table, advice.columns) == (table, keys)
    assert advice.ddl.endswith(f" WHERE {where}") if where else " WHERE " not in advice.ddl


@pytest.fixture(scope="module")
def shop(server: str) -> str:
    """The shop with HypoPG, for tests that change nothing."""
    with psycopg.connect(server.replace("/shop", "/postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE quiet TEMPLATE shop")
    url = server.replace("/shop", "/quiet")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION hypopg")
    return url


def test_a_workload_that_needs_nothing_gets_no_advice(database: Database) -> None:
    url, connection = database(
        """
        CREATE INDEX ON orders (customer_id, created);
        CREATE TABLE small AS SELECT g AS id, g % 7 AS kind FROM generate_series(1, 300) g;
        ANALYZE small
        """,
        shop=True,
    )
    for number in range(30):
        connection.execute(SLOW, (number + 1,))  # covered
        connection.execute("SELECT * FROM small WHERE kind = %s", (number % 7,))  # a page or two
        connection.execute("SELECT count(*) FROM orders WHERE status = %s", ("new",))  # a third of all rows
        connection.execute("SELECT sum(total) FROM orders")
        connection.execute("SELECT * FROM orders WHERE id = %s", (number,))
        connection.execute("SELECT * FROM customers WHERE name LIKE %s LIMIT 5", ("%9%",))
    report = advise_indexes(url, limits=NOW)
    assert report.advice == ()
    assert report.skipped == ()
    assert report.statements >= 6


def test_one_index_serves_what_several_statements_ask_for(shop: str) -> None:
    statements = f"""
        {SLOW};
        SELECT count(*) FROM orders WHERE customer_id = $1;
        SELECT * FROM orders WHERE customer_id = $1 AND created > now() - interval '1 year';
        SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = $1
    """
    (advice,) = of_kind(advise_indexes(shop, statements), "missing")
    assert len(advice.evidence) == 4


def test_a_join_gets_an_index_on_either_side(shop: str) -> None:
    sql = "SELECT o.* FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.email = $1"
    found = of_kind(advise_indexes(shop, sql), "missing")
    assert {(one.table, one.columns) for one in found} == {
        ("orders", ('"customer_id"',)),
        ("customers", ('"email"',)),
    }


def test_a_role_of_pg_monitor_alone_gets_what_it_may_see_and_is_told_what_to_grant(database: Database) -> None:
    url, connection = database("CREATE INDEX ON orders (status); CREATE INDEX ON orders (status);", shop=True)
    role = f"watcher{next(_numbers)}"
    connection.execute(f"CREATE ROLE {role} LOGIN; GRANT pg_monitor TO {role}")
    for number in range(20):
        connection.execute(SLOW, (number + 1,))
    settle(connection)
    own = url.replace("tester:opensesame", role)
    report = advise_indexes(own)
    assert [one.kind for one in report.advice] == ["duplicate"]
    assert any(f"GRANT pg_read_all_data TO {role}" in note for note in report.notes)
    connection.execute(f"GRANT pg_read_all_data TO {role}")
    report = advise_indexes(own)
    assert [one.kind for one in report.advice] == ["missing", "duplicate"]
    connection.execute(f"DROP OWNED BY {role}; REVOKE pg_monitor, pg_read_all_data FROM {role}; DROP ROLE {role}")


def test_statements_are_planned_and_never_run(database: Database) -> None:
    url, connection = database("CREATE SEQUENCE touched; CREATE TABLE victim AS SELECT 1 AS a", shop=True)
    report = advise_indexes(
        url,
        """
        SELECT nextval('touched'), o.* FROM orders o WHERE total = 5;
        DELETE FROM orders WHERE total = 6;
        UPDATE orders SET total = 0 WHERE total = 7;
        """,
    )
    assert {one.table for one in report.advice} == {"orders"}
    from perfagent.data.indexes.advice import Statement

    hostile = [
        "SELECT * FROM orders WHERE total = 1; COMMIT; DROP TABLE victim",
        "SELECT * FROM orders WHERE total = 1 /* ; */ ; DROP TABLE victim; --",
        "ANALYZE) SELECT * FROM orders WHERE total = 1",
        "SELECT * FROM orders WHERE note = E'\\'; DROP TABLE victim; --'",
    ]
    report = advise_indexes(url, [Statement(sql) for sql in hostile])
    assert len(report.skipped) == len(hostile)
    assert connection.execute("SELECT is_called FROM touched").fetchone() == (False,)
    assert connection.execute("SELECT count(*) FROM orders WHERE total IN (6, 7)").fetchone() == (600,)
    assert connection.execute("SELECT count(*) FROM victim").fetchone() == (1,)


def test_asking_leaves_few_traces_in_pg_stat_statements(database: Database) -> None:
    url, connection = database(shop=True)
    role = f"asker{next(_numbers)}"
    connection.execute(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data, pg_monitor TO {role}")
    for number in range(3):
        connection.execute(SLOW, (number,))
    counted = "SELECT count(*) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE rolname = %s"
    for _ in range(3):
        advise_indexes(url.replace("tester:opensesame", role))
    (traces,) = connection.execute(counted, (role,)).fetchone() or (0,)
    assert 0 < traces < 60
    connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_without_pg_stat_statements_the_report_says_how_to_enable_it(database: Database) -> None:
    url, _ = database("CREATE TABLE t (a int)", ())
    report = advise_indexes(url)
    assert report.statements == 0
    assert any("CREATE EXTENSION pg_stat_statements" in note for note in report.notes)
    assert "opensesame" not in repr(report)
