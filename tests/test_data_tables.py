"""QueryOptimizer on real databases: indexes, upkeep, plans and slow statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from perfagent.data import QueryOptimizer
from perfagent.data.measures import slow_queries
from tests.test_data_queries import engine, run  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

pytestmark = pytest.mark.slow  # real servers: left out of the fast part

SLOW = "SELECT count(*) AS n FROM orders WHERE name = :name"


def names(engine: Engine, table: str) -> set[str]:  # noqa: F811
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :t",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE tablename = :t",
        "mysql": "SELECT index_name FROM information_schema.statistics WHERE table_name = :t",
        "duckdb": "SELECT index_name FROM duckdb_indexes() WHERE table_name = :t",
    }[engine.dialect.name]
    with engine.connect() as connection:
        return {str(name) for name in connection.execute(sa.text(sql), {"t": table}).scalars()}


def many(engine: Engine) -> None:  # noqa: F811
    with engine.begin() as connection:
        rows = [{"i": number, "n": f"name {number}"} for number in range(10, 3000)]
        connection.execute(sa.text("INSERT INTO orders VALUES (:i, :n, 1)"), rows)


def test_an_index_is_shown_made_once_and_used(engine: Engine) -> None:  # noqa: F811
    many(engine)
    optimizer = QueryOptimizer(engine)
    before = optimizer.explain(SLOW, {"name": "name 7"})
    assert before.full_scans == ("orders",)
    shown = optimizer.create_index("orders", ["name", "price"], dry_run=True)
    assert (shown.name, shown.ran) == ("ix_orders_name_price", False)
    assert shown.name not in names(engine, "orders")
    ran = optimizer.create_index("orders", ["name", "price"])
    assert ran.statements == shown.statements
    assert ran.ran
    assert ran.name in names(engine, "orders")
    assert ("CONCURRENTLY" in ran.statements[0]) == (engine.dialect.name == "postgresql")
    optimizer.create_index("orders", ["name", "price"])  # it is there, and nothing is said of it
    optimizer.optimize_table("orders")
    if engine.dialect.name != "duckdb":  # which goes through small tables whatever they have
        assert optimizer.explain(SLOW, {"name": "name 7"}).full_scans == ()


def test_names_are_quoted_whatever_is_in_them(engine: Engine) -> None:  # noqa: F811
    odd = 'odd"table%'
    quote = engine.dialect.identifier_preparer.quote_identifier
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {quote(odd)} ({quote('a b')} INTEGER, {quote('Select')} INTEGER)")
    optimizer = QueryOptimizer(engine)
    ran = optimizer.create_index(odd, ["a b", "Select"], unique=True)
    assert ran.name in names(engine, odd)
    optimizer.optimize_table(odd)
    evil = 'id"); DROP TABLE orders; --'
    with pytest.raises(ValueError, match="columns="):
        optimizer.create_index("orders", [evil])
    with pytest.raises(ValueError, match="table="):
        optimizer.create_index('orders"; DROP TABLE orders; --', ["id"])
    assert optimizer.create_index("orders", "id", name=evil).name == evil
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM orders")).scalar_one() == 3
    run(engine, f"DROP TABLE {quote(odd)}".replace("%%", "%"))


def test_a_long_name_is_cut_and_still_told_apart(engine: Engine) -> None:  # noqa: F811
    columns = [f"a_column_with_a_name_that_goes_on_{number}" for number in range(4)]
    run(engine, "DROP TABLE IF EXISTS items")
    run(engine, f"CREATE TABLE items ({', '.join(f'{column} INTEGER' for column in columns)})")
    optimizer = QueryOptimizer(engine)
    made = {optimizer.create_index("items", found).name for found in (columns, columns[:3], columns[1:])}
    assert len(made) == 3
    assert made <= names(engine, "items")


def test_upkeep_runs_what_the_dialect_has(engine: Engine) -> None:  # noqa: F811
    optimizer = QueryOptimizer(engine)
    expected = {"postgresql": "VACUUM", "sqlite": "ANALYZE", "mysql": "ANALYZE TABLE", "duckdb": "ANALYZE"}
    shown = optimizer.optimize_table("orders", dry_run=True)
    assert not shown.ran
    ran = optimizer.optimize_table("orders")
    assert ran.ran
    assert ran.statements == shown.statements
    assert ran.statements[0].startswith(expected[engine.dialect.name])
    assert optimizer.optimize_table("orders", full=True).ran
    with pytest.raises(ValueError, match="table='nothing' is not accepted"):
        optimizer.optimize_table("nothing")


def test_a_plan_tells_of_statements_that_write_and_runs_none(engine: Engine) -> None:  # noqa: F811
    optimizer = QueryOptimizer(engine)
    orders = sa.table("orders", sa.column("id"), sa.column("name"))
    plan = optimizer.explain(sa.update(orders).values(name="x").where(orders.c.name == "a"))
    assert plan.lines
    assert optimizer.explain(sa.select(orders).where(orders.c.id.in_([1, 2]))).lines
    assert optimizer.cached_query("SELECT name FROM orders WHERE id = 1")[0].name == "a"


def test_slow_statements_are_counted_without_their_literals(engine: Engine) -> None:  # noqa: F811
    series = slow_queries.of({"db.system.name": engine.dialect.name})
    series.fold()
    before = series.value
    optimizer = QueryOptimizer(engine, slow_seconds=0)
    for secret in ("hunter1", "hunter2"):
        with engine.connect() as connection:
            connection.execute(sa.text(f"SELECT id FROM orders WHERE name = '{secret}'")).all()
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text("SELECT nothing FROM orders"))
    (found,) = [one for one in optimizer.slow_queries() if "FROM orders WHERE" in one.statement]
    assert (found.count, found.slow) == (2, 2)
    assert "hunter" not in found.statement
    assert 0 < found.mean_seconds <= found.max_seconds <= found.total_seconds
    series.fold()
    assert series.value - before == 2
    assert QueryOptimizer(engine, slow_seconds=1000).slow_queries() == []
    optimizer.close()
    count = len(optimizer.statements())
    run(engine, "DELETE FROM items")
    assert len(optimizer.statements()) == count


def test_an_index_that_failed_halfway_is_dropped_and_one_left_by_others_is_made_again(postgres_url: str) -> None:
    optimizer = QueryOptimizer.connect(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    own = optimizer.engine
    run(own, "DROP TABLE IF EXISTS twice")
    run(own, "CREATE TABLE twice (a int)")
    run(own, "INSERT INTO twice VALUES (1), (1)")
    with pytest.raises(sa.exc.IntegrityError):
        optimizer.create_index("twice", "a", unique=True)
    assert names(own, "twice") == set()
    autocommit = own.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.exec_driver_sql("CREATE UNIQUE INDEX CONCURRENTLY ux_twice_a ON twice (a)")
    assert names(own, "twice") == {"ux_twice_a"}  # and PostgreSQL does not use it
    run(own, "DELETE FROM twice")
    ran = optimizer.create_index("twice", "a", unique=True)
    assert [one.partition(" CONC")[0] for one in ran.statements] == ["DROP INDEX", "CREATE UNIQUE INDEX"]
    partial = optimizer.create_index("twice", "a DESC", where="a > 5 AND a::text LIKE '1%'")
    assert partial.name in names(own, "twice")
    assert "connections" in optimizer.pool_status().lower()
    own.dispose()


def test_wrong_arguments_are_named(engine: Engine) -> None:  # noqa: F811
    optimizer = QueryOptimizer(engine)
    for arguments in ((" ", "id"), ("orders", []), ("orders", ["id", "id desc"]), ("orders", "nothing"), ("no", "id")):
        with pytest.raises(ValueError, match=r"is not accepted: .*; for example"):
            optimizer.create_index(*arguments)  # type: ignore[arg-type]
    if engine.dialect.name != "postgresql":
        with pytest.raises(ValueError, match="concurrently=True"):
            optimizer.create_index("orders", "id", concurrently=True)
    if engine.dialect.name in ("mysql", "duckdb"):
        with pytest.raises(ValueError, match="has no partial indexes"):
            optimizer.create_index("orders", "id", where="id > 1")
