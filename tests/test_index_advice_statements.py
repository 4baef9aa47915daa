"""What statements tell of themselves: parameters of every style, accesses, files; odd SQL never raises."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfagent.data.indexes import ddl, placeholders, statements
from perfagent.data.indexes.accesses import UnreadableError, accesses
from perfagent.data.indexes.advice import Index, Key, Table
from perfagent.data.indexes.candidates import candidates
from perfagent.data.indexes.catalog import Catalog
from perfagent.data.indexes.estimate import distinct

ORDERS = Table(
    "public",
    "orders",
    dict.fromkeys(("id", "customer_id", "status", "created", "total", "gone", "note"), "int"),
    rows=100_000,
    pages=1000,
    indexes=[Index("orders_pkey", ("1",), ("id",), ("id",), unique=True, needed=True)],
    distinct={"customer_id": 5000, "status": 3, "created": 90_000},
)
CUSTOMERS = Table("public", "customers", {"id": "int", "email": "text", "country": "text"}, rows=5000, pages=50)
CATALOG = Catalog([ORDERS, CUSTOMERS], ["public"])


def shapes(sql: str, dialect: str = "postgres") -> list[tuple[str, str, str]]:
    """The candidates as table, keys and condition."""
    found = candidates(accesses(sql, dialect, CATALOG), partial=dialect != "mysql")
    return [
        (one.table, ", ".join(ddl.key(key, "sqlite") for key in one.keys).replace('"', ""), "".join(one.fixed or ()))
        for one in found
    ]


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("SELECT * FROM orders WHERE status = $1 AND customer_id = $2", ("orders", "customer_id, status", "")),
        ("SELECT * FROM orders WHERE created > $1 AND customer_id = $2", ("orders", "customer_id, created", "")),
        ("SELECT * FROM orders WHERE customer_id = ? ORDER BY created", ("orders", "customer_id, created", "")),
        ("SELECT * FROM orders ORDER BY created DESC LIMIT 5", ("orders", "created", "")),
        ("SELECT * FROM orders ORDER BY created DESC, total LIMIT 5", ("orders", "created DESC, total", "")),
        ("SELECT * FROM orders ORDER BY created DESC NULLS LAST LIMIT 5", ("orders", "created DESC NULLS LAST", "")),
        ("SELECT status, count(*) FROM orders GROUP BY status", ("orders", "status", "")),
        ("SELECT * FROM orders WHERE customer_id = 1 OR customer_id = 2", ("orders", "customer_id", "")),
        ("SELECT * FROM orders WHERE gone IS NULL AND customer_id = 5", ("orders", "customer_id", "gone IS NULL")),
        ("SELECT * FROM orders WHERE NOT gone AND customer_id = 5", ("orders", "customer_id", "goneNOT ")),
        ("SELECT * FROM customers WHERE upper(email) = 'X'", ("customers", "upper(email)", "")),
        ("SELECT * FROM customers WHERE email LIKE 'ab%'", ("customers", "email text_pattern_ops", "")),
        ('SELECT * FROM "orders" AS "O" WHERE "O"."customer_id" = ANY($1)', ("orders", "customer_id", "")),
        ("UPDATE orders SET total = 1 FROM customers c WHERE c.id = customer_id", ("orders", "customer_id", "")),
        ("DELETE FROM orders USING customers c WHERE c.id = customer_id", ("orders", "customer_id", "")),
        ("SELECT 1 FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
         ("orders", "customer_id", "")),
        ("SELECT max(created) FROM orders WHERE status = $1", ("orders", "status, created", "")),
        ("INSERT INTO customers SELECT * FROM orders WHERE customer_id = 5", ("orders", "customer_id", "")),
        ("-- who\n/* what */ select * from ORDERS where Customer_ID = %(who)s", ("orders", "customer_id", "")),
    ],
)  # fmt: skip
def test_equality_comes_first_and_then_the_range_or_the_order(sql: str, first: tuple[str, str, str]) -> None:
    assert shapes(sql)[0] == first


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM orders WHERE id = $1",  # there is one
        "SELECT * FROM orders WHERE customer_id = total",  # two columns of a row
        "SELECT * FROM orders WHERE customer_id + 1 = $1",
        "SELECT * FROM customers WHERE email LIKE '%x'",
        "SELECT * FROM customers WHERE email LIKE $1",  # nobody knows what it begins with
        "SELECT * FROM orders WHERE status = 1 OR total = 2",
        "SELECT count(*) AS total FROM orders ORDER BY total LIMIT 1",  # the alias, not the column
        "SELECT * FROM unknown WHERE a = 1",
        "WITH orders AS (SELECT 1 AS customer_id) SELECT * FROM orders WHERE customer_id = 1",
        "SELECT 1",
    ],
)
def test_what_no_index_would_help_has_no_candidate(sql: str) -> None:
    assert shapes(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        *("", ";", "VACUUM", "CREATE TABLE t (a int)", "SELECT 1; SELECT 2", "SELECT ((((", "EXPLAIN ANALYZE SELECT 1"),
        *("select " * 3000, "SELECT " + "(" * 9000, "/* unclosed", "-- only"),
    ],
)
def test_what_cannot_be_looked_into_has_a_reason(sql: str) -> None:
    with pytest.raises(UnreadableError, match=r"\w"):
        accesses(sql, "postgres", CATALOG)


WORDS = r"""
    SELECT FROM WHERE AND OR NOT IN ( ) , . * = < > <> IS NULL LIKE BETWEEN ANY EXISTS JOIN LEFT ON USING GROUP BY ORDER
    LIMIT OFFSET DESC NULLS LAST WITH AS UPDATE SET DELETE INSERT INTO VALUES UNION ALL CASE WHEN END INTERVAL lower max
    orders customers o c id customer_id email created status $1 ? %s :name ?| @> -> ->> :: [ ] 'it''s' "a""b" `x` $$ $t$
    -- /* */ ; 1 1e9 0x1F E'\'' \ é LATERAL OVER PARTITION ARRAY ROW FOR
"""


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(WORDS.split()), max_size=40).map(" ".join),
        st.lists(st.sampled_from(WORDS.split()), max_size=25).map(
            lambda words: "SELECT * FROM orders WHERE " + " ".join(words)
        ),
        st.text(max_size=200),
    ),
    st.sampled_from(["postgres", "mysql", "sqlite"]),
)
@example("SELECT * FROM orders o, orders WHERE id = id AND o.id = orders.id ORDER BY 1, 2 LIMIT ALL", "postgres")
@example("SELECT * FROM orders WHERE (customer_id, id) IN ((1, 2)) AND (customer_id, id) > (1, 2)", "postgres")
@example("SELECT * FROM orders NATURAL JOIN customers USING (id) WHERE a[1:2] = 3", "postgres")
@example("DELETE FROM orders", "mysql")
def test_odd_sql_gives_candidates_or_a_reason_and_nothing_else(sql: str, dialect: str) -> None:
    placeholders.numbered(sql, 5.0)
    placeholders.positional(sql)
    placeholders.filled(sql, "'x'")
    statements.read(sql.replace("=", ""))
    statements.shown(sql, dialect)
    try:
        found = candidates(accesses(sql, dialect, CATALOG), partial=True)
    except UnreadableError:
        return
    for one in found:
        assert one.keys
        assert all(key.column in (ORDERS if one.table == "orders" else CUSTOMERS).columns for key in one.keys)


@pytest.mark.parametrize(
    ("sql", "text", "count"),
    [
        ("a = ? AND b = ?", "a = $1 AND b = $2", 2),
        ("a = %s AND b LIKE '50%%'", "a = $1 AND b LIKE '50%'", 1),
        ("a = :x AND b = :y AND c = :x", "a = $1 AND b = $2 AND c = $1", 2),
        ("a = %(x)s AND b = %(x)s", "a = $1 AND b = $1", 1),
        ("a = $2 AND b = $1 AND c ? 'key'", "a = $1 AND b = $2 AND c ? 'key'", 2),
        ("a = '$1 ? :x %s' AND b = $1", "a = '$1 ? :x %s' AND b = $1", 1),
        ("a::text = ? -- ?\n AND b /* ? */ = 1", "a::text = $1 -- ?\n AND b /* ? */ = 1", 1),
        ("a = $$ ? $$ AND b = $x$ ? $x$ AND c = ?", "a = $$ ? $$ AND b = $x$ ? $x$ AND c = $1", 1),
        ("a = $1 LIMIT $2 OFFSET $3", "a = $1 LIMIT 7 OFFSET 0", 1),
        ("a > now() - interval $1", "a > now() - ($1)::interval", 1),
        ("a[1:2] = ?", "a[1:2] = $1", 1),
    ],
)
def test_parameters_of_every_style_become_those_of_prepare(sql: str, text: str, count: int) -> None:
    assert placeholders.numbered(sql, 7) == (text, count)


def test_a_file_has_statements_with_their_figures() -> None:
    first, second, third = statements.read(
        """
        -- the slow page; calls=5000 mean_ms=12.5 rows=20
        SELECT ';' FROM a WHERE b = ';';
        -- rows=1
        -- calls=7
        SELECT "x;y" /* ; */ FROM a; ;
        SELECT $t$;$t$
        """
    )
    assert (first.calls_per_day, first.mean_ms, first.rows) == (5000, 12.5, 20)
    assert first.sql == "SELECT ';' FROM a WHERE b = ';'"
    assert (second.calls_per_day, second.mean_ms, second.rows) == (7, None, 1)
    assert third.sql == "SELECT $t$;$t$"
    with pytest.raises(ValueError, match="calls=many before a statement is no number from 0; such as -- calls=5000"):
        statements.read("-- calls=many\nSELECT 1")


@given(
    st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text), st.lists(st.text(max_size=60), max_size=4)
)
def test_an_index_name_fits_and_stays_the_same(table: str, columns: list[str]) -> None:
    keys = [Key(column) for column in columns]
    name = ddl.name(table, keys)
    assert name == ddl.name(table, keys)
    assert 0 < len(name.encode()) <= 63
    assert name != ddl.name(table, keys, "x IS NULL")


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text), st.sampled_from(["postgres", "sqlite"]))
def test_a_quoted_name_is_one_identifier(name: str, dialect: str) -> None:
    import sqlite3

    with sqlite3.connect(":memory:") as connection:
        try:
            name.encode()
        except UnicodeEncodeError:
            return
        cursor = connection.execute(f"SELECT 1 AS {ddl.quoted(name, dialect)}")
        assert cursor.description[0][0] == name


def test_the_number_of_values_is_estimated_as_postgresqls_analyze_does() -> None:
    assert distinct(100, 100, 40, 10) == 40  # all rows were seen
    assert distinct(1_000_000, 10_000, 10_000, 10_000) == pytest.approx(1_000_000)  # none twice: as many as rows
    assert distinct(1_000_000, 10_000, 3, 0) == 3  # none once: all were seen
    assert 5000 <= distinct(1_000_000, 10_000, 4500, 1500) <= 6000
