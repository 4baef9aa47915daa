"""PaginatedQuery on real databases: exact with ties, NULLs, mixed directions and concurrent writes."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from perfagent.data import PaginatedQuery
from perfagent.data.cursors import Cursors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Engine

    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow  # real servers: left out of the fast part

metadata = sa.MetaData()
orders = sa.Table(
    "page_orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("shop", sa.String(20)),
    sa.Column("rank", sa.Integer),
    sa.Column("made", sa.DateTime),
    sa.Column("price", sa.Numeric(20, 14)),
    sa.Column("weight", sa.Double),
    sa.Column("sure", sa.Integer, nullable=False),
)


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "page_parents"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(20))


class Child(Base):
    __tablename__ = "page_children"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[int]


ROWS = 200


def row(drawn: random.Random, number: int) -> dict[str, Any]:
    def sometimes(value: Any) -> Any:
        return None if drawn.random() < 0.2 else value

    return {
        "id": number,
        "shop": sometimes(drawn.choice("aAbÄé ")),
        "rank": sometimes(drawn.randrange(4)),
        "made": sometimes(datetime.datetime(2024, 1, drawn.randrange(1, 5), 1, 2, 3)),
        "price": sometimes(decimal.Decimal(drawn.randrange(5)) + decimal.Decimal("0.12345678901234")),
        "weight": sometimes(drawn.choice([0.1, 0.2, 0.1 + 0.2, -0.0, 1e300])),
        "sure": drawn.randrange(3),
    }


@pytest.fixture(params=["sqlite", "postgresql", "mysql", "duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of each database with 200 rows, a fifth of each column NULL."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+psycopg:")
    elif request.param == "mysql":
        server: MysqlServer = request.getfixturevalue("mysql_server")
        url = server.url.replace("mysql:", "mysql+pymysql:")
    else:
        url = f"{request.param}:///{tmp_path}/shop.db"
    engine = sa.create_engine(url)
    drawn = random.Random(7)
    with engine.begin() as connection:
        for table in (*metadata.tables.values(), *Base.metadata.tables.values()):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table.name}")
            connection.execute(sa.schema.CreateTable(table))  # DuckDB's dialect cannot ask what is there
        connection.execute(orders.insert(), [row(drawn, number) for number in drawn.sample(range(1000), ROWS)])
    yield engine
    engine.dispose()


KEYS: list[list[Any]] = [
    [],
    ["-id"],
    [orders.c.shop],
    [orders.c.shop.desc(), "rank"],
    ["rank", orders.c.made.desc(), "sure desc"],
    [orders.c.price, orders.c.weight.desc()],
    ["-weight"],
    ["sure", "id"],
    ["-sure", "-id"],
    [orders.c.sure.desc(), orders.c.id],
]


def every(query: PaginatedQuery) -> list[int]:
    return [one.id for page in query.pages() for one in page]


def in_order(engine: Engine, *order: Any) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(orders.c.id).order_by(*order)).scalars())


@pytest.mark.parametrize("size", [1, 7, 199, 200, 1000])
def test_pages_are_the_rows_in_the_databases_own_order(engine: Engine, size: int) -> None:
    for keys in KEYS[::4] if size == 1 else KEYS:
        query = PaginatedQuery(engine, sa.select(orders), key=keys or None, page_size=size)
        order = [one.order(engine.dialect.name) for one in query._keys]
        assert every(query) == in_order(engine, *order), keys
        assert all(len(page) == size for page in list(query.pages())[:-1])


def test_nulls_stand_where_they_are_told_to(engine: Engine) -> None:
    for key in (orders.c.rank.asc().nulls_first(), orders.c.rank.desc().nulls_last(), orders.c.made.asc().nulls_last()):
        if engine.dialect.name == "mysql":
            with pytest.raises(ValueError, match="has no NULLS FIRST"):
                PaginatedQuery(engine, orders, key=key)
            continue
        query = PaginatedQuery(engine, orders, key=[key], page_size=9)
        assert every(query) == in_order(engine, key, orders.c.id)


def test_one_can_go_back_the_way_one_came(engine: Engine) -> None:
    query = PaginatedQuery(engine, orders, key=[orders.c.shop.desc(), orders.c.rank], page_size=30)
    forth = [query.page()]
    while forth[-1].next:
        forth.append(query.page(forth[-1].next))
    assert forth[0].previous is None
    assert len(forth) == 7
    page, back = forth[-1], [forth[-1]]
    while page.previous:
        page = query.page(before=page.previous)
        back.append(page)
    assert [one.rows for one in reversed(back)] == [one.rows for one in forth]


def test_nothing_comes_twice_and_nothing_is_left_out_while_others_write(engine: Engine) -> None:
    """Rows come and go on both sides of the place between every two pages."""
    drawn = random.Random(11)
    query = PaginatedQuery(engine, orders, key=["shop", "-rank"], page_size=7)
    before = set(in_order(engine))
    gone, seen, new = set(), [], 1000
    for page in query.pages():
        seen += [one.id for one in page]
        with engine.begin() as connection:
            for _ in range(5):
                connection.execute(orders.insert(), row(drawn, new))
                new += 1
            victim = drawn.choice(sorted(before - gone))
            gone.add(victim)
            connection.execute(orders.delete().where(orders.c.id == victim))
        if new > 1300:
            break
    rest = query.page(page.next) if page.next else None
    while rest:
        seen += [one.id for one in rest]
        rest = query.page(rest.next) if rest.next else None
    assert len(seen) == len(set(seen))
    assert before - gone <= set(seen)


def test_a_session_gives_its_objects_and_a_joins_rows_are_told_apart(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(Parent(id=number, name="same") for number in range(10))
        session.flush()
        session.add_all(Child(id=number, parent=number % 7) for number in range(20))
        session.commit()
        found = [
            one[0] for page in PaginatedQuery(session, Parent, key=Parent.name, page_size=3).pages() for one in page
        ]
        assert [one.id for one in found] == list(range(10))
        assert isinstance(found[0], Parent)
        assert found[0] in session
        joined = sa.select(Parent.id, Child.id.label("child")).outerjoin(Child, Child.parent == Parent.id)
        for key in ([Parent.name], [Child.id.desc()]):
            query = PaginatedQuery(session, joined, key=key, page_size=4)
            rows = [tuple(one) for page in query.pages() for one in page]
            assert len(rows) == len(set(rows)) == 23  # 20 children, and 3 parents of none
            assert set(rows) == {tuple(one) for one in session.execute(joined)}


def test_groups_distinct_rows_limits_and_unions_are_paged_as_they_are(engine: Engine) -> None:
    counted = sa.select(orders.c.shop, sa.func.count().label("n")).group_by(orders.c.shop)
    distinct = sa.select(orders.c.rank, orders.c.sure).distinct()
    with engine.connect() as connection:
        for statement, key in ((counted, "-n"), (distinct, "sure")):
            query = PaginatedQuery(engine, statement, key=key, page_size=2)
            found = [tuple(one) for page in query.pages() for one in page]
            expected = [tuple(one) for one in connection.execute(statement)]
            assert len(found) == len(expected)
            assert set(found) == set(expected)
    limited = sa.select(orders.c.id, orders.c.rank).where(orders.c.id >= 0).order_by(orders.c.id).limit(50)
    assert every(PaginatedQuery(engine, limited, unique=True, page_size=8)) == in_order(engine, orders.c.id)[:50]
    union = sa.union_all(sa.select(orders.c.id), sa.select((orders.c.id + 5000).label("id")))
    query = PaginatedQuery(engine, union, key="-id", unique=True, page_size=90)
    assert len(every(query)) == query.count() == 2 * ROWS


def test_a_page_far_on_is_found_by_the_index_and_not_by_counting(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS page_many")
        connection.exec_driver_sql("CREATE TABLE page_many (id int PRIMARY KEY, at int NOT NULL)")
        connection.exec_driver_sql("INSERT INTO page_many SELECT i, i / 10 FROM generate_series(1, 100000) i")
        connection.exec_driver_sql("CREATE INDEX ON page_many (at, id)")
        connection.exec_driver_sql("ANALYZE page_many")
    many = sa.Table("page_many", sa.MetaData(), autoload_with=engine)
    query = PaginatedQuery(engine, many, key="at", page_size=50)
    statements: list[tuple[str, Any]] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *told: statements.append((told[2], told[3])))
    place = query._cursors.write([9000, 90_005])
    assert [one.id for one in query.page(place)][:3] == [90_006, 90_007, 90_008]
    sql, parameters = statements[-1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters).scalar_one()
    scan = plan[0]["Plan"]["Plans"][0]
    assert scan["Node Type"] == "Index Only Scan"
    assert scan["Actual Rows"] == 51
    assert "Filter" not in scan
    engine.dispose()


def test_an_async_engine_and_session_are_paged_too(tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
            await connection.execute(orders.insert(), [{"id": number, "sure": 1} for number in range(10)])
        query = PaginatedQuery(engine, orders, page_size=4)
        assert [[one.id for one in page] async for page in query.pages_async()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        async with AsyncSession(engine) as session:
            assert len(await PaginatedQuery(session, orders, page_size=4).page_async()) == 4
        with pytest.raises(ValueError, match="page_async"):
            query.page()
        await engine.dispose()

    asyncio.run(main())


VALUES = [
    None,
    True,
    0,
    -(2**70),
    0.1,
    float("inf"),
    -0.0,
    "ä\ud800",
    b"\0\xff",
    decimal.Decimal("1.10"),
    uuid.UUID(int=5),
]
VALUES += [datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4), datetime.timedelta(days=-1, microseconds=1)]
VALUES += [datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), datetime.datetime.max]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_place_gives_its_values_back(value: Any) -> None:
    cursors = Cursors("shape")
    (found,) = cursors.read(cursors.write([value]), 1)
    assert (type(found), repr(found)) == (type(value), repr(value))


def test_a_place_that_was_changed_or_is_of_another_query_is_refused() -> None:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(orders.insert(), [{"id": number, "sure": 1} for number in range(10)])
    query = PaginatedQuery(engine, orders, page_size=3, secret="0123456789abcdef")
    place = query.page().next
    assert place is not None
    assert query.page(place).rows[0].id == 3
    drawn = random.Random(3)
    for _ in range(300):
        at = drawn.randrange(len(place))
        changed = place[:at] + drawn.choice("abcXYZ019-_=% ä") + place[at + 1 :]
        if changed != place and changed.rstrip("=") != place:
            with pytest.raises(ValueError, match="is no place in this query"):
                query.page(changed)
    others: list[Any] = ["", "x", place[:-4], place + "AAAA", "A" * 10_000, 5]
    for other in others:
        with pytest.raises(ValueError, match="is no place in this query"):
            query.page(other)
    unsigned = PaginatedQuery(engine, orders, page_size=3)
    other_order = PaginatedQuery(engine, orders, page_size=3, key="-id")
    for stranger in (unsigned, other_order):
        with pytest.raises(ValueError, match="is no place in this query"):
            stranger.page(place)


def test_wrong_arguments_are_named() -> None:
    engine = sa.create_engine("sqlite://")
    bare = sa.table("bare", sa.column("a"))
    wrong: list[tuple[str, Any]] = [
        ("bind=", lambda: PaginatedQuery("sqlite://", orders)),
        ("select=", lambda: PaginatedQuery(engine, "SELECT 1")),
        ("page_size=0", lambda: PaginatedQuery(engine, orders, page_size=0)),
        ("key='nope'", lambda: PaginatedQuery(engine, orders, key="nope")),
        ("key=.*each column once", lambda: PaginatedQuery(engine, orders, key=["id", "-id"])),
        ("has no primary key", lambda: PaginatedQuery(engine, bare, key="a")),
        ("not both", lambda: PaginatedQuery(engine, sa.select(orders).order_by(orders.c.id), key="rank")),
        ("does not tell", lambda: PaginatedQuery(engine, sa.select(orders).limit(5), key="rank")),
        ("16 bytes", lambda: PaginatedQuery(engine, orders, secret="short")),
        ("not both", lambda: PaginatedQuery(engine, orders).page("a", before="b")),
    ]
    for told, call in wrong:
        with pytest.raises(ValueError, match=told):
            call()
