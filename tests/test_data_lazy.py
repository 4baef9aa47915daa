"""A lazy frame reads what somebody looks at, and no row more; the rows are counted at the driver."""

from __future__ import annotations

import datetime
import decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import sqlalchemy as sa

from perfagent.data import LazyDataFrame, PaginatedQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

pytestmark = pytest.mark.slow  # real servers: left out of the fast part

ROWS = 5000
things = sa.Table(
    "lazy_things",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("many", sa.Integer),
    sa.Column("share", sa.Double),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("ready", sa.Boolean),
    sa.Column("made", sa.DateTime),
    sa.Column("seen", sa.DateTime(timezone=True)),
    sa.Column("doc", sa.JSON),
)


class Fetched:
    """How many rows the driver has got from PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self.rows = 0
        self.texts: list[str] = []
        sa.event.listen(engine, "after_cursor_execute", self)

    def __call__(self, _connection: Any, cursor: Any, text: str, *_rest: Any) -> None:
        self.rows += max(cursor.rowcount, 0)  # of a SELECT: how many the server sent
        self.texts.append(text)

    def take(self) -> int:
        rows, self.rows = self.rows, 0
        return rows


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    things.drop(engine, checkfirst=True)
    things.create(engine)
    start = datetime.datetime(2024, 1, 1)
    with engine.begin() as connection:
        connection.execute(
            things.insert(),
            [
                {
                    "id": 2**60 + number,
                    "name": f"thing {number}" if number % 3 else None,
                    "many": number if number % 2 else None,
                    "share": number / 7 if number % 5 else None,
                    "price": decimal.Decimal(number) / 4,
                    "ready": [True, False, None][number % 3],
                    "made": start + datetime.timedelta(microseconds=number) if number % 2 else None,
                    "seen": (start + datetime.timedelta(days=number % 300)).replace(tzinfo=datetime.timezone.utc),
                    "doc": {"n": [number]},
                }
                for number in range(ROWS)
            ],
        )
    yield engine
    engine.dispose()


@pytest.fixture
def frame(engine: Engine) -> LazyDataFrame:
    return PaginatedQuery(engine, things, page_size=500).to_lazy_dataframe()


def test_only_what_is_looked_at_is_fetched(engine: Engine, frame: LazyDataFrame) -> None:
    fetched = Fetched(engine)
    assert list(frame.columns)[:2] == ["id", "name"]
    assert frame.dtypes["many"] == "Int64"
    assert (fetched.take(), fetched.texts) == (0, [])
    assert len(frame.head(7)) == 7
    assert fetched.take() == 7
    assert "LIMIT" in fetched.texts[-1]
    assert list(frame[4000:4010]["id"]) == list(range(2**60 + 4000, 2**60 + 4010))
    assert fetched.take() == 10
    assert list(frame[4010:4013].index) == [4010, 4011, 4012]
    assert "OFFSET" not in fetched.texts[-1]  # it goes on where the last one ended
    assert fetched.take() == 3
    assert list(frame["name"].head(2)["name"]) == [None, "thing 1"]
    assert "doc" not in fetched.texts[-1]
    assert fetched.take() == 2
    assert len(frame) == ROWS
    assert fetched.take() == 1
    assert frame[10:10].empty
    assert fetched.take() == 0
    rows = iter(frame)
    assert next(rows).id == 2**60
    assert fetched.take() == 500
    rows.close()
    assert len(frame[-3:]) == 3
    assert fetched.take() == 4


def test_the_whole_is_the_rows_of_the_table(engine: Engine, frame: LazyDataFrame) -> None:
    with engine.connect() as connection:
        expected = list(connection.execute(sa.select(things).order_by(things.c.id)))
    assert [tuple(row) for row in frame] == [tuple(row) for row in expected]
    whole = frame.to_pandas()
    assert len(whole) == ROWS
    for place, name in enumerate(whole.columns):
        for found, row in zip(whole[name], expected, strict=True):
            if row[place] is None:
                assert pd.isna(found)
            else:
                assert found == row[place]
    pd.testing.assert_frame_equal(pd.concat(list(frame.chunks())), whole)
    pd.testing.assert_frame_equal(frame[100:200:7], whole.iloc[100:200:7])
    pd.testing.assert_frame_equal(frame[:], whole)
    pd.testing.assert_frame_equal(frame[-20:-10], whole.iloc[-20:-10])
    pd.testing.assert_frame_equal(frame[["price", "id"]][5:9], whole[["price", "id"]].iloc[5:9])


def test_types_are_the_same_in_every_slice(frame: LazyDataFrame) -> None:
    told = frame.dtypes.astype(str).to_dict()
    assert told["id"] == told["many"] == "Int64"
    assert (told["share"], told["ready"]) == ("Float64", "boolean")
    assert (told["made"], told["seen"]) == ("datetime64[us]", "datetime64[us, UTC]")
    for found in (frame.head(1), frame[0:0], frame[1:2], frame[100:400], frame[ROWS + 5 : ROWS + 9]):
        assert found.dtypes.astype(str).to_dict() == told


def test_neighbouring_slices_are_exact_while_somebody_inserts(engine: Engine) -> None:
    frame = PaginatedQuery(engine, things).to_lazy_dataframe()
    first = frame[0:100]
    with engine.begin() as connection:
        connection.execute(things.insert(), {"id": 1, "name": "before all"})
    second = frame[100:200]
    with engine.begin() as connection:
        connection.execute(things.delete().where(things.c.id == 1))
    assert list(first["id"]) + list(second["id"]) == list(range(2**60, 2**60 + 200))


def test_what_a_column_of_sqlite_holds_goes_before_its_type() -> None:
    engine = sa.create_engine("sqlite://")
    loose = sa.Table("loose", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))
    loose.create(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO loose VALUES (1, 'many'), (2, 5)")
    assert list(PaginatedQuery(engine, loose).to_lazy_dataframe().head()["n"]) == ["many", 5]


def test_wrong_arguments_are_named(frame: LazyDataFrame) -> None:
    for call in (lambda: frame.head(-1), lambda: frame["nothing"], lambda: frame[0:5:-1]):
        with pytest.raises(ValueError, match=r"is not accepted: .*; for example"):
            call()
    with pytest.raises(TypeError, match=r"frame\[5:6\]"):
        frame[5]  # type: ignore[index]
    with pytest.raises(ValueError, match="neither true nor false"):
        bool(frame)
