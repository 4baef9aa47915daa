"""Advice from PostgreSQL's catalog alone: duplicate, redundant, unused and invalid indexes, foreign keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from perfagent import advise_indexes
from perfagent.data.indexes.limits import Limits
from tests.test_index_advice_postgres import NOW, of_kind, settle
from tests.test_index_advice_postgres import database as database
from tests.test_index_advice_postgres import server as server

if TYPE_CHECKING:
    from tests.test_index_advice_postgres import Database

pytestmark = pytest.mark.slow
TABLE = """
    CREATE TABLE t (a int, b int, c text, d text COLLATE "C");
    INSERT INTO t SELECT g, g, g::text, g::text FROM generate_series(1, 20000) g;
"""


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("(a)", "(a)", "duplicate"),
        ("(a, b)", "(a, b)", "duplicate"),
        ("(lower(c))", "(lower(c))", "duplicate"),
        ("(a) WHERE b > 5", "(a) WHERE b > 5", "duplicate"),
        ("(a) INCLUDE (b, c)", "(a) INCLUDE (c, b)", "duplicate"),
        ("(a, b)", "(a)", "redundant"),
        ("(a) INCLUDE (b)", "(a)", "redundant"),
        ("(a, b)", "(a) INCLUDE (b)", "redundant"),
        ("(a, b DESC)", "(a)", "redundant"),
        ("(lower(c), a)", "(lower(c))", "redundant"),
        # What is not the same, and would be missed.
        ("(a, b)", "(b)", ""),
        ("(a, b)", "(b, a)", ""),
        ("(a)", "(a DESC)", ""),
        ("(a NULLS FIRST)", "(a)", ""),
        ("(a) WHERE b > 5", "(a)", ""),
        ("(a) WHERE b > 5", "(a) WHERE b > 6", ""),
        ("(c)", "(c text_pattern_ops)", ""),
        ('(c COLLATE "C")', "(c)", ""),
        ("(lower(c))", "(upper(c))", ""),
        ("(lower(c))", "(c)", ""),
        ("(a)", "(a) INCLUDE (b)", "redundant"),  # the first one is it
    ],
)
def test_indexes_are_compared_by_all_that_makes_them_what_they_are(
    database: Database, first: str, second: str, kind: str
) -> None:
    url, _ = database(TABLE + f"CREATE INDEX one ON t {first}; CREATE INDEX two ON t {second}", ())
    found = of_kind(advise_indexes(url), "duplicate", "redundant")
    assert [one.kind for one in found] == ([kind] if kind else [])
    if kind:
        gone, kept = found[0].index, found[0].keep
        assert {gone, kept} == {"one", "two"}
        assert gone == ("one" if first == "(a)" and "INCLUDE" in second else "two")
        assert found[0].ddl == f'DROP INDEX CONCURRENTLY "public"."{gone}"'


@pytest.mark.parametrize(
    ("script", "dropped"),
    [
        ("CREATE INDEX plain ON t (a); ALTER TABLE t ADD CONSTRAINT pk PRIMARY KEY (a)", ["plain"]),
        ("CREATE UNIQUE INDEX strict ON t (a); CREATE INDEX wide ON t (a, b)", []),
        ("CREATE UNIQUE INDEX strict ON t (a); CREATE UNIQUE INDEX stricter ON t (a)", ["stricter"]),
        ("CREATE UNIQUE INDEX s ON t (a); CREATE UNIQUE INDEX r ON t (a) NULLS NOT DISTINCT", []),
        ("CREATE INDEX h1 ON t USING hash (a); CREATE INDEX b1 ON t (a)", []),
        ("CREATE INDEX x1 ON t (a); CREATE INDEX x2 ON t (a, b); CREATE INDEX x3 ON t (a, b, c)", ["x1", "x2"]),
        ("CREATE INDEX x1 ON t (a); CREATE INDEX x2 ON t (a); CREATE INDEX x3 ON t (a)", ["x2", "x3"]),
        ("CREATE UNIQUE INDEX ri ON t (a); ALTER TABLE t ALTER a SET NOT NULL; "
         "ALTER TABLE t REPLICA IDENTITY USING INDEX ri; CREATE UNIQUE INDEX other ON t (a)", ["other"]),
    ],
)  # fmt: skip
def test_what_a_constraint_or_uniqueness_needs_stays(database: Database, script: str, dropped: list[str]) -> None:
    url, connection = database(TABLE + script, ())
    found = of_kind(advise_indexes(url), "duplicate", "redundant")
    assert sorted(one.index for one in found) == dropped
    assert not {one.keep for one in found} & {one.index for one in found}
    for one in found:
        connection.execute(one.ddl)
    assert of_kind(advise_indexes(url), "duplicate", "redundant") == []


def test_an_unused_index_is_told_once_the_statistics_count_long_enough(database: Database) -> None:
    url, connection = database(
        TABLE
        + """
        ALTER TABLE t ADD PRIMARY KEY (a); CREATE UNIQUE INDEX strict ON t (b);
        CREATE INDEX idle ON t (c); CREATE INDEX busy ON t (d); ANALYZE t
        """,
        (),
    )
    connection.execute("SET enable_seqscan = off")
    connection.execute("SELECT * FROM t WHERE d = '77'")
    settle(connection)
    report = advise_indexes(url, limits=NOW)
    (unused,) = of_kind(report, "unused")
    assert unused.index == "idle"
    assert unused.reason.startswith("not used once in at least ")
    assert any("replica" in note for note in unused.notes)
    report = advise_indexes(url)  # the server runs for some seconds
    assert report.advice == ()
    assert any("1 indexes were not used, but the statistics count for" in note for note in report.notes)


def test_an_invalid_index_is_to_be_dropped(database: Database) -> None:
    url, connection = database(TABLE + "INSERT INTO t SELECT * FROM t LIMIT 5", ())
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)")
    (advice,) = advise_indexes(url).advice
    assert (advice.kind, advice.index) == ("invalid", "broken")
    connection.execute(advice.ddl)
    assert advise_indexes(url).advice == ()


def test_a_foreign_key_needs_an_index_where_rows_of_the_other_table_go(database: Database) -> None:
    url, connection = database(
        """
        CREATE TABLE parent (id int PRIMARY KEY);
        CREATE TABLE child (id int, "Parent ID" int REFERENCES parent);
        INSERT INTO parent SELECT generate_series(1, 5000);
        INSERT INTO child SELECT g, 1 + g % 4000 FROM generate_series(1, 30000) g;
        ANALYZE
        """,
        ("hypopg",),
    )
    settle(connection)
    report = advise_indexes(url)
    assert report.advice == ()
    assert any('child ("Parent ID")' in note for note in report.notes)
    connection.execute("DELETE FROM parent WHERE id > 4990")
    settle(connection)
    (advice,) = advise_indexes(url).advice
    assert (advice.kind, advice.columns) == ("foreign_key", ('"Parent ID"',))
    assert "10 rows of parent were deleted" in advice.reason
    connection.execute(advice.ddl)
    assert advise_indexes(url).advice == ()


def test_names_with_anything_in_them_are_quoted_and_schemas_are_found(database: Database) -> None:
    url, connection = database(
        """
        CREATE SCHEMA "o'dd; --";
        CREATE TABLE "o'dd; --"."we""ird" (id serial, "a'b;c" int, "drop table x" int);
        INSERT INTO "o'dd; --"."we""ird" ("a'b;c", "drop table x") SELECT g, g FROM generate_series(1, 50000) g;
        ANALYZE
        """,
        ("hypopg",),
    )
    statement = """SELECT * FROM "we""ird" WHERE "a'b;c" = $1"""
    report = advise_indexes(url, statement)
    assert [why for _text, why in report.skipped] == ["has a semicolon within"]  # rather than one command too many
    report = advise_indexes(url, 'SELECT * FROM "we""ird" WHERE "drop table x" = $1')
    (advice,) = report.advice
    connection.execute(advice.ddl)
    assert advise_indexes(url, 'SELECT * FROM "we""ird" WHERE "drop table x" = $1').advice == ()


def test_limits_out_of_their_range_are_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"factor=0\.5 is not accepted: a number from 1, such as 2\.0"):
        Limits(factor=0.5)
    with pytest.raises(ValueError, match="rows=nan"):
        Limits(rows=float("nan"))
