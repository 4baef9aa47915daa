"""Index advice against real SQLite files: the plan proves it, on a copy that has schema and statistics alone."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from perfagent import advise_indexes
from perfagent.data.indexes.connect import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfagent.data.indexes.advice import IndexReport

SLOW = "SELECT * FROM orders WHERE customer_id = ? ORDER BY created DESC LIMIT 10"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a shop in `shop.db`."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.executescript(
        """
        CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INT REFERENCES customers, status TEXT, total INT,
            created TEXT, shipped TEXT);
        """
    )
    customers = ((number, f"n{number}", f"u{number}@example.com") for number in range(5000))
    connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", customers)
    orders = (
        (
            number,
            number * 7919 % 500,
            ("new", "paid", "sent")[number % 3],
            number % 1000,
            f"{number * 13 % 99991:06}",
            "y",
        )
        for number in range(30_000)
    )
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", orders)
    connection.commit()
    yield connection
    connection.close()


def advise(tmp_path: Path, statements: str | None) -> IndexReport:
    return advise_indexes(f"sqlite:///{tmp_path}/shop.db", statements)


def steps(connection: sqlite3.Connection, sql: str, value: object) -> int:
    """How many hundreds of steps SQLite's machine takes: a number that no noise is in."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(counted, 100)
    connection.execute(sql, (value,)).fetchall()
    connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("analyzed", [True, False])
def test_the_advised_index_is_chosen_and_saves_most_of_the_work(
    shop: sqlite3.Connection, tmp_path: Path, analyzed: bool
) -> None:
    if analyzed:
        shop.execute("ANALYZE")
    (advice,) = advise(tmp_path, f"-- calls=5000 mean_ms=12\n{SLOW}").advice
    assert (advice.kind, advice.proof, advice.columns) == ("missing", "plan", ('"customer_id"', '"created"'))
    (evidence,) = advice.evidence
    assert evidence.plan_before == "SCAN orders, USE TEMP B-TREE FOR ORDER BY"
    assert advice.saved_ms_per_day == pytest.approx(60_000 * evidence.saved)
    before = steps(shop, SLOW, 7)
    shop.execute(advice.ddl)
    (plan,) = [row[3] for row in shop.execute(f"EXPLAIN QUERY PLAN {SLOW}", (7,))]
    assert plan == evidence.plan_after
    assert before >= 20 * max(steps(shop, SLOW, 7), 1)
    shop.commit()
    assert advise(tmp_path, SLOW).advice == ()


def test_what_an_index_cannot_help_gets_no_advice(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE small (a INT)")
    shop.executemany("INSERT INTO small VALUES (?)", [(number,) for number in range(500)])
    shop.commit()
    report = advise(
        tmp_path,
        """
        SELECT count(*) FROM orders WHERE status = 'new';
        SELECT * FROM orders WHERE id = $1;
        SELECT * FROM small WHERE a = 5;
        SELECT sum(total) FROM orders
        """,
    )
    assert report.advice == ()
    assert report.skipped == ()


def test_a_partial_index_is_advised_where_few_rows_fit(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("UPDATE orders SET shipped = NULL WHERE id % 400 = 0")
    shop.commit()
    (advice,) = advise(tmp_path, "SELECT * FROM orders WHERE shipped IS NULL AND total = ?").advice
    assert advice.columns == ('"total"',)
    shop.execute(advice.ddl)


def test_duplicates_and_what_no_statement_uses_are_told(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.executescript(
        """
        CREATE INDEX one ON orders (status, total); CREATE INDEX two ON orders (status, total);
        CREATE INDEX narrow ON orders (status); CREATE INDEX partial ON orders (status) WHERE total > 5;
        CREATE INDEX nocase ON orders (status COLLATE NOCASE, total); CREATE INDEX names ON customers (name);
        """
    )
    report = advise(tmp_path, "SELECT * FROM orders WHERE status = ? AND total = ?; SELECT * FROM orders WHERE id = ?")
    assert {(one.kind, one.index, one.keep) for one in report.advice} == {
        ("duplicate", "two", "one"),
        ("redundant", "narrow", "one"),
    }
    (note,) = report.notes
    assert "names" in note
    assert "none of the 2 statements uses" in note


def test_a_foreign_key_needs_an_index_where_a_statement_deletes(shop: sqlite3.Connection, tmp_path: Path) -> None:
    assert advise(tmp_path, "SELECT * FROM customers WHERE id = ?").advice == ()
    (advice,) = advise(tmp_path, "DELETE FROM customers WHERE id = ?").advice
    assert (advice.kind, advice.table, advice.columns) == ("foreign_key", "orders", ('"customer_id"',))
    shop.execute(advice.ddl)
    shop.commit()
    assert advise(tmp_path, "DELETE FROM customers WHERE id = ?").advice == ()


def test_statements_are_planned_and_never_run(shop: sqlite3.Connection, tmp_path: Path) -> None:
    before = (tmp_path / "shop.db").read_bytes()
    report = advise(
        tmp_path,
        "DELETE FROM orders; UPDATE orders SET total = 0 WHERE total = 5; INSERT INTO customers VALUES (-1, '', '');"
        "ATTACH '/tmp/other.db' AS other; SELECT load_extension('x') FROM orders WHERE total = 5",
    )
    assert any(one.columns == ('"total"',) for one in report.advice)
    assert (tmp_path / "shop.db").read_bytes() == before


def test_a_collation_of_the_program_is_stood_in_for_and_a_function_skipped_with_the_reason(
    shop: sqlite3.Connection, tmp_path: Path
) -> None:
    shop.create_collation("odd", lambda one, two: (one > two) - (one < two))
    shop.executescript("CREATE TABLE words (w TEXT COLLATE odd); CREATE VIRTUAL TABLE texts USING fts5(body)")
    shop.executemany("INSERT INTO words VALUES (?)", [(f"w{number}",) for number in range(2000)])
    shop.commit()
    report = advise(tmp_path, "SELECT * FROM words WHERE w = ?; SELECT * FROM nowhere; SELECT frob(id) FROM orders")
    assert [why for _text, why in report.skipped] == ["no such function: frob"]


def test_without_statements_the_report_says_where_to_get_them(shop: sqlite3.Connection, tmp_path: Path) -> None:
    (note,) = advise(tmp_path, None).notes
    assert "--statements FILE" in note


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("sqlite:///nowhere.db", UnreachableError, "nowhere.db: no such file"),
        ("sqlite://", ValueError, "name its file"),
        ("oracle://scott:tiger@host/x", ValueError, "no index advice for 'oracle'"),
        ("postgresql", ValueError, "such as postgresql://user@host/database"),
        ("", ValueError, "set PERFAGENT_DATABASE_URL"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(
    url: str, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfagent.data.indexes.advise.IndexSettings.current", lambda: type("S", (), {"url": ""}))
    with pytest.raises(error, match=text) as caught:
        advise_indexes(url)
    assert "tiger" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("no database at all, but text that is long enough to be looked at" * 20)
    with pytest.raises(UnreachableError, match="not a database"):
        advise(tmp_path, "SELECT 1")
