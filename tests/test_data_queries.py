"""QueryOptimizer on real databases: what is cached and for how long, indexes, upkeep, plans and slow statements."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from perfagent.data import QueryOptimizer, create_engine
from perfagent.data.engines import engine_options
from perfagent.data.statements import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Engine

    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow  # real servers: left out of the fast part

DATABASES = ["sqlite", "postgresql", "mysql", "duckdb"]
ALL = "SELECT id, name FROM orders ORDER BY id"


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of each database, with a table `orders` of three rows."""
    yield from made(request, request.param, tmp_path)


def made(request: pytest.FixtureRequest, name: str, folder: Path) -> Iterator[Engine]:
    if name == "postgresql":
        url = request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+psycopg:")
    elif name == "mysql":
        server: MysqlServer = request.getfixturevalue("mysql_server")
        url = server.url.replace("mysql:", "mysql+pymysql:")
    else:
        url = f"{name}:///{folder}/shop.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in ("orders", "items", 'odd"table%'):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(engine, table)}")
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR(50), price INTEGER)")
        connection.exec_driver_sql("CREATE TABLE items (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO orders VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL)")
    yield engine
    engine.dispose()


def quote(engine: Engine, name: str) -> str:
    return engine.dialect.identifier_preparer.quote_identifier(name)


def run(engine: Engine, sql: str, **parameters: Any) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(sql), parameters)


def plain(engine: Engine, sql: str = ALL) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(sql)))


def behind(engine: Engine, sql: str) -> None:
    """Writes by a connection that the optimizer does not see."""
    other = sa.create_engine(engine.url)
    if engine.dialect.name == "duckdb":
        raw = engine.raw_connection()
        raw.cursor().execute(sql)
        raw.commit()
        raw.close()
    else:
        run(other, sql)
    other.dispose()


def test_a_query_is_read_once_and_its_rows_are_those_of_the_database(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    first = optimizer.cached_query(ALL)
    assert first == plain(engine)
    behind(engine, "UPDATE orders SET name = 'hidden'")
    again = optimizer.cached_query(ALL)
    assert again == first  # a proof that it was not read again
    assert again[0].name == "a"
    assert plain(engine)[0].name == "hidden"
    figures = optimizer.cache_figures()
    assert (figures.hits, figures.misses, figures.entries, figures.rows) == (1, 1, 1, 3)
    again.clear()
    assert len(optimizer.cached_query(ALL)) == 3


def test_a_committed_write_to_the_table_makes_it_be_read_anew_and_one_to_another_does_not(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    optimizer.cached_query(ALL)
    run(engine, "INSERT INTO items VALUES (1)")
    assert optimizer.cache_figures().entries == 1
    for write in (
        "INSERT INTO orders (id, name) VALUES (4, 'd')",
        "UPDATE orders SET name = 'x' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
    ):
        run(engine, write)
        assert optimizer.cached_query(ALL) == plain(engine)
        assert optimizer.cached_query(ALL) == plain(engine)
    orders = sa.table("orders", sa.column("id"), sa.column("name"))
    for write in (orders.insert().values(id=9, name="z"), orders.update().values(name="y"), orders.delete()):
        with engine.begin() as connection:
            connection.execute(write)
        assert optimizer.cached_query(ALL) == plain(engine)
    assert optimizer.cache_figures().hits == 3


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_what_is_read_while_a_write_is_open_is_not_kept(engine: Engine, ending: str) -> None:
    if engine.dialect.name == "sqlite":
        run(engine, "PRAGMA journal_mode = WAL")  # readers do not wait for the writer
    optimizer = QueryOptimizer(engine)
    with engine.connect() as writer:
        writer.execute(sa.text("UPDATE orders SET name = 'new' WHERE id = 1"))
        assert optimizer.cached_query(ALL)[0].name == "a"  # what others see before the commit
        getattr(writer, ending)()
        assert optimizer.cached_query(ALL) == plain(engine)
    assert optimizer.cached_query(ALL) == plain(engine)
    assert optimizer.cached_query(ALL)[0].name == ("new" if ending == "commit" else "a")
    assert optimizer.cache_figures().hits == 1


def test_a_result_read_before_a_commit_is_not_kept_after_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader has its rows, then somebody commits, then the reader would keep what it has."""
    optimizer = QueryOptimizer(engine)
    put = optimizer._results.put

    def late(*arguments: Any) -> bool:
        writer = threading.Thread(target=run, args=(engine, "INSERT INTO orders (id, name) VALUES (7, 'late')"))
        writer.start()
        writer.join()
        return put(*arguments)

    monkeypatch.setattr(optimizer._results, "put", late)
    if engine.dialect.name == "sqlite":
        run(engine, "PRAGMA journal_mode = WAL")
    assert len(optimizer.cached_query(ALL)) == 3
    monkeypatch.undo()
    assert len(optimizer.cached_query(ALL)) == 4


def test_parameters_are_told_apart_by_value_and_type(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    sql = "SELECT id FROM orders WHERE price > :price ORDER BY id"
    assert [row.id for row in optimizer.cached_query(sql, {"price": 5})] == [1, 2]
    assert [row.id for row in optimizer.cached_query(sql, {"price": 15})] == [2]
    orders = sa.table("orders", sa.column("id", sa.Integer), sa.column("price", sa.Integer))
    for ids in ([1, 2], [2, 3], [1]):
        statement = sa.select(orders.c.id).where(orders.c.id.in_(ids)).order_by(orders.c.id)
        assert [row.id for row in optimizer.cached_query(statement)] == ids
        assert [row.id for row in optimizer.cached_query(statement)] == ids
    bound = sa.select(orders.c.id).where(orders.c.id == sa.bindparam("wanted"))
    assert [optimizer.cached_query(bound, {"wanted": one})[0].id for one in (1, 2, 1)] == [1, 2, 1]
    assert [optimizer.cached_query(bound.params(wanted=one))[0].id for one in (3, 2)] == [3, 2]
    for limit in (1, 2):
        assert len(optimizer.cached_query(sa.select(orders.c.id).limit(limit))) == limit


def test_equal_parameters_of_other_types_are_other_queries() -> None:
    optimizer = QueryOptimizer(sa.create_engine("sqlite://"))
    found = [
        optimizer.cached_query("SELECT typeof(:x) AS kind", {"x": x})[0].kind
        for x in (1, 1.0, "1", True, b"1", None, 1.0)
    ]
    assert found == ["integer", "real", "text", "integer", "blob", "null", "real"]
    assert optimizer.cache_figures().misses == 6


def test_what_is_no_query_is_refused_and_not_run(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    orders = sa.table("orders", sa.column("id"))
    for statement in ("DELETE FROM orders", "UPDATE orders SET name = 'x'", sa.delete(orders), "DROP TABLE orders"):
        with pytest.raises(ValueError, match="for example"):
            optimizer.cached_query(statement)
    if engine.dialect.name in ("postgresql", "mysql"):
        with pytest.raises(ValueError, match="for example"):
            optimizer.cached_query(ALL + " FOR UPDATE")
    assert len(plain(engine)) == 3


def test_a_query_that_depends_on_more_than_its_tables_is_read_each_time(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    sql = "SELECT CURRENT_TIMESTAMP AS at, id FROM orders"
    optimizer.cached_query(sql)
    optimizer.cached_query(sql)
    assert (optimizer.cache_figures().hits, optimizer.cache_figures().uncacheable) == (0, 2)


def test_a_view_is_read_anew_after_any_write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW IF EXISTS cheap")
        connection.exec_driver_sql("CREATE VIEW cheap AS SELECT id FROM orders WHERE price < 15")
    optimizer = QueryOptimizer(engine)
    sql = "SELECT count(*) AS n FROM cheap"
    assert [optimizer.cached_query(sql)[0].n for _ in range(2)] == [1, 1]
    assert optimizer.cache_figures().hits == 1
    run(engine, "UPDATE orders SET price = 1")
    assert optimizer.cached_query(sql)[0].n == 3
    run(engine, "DROP VIEW cheap")


def test_the_cache_is_bounded_in_rows_and_time_and_forgets_when_told() -> None:
    engine = sa.create_engine("sqlite://")
    run(engine, "CREATE TABLE t (a INTEGER)")
    run(engine, "INSERT INTO t VALUES (1), (2), (3), (4)")
    optimizer = QueryOptimizer(engine, max_rows=10)
    for limit in (1, 2, 3, 4):
        optimizer.cached_query("SELECT a FROM t LIMIT :most", {"most": limit})
    figures = optimizer.cache_figures()
    assert figures.entries + figures.rows <= 10
    assert figures.entries >= 2
    assert optimizer.invalidate("t") == figures.entries
    assert optimizer.invalidate() == 0
    optimizer.cached_query("SELECT a FROM t", ttl=0)
    assert optimizer.cache_figures().entries == 0
    optimizer.cached_query("SELECT a FROM t", ttl=0.001)
    while optimizer.cache_figures().entries:  # until the time is over
        pass
    optimizer.cached_query("SELECT a FROM t")
    assert optimizer.cache_figures().hits == 0


def test_who_changes_a_value_in_a_row_changes_nobody_elses(postgres_url: str) -> None:
    optimizer = QueryOptimizer.connect(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    sql = """SELECT '{"a": [1]}'::json AS doc"""
    optimizer.cached_query(sql)[0].doc["a"].append(2)
    optimizer.cached_query(sql)[0].doc["a"].append(3)
    assert optimizer.cached_query(sql)[0].doc == {"a": [1]}
    assert optimizer.cache_figures().hits == 2
    optimizer.engine.dispose()


def test_an_async_engine_is_cached_and_seen_writing(tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
        optimizer = QueryOptimizer(engine)
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE orders (id INTEGER, name TEXT)"))
        for count in (0, 1, 2):
            for _ in range(2):
                assert len(await optimizer.cached_query_async(ALL)) == count
            async with engine.begin() as connection:
                await connection.execute(sa.text("INSERT INTO orders VALUES (1, 'a')"))
        assert (optimizer.cache_figures().hits, optimizer.cache_figures().misses) == (3, 3)
        with pytest.raises(ValueError, match="cached_query_async"):
            optimizer.cached_query(ALL)
        await engine.dispose()

    asyncio.run(main())


def test_a_statement_of_unknown_grammar_makes_everything_be_read_anew() -> None:
    assert describe("CALL do_things(1)", "postgresql").writes == {"*"}
    assert describe("WITH t AS (DELETE FROM a RETURNING *) SELECT * FROM t", "postgresql").writes >= {"a"}
    assert describe("SELECT my_function(1) FROM a", "postgresql").reads == {"a", "*"}
    assert describe("SELECT 'delete from b' FROM a", "postgresql").is_query
    assert not describe("SELECT * INTO b FROM a", "postgresql").is_query
    assert not describe("EXPLAIN ANALYZE DELETE FROM a", "postgresql").is_query


@pytest.mark.parametrize(
    "url", ["sqlite://", "postgresql+psycopg://u@h/d", "mysql+pymysql://u@h/d", "duckdb:///:memory:"]
)
def test_servers_get_a_checked_and_bounded_pool(url: str) -> None:
    options = engine_options(url)
    assert bool(options) == ("@" in url)
    assert not options or (options["pool_pre_ping"], options["pool_size"], options["pool_recycle"]) == (True, 5, 1800)
    with pytest.raises(ValueError, match="for example") as caught:
        engine_options("nonsense secret")
    assert "secret" not in str(caught.value)


def test_a_cached_query_is_faster_than_the_database(engine: Engine) -> None:
    optimizer = QueryOptimizer(engine)
    optimizer.cached_query(ALL)
    ratios = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(50):
            optimizer.cached_query(ALL)
        between = time.perf_counter()
        for _ in range(50):
            optimizer.cached_query(ALL, ttl=0)
        ratios.append((time.perf_counter() - between) / (between - begin))
    assert max(ratios) > 3


def test_wrong_arguments_are_named() -> None:
    engine = sa.create_engine("sqlite://")
    with pytest.raises(ValueError, match=r"engine='str' is not accepted.*for example"):
        QueryOptimizer("sqlite://")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ttl=-1 is not accepted"):
        QueryOptimizer(engine, ttl=-1)
    optimizer = QueryOptimizer(engine)
    with pytest.raises(ValueError, match="statement='' is not accepted"):
        optimizer.cached_query("")
    with pytest.raises(ValueError, match="tables='' is not accepted"):
        optimizer.invalidate("")
