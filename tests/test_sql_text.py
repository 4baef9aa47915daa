"""perfagent.runtime.sql: no literal survives, whatever the dialect, and the verbs and tables are found."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perfagent.runtime.sql import LIMIT, READ, SqlText, describe

MYSQL = {"double_quotes_are_strings": True}
POSTGRESQL = {"backslash_escapes": False}
UNKNOWN: dict[str, bool] = {}


def parts(described: SqlText) -> tuple[str, str, str, str]:
    return described.text, described.operation, described.collection, described.summary


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 'a', 'it''s', ''", "SELECT ?, ?, ?"),
        ("SELECT E'it\\'s', e'\\\\', N'x', X'1F', b'01', U&'d\\0061t'", "SELECT ?, ?, ?, ?, ?, ?"),
        ("SELECT $$it's$$, $tag$ $$ $tag$, $1", "SELECT ?, ?, $1"),
        ("SELECT q'[it's]', Q'!it's!', nq'{a'b}'", "SELECT ?, ?, ?"),
        ("SELECT _utf8'x', date '2020-01-01', interval '1' day", "SELECT _utf8?, date ?, interval ? day"),
        ("SELECT 1, -1, +1, 1.5, .5, 1e-5, 1E+5, 0x1F, 0b11, 1_000", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT a-1, a - 1, 1-1, (-1), x*-.5e3", "SELECT a-?, a - ?, ?-?, (?), x*?"),
        ("WHERE a BETWEEN -1 AND -2 LIMIT -1", "WHERE a BETWEEN ? AND ? LIMIT ?"),
        ("SELECT table1.col2x, t$1, é2 FROM table1", "SELECT table1.col2x, t$1, é2 FROM table1"),
        ("WHERE a = true AND b IS NOT FALSE", "WHERE a = ? AND b IS NOT FALSE"),
        ('SELECT "true", t.false, :true, %(true)s', 'SELECT "true", t.false, :true, %(true)s'),
        ("WHERE a = %s AND b = %(b)s AND c = $1 AND d = :d", "WHERE a = %s AND b = %(b)s AND c = $1 AND d = :d"),
        ("WHERE a = ? AND b = ?2 AND c = :1 AND d = @d", "WHERE a = ? AND b = ?2 AND c = :1 AND d = @d"),
        ("SELECT '5'::int, a[1:2], j->>'k', j ? 'k'", "SELECT ?::int, a[?:?], j->>?, j ? ?"),
        ("SELECT \"it's\", `a'b`, [Order 2], ARRAY['x']", "SELECT \"it's\", `a'b`, [Order 2], ARRAY[?]"),
        ("SELECT 1 -- it's\n, 2 /* 'x' */ , 3", "SELECT ? , ? , ?"),
        ("SELECT 1 /*traceparent='00-ab'*/", "SELECT ?"),
        ("  SELECT\n\t a ,\r\n b  ", "SELECT a , b"),
        ("a IN (1, 2,3) OR b in ('x') OR c IN(%s, %s)", "a IN (?) OR b in (?) OR c IN(%s)"),
        ("a IN ($1, $2, $3) OR b IN (:a, :b) OR c IN (%(a)s, %(b)s)", "a IN ($1) OR b IN (:a) OR c IN (%(a)s)"),
        ("(a, b) IN ((1, 2), (3, 4)) AND min(1, 2) = 1", "(a, b) IN ((?, ?)) AND min(?, ?) = ?"),
        ("VALUES (1, 'a'), (2, NULL), (3, lower('x')) RETURNING id", "VALUES (?, ?) RETURNING id"),
        ("x = ANY(ARRAY[1, 2, 3])", "x = ANY(ARRAY[?])"),
    ],
)
def test_literals_become_question_marks_and_all_else_stays(sql: str, text: str) -> None:
    assert describe(sql).text == text


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ('SELECT "a""b", "it\'s", \'say "x"\'', "SELECT ?, ?, ?"),
        (r"SELECT 'it\'s', '\\', " + r'"a\"b"', "SELECT ?, ?, ?"),
        ("SELECT 1 # it's\n, 5--3, 4 -- x", "SELECT ? , ?- ?, ?"),
        ("SELECT `a``b` FROM `t`", "SELECT `a``b` FROM `t`"),
    ],
)
def test_mysql_reads_double_quotes_backslashes_and_hashes_in_its_own_way(sql: str, text: str) -> None:
    assert describe(sql, double_quotes_are_strings=True).text == text


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 'secret", "SELECT ?"),
        ("SELECT a, 'sec''ret", "SELECT a, ?"),
        ('SELECT a FROM "secret', "SELECT a FROM ?"),
        ('SELECT "a""secret', "SELECT ?"),
        ("SELECT `secret", "SELECT ?"),
        ("SELECT $x$secret$$ $y$", "SELECT ?"),
        ("SELECT E'secret\\'", "SELECT ?"),
        ("SELECT q'[secret'", "SELECT ?"),
        ("SELECT 1 /* secret", "SELECT ?"),
        ("SELECT 1 -- secret", "SELECT ?"),
    ],
)
def test_a_literal_that_does_not_end_takes_the_rest_with_it(sql: str, text: str) -> None:
    assert describe(sql).text == text


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        (r"SELECT 'a\', secret, 'b'", UNKNOWN),  # PostgreSQL: a string, a name, a string
        (r"SELECT 'a\' secret', 'b'", UNKNOWN),  # MySQL: two strings
        ("SELECT /* /* */ secret */ 1", UNKNOWN),  # PostgreSQL: one comment
        ("SELECT 1 --\rsecret\n", UNKNOWN),  # SQLite: one comment
        ("SELECT /*!50000 '*/ secret' */ 1", MYSQL),  # MySQL runs it: a string
    ],
)
def test_where_databases_disagree_the_rest_is_left_out(sql: str, dialect: dict[str, bool]) -> None:
    assert "secret" not in describe(sql, **dialect).text


def test_a_backslash_is_an_ordinary_character_where_the_caller_says_so() -> None:
    assert describe(r"SELECT 'C:\', a FROM t", backslash_escapes=False).text == "SELECT ?, a FROM t"
    assert describe(r"SELECT 'it\'s', a FROM t", backslash_escapes=True).text == "SELECT ?, a FROM t"
    assert describe(r"a LIKE %s ESCAPE '\' AND b = 1").text == "a LIKE %s ESCAPE ? AND b = ?"


STATEMENTS = [
    # any database
    ("SELECT 1", "SELECT", "", "SELECT"),
    ("select Id from Users", "SELECT", "Users", "SELECT Users"),
    ("SELECT * FROM wuser_table WHERE username = ?", "SELECT", "wuser_table", "SELECT wuser_table"),
    ("SELECT * FROM songs, artists a WHERE songs.a == a.id", "SELECT", "songs", "SELECT songs artists"),
    (
        "SELECT d FROM (SELECT * FROM orders o JOIN customers c ON o.c = c.id)",
        "SELECT",
        "orders",
        "SELECT SELECT orders customers",
    ),
    ('SELECT * FROM "song list", artists', "SELECT", '"song list"', 'SELECT "song list" artists'),
    ("SELECT * FROM a LEFT JOIN b ON a.i = b.i CROSS JOIN c, d", "SELECT", "a", "SELECT a b c d"),
    ("SELECT * FROM (a JOIN b USING (i)) JOIN c USING (i, j)", "SELECT", "a", "SELECT a b c"),
    ("SELECT a FROM x UNION ALL SELECT a FROM y ORDER BY a, b", "SELECT", "x", "SELECT x SELECT y"),
    ("(SELECT a FROM x) UNION (SELECT a FROM y)", "SELECT", "x", "SELECT x SELECT y"),
    ("SELECT (SELECT max(a) FROM x), b FROM y", "SELECT", "x", "SELECT SELECT x y"),
    ("SELECT * FROM a WHERE EXISTS (SELECT 1 FROM b)", "SELECT", "a", "SELECT a SELECT b"),
    ("SELECT EXTRACT(YEAR FROM created), trim(both from x) FROM logs", "SELECT", "logs", "SELECT logs"),
    ("SELECT a IS DISTINCT FROM b FROM c FOR UPDATE", "SELECT", "c", "SELECT c"),
    ("SELECT replace(name, 'a', 'b') FROM t", "SELECT", "t", "SELECT t"),
    ("SELECT %(from)s, :from, u.from FROM t", "SELECT", "t", "SELECT t"),
    ("-- from x\n/* UPDATE y */ SELECT a FROM t", "SELECT", "t", "SELECT t"),
    (
        "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders",
        "INSERT",
        "shipping_details",
        "INSERT shipping_details SELECT orders",
    ),
    ("INSERT INTO t (a, b) VALUES (1, 2), (3, 4)", "INSERT", "t", "INSERT t"),
    ("UPDATE accounts SET a = a - 1, b = 2 WHERE id = 5", "UPDATE", "accounts", "UPDATE accounts"),
    ("DELETE FROM a WHERE id IN (SELECT id FROM b)", "DELETE", "a", "DELETE a SELECT b"),
    (
        "WITH r AS (SELECT * FROM orders) SELECT * FROM r JOIN users USING (id)",
        "SELECT",
        "orders",
        "SELECT orders SELECT users",
    ),
    (
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
        "SELECT",
        "",
        "SELECT SELECT",
    ),
    ("WITH a AS (SELECT 1 FROM x), b AS (SELECT 2 FROM a) UPDATE t SET v = 1 FROM b", "UPDATE", "t", None),
    ("INSERT INTO t WITH x AS (SELECT 1 FROM q) SELECT * FROM x", "INSERT", "t", "INSERT t SELECT q SELECT"),
    (
        "CREATE TABLE IF NOT EXISTS users (id int, a int REFERENCES y (id) ON DELETE CASCADE)",
        "CREATE TABLE",
        "users",
        "CREATE TABLE users",
    ),
    ("CREATE TABLE x AS SELECT * FROM y", "CREATE TABLE", "x", "CREATE TABLE x SELECT y"),
    ("CREATE OR REPLACE TEMP VIEW v AS SELECT * FROM y", "CREATE VIEW", "v", "CREATE VIEW v SELECT y"),
    ("CREATE UNIQUE INDEX i ON users (email)", "CREATE INDEX", "users", "CREATE INDEX i users"),
    ("CREATE USER bob PASSWORD 'secret'", "CREATE USER", "", "CREATE USER"),
    ("DROP TABLE IF EXISTS a, b CASCADE", "DROP TABLE", "a", "DROP TABLE a b"),
    ("DROP INDEX i", "DROP INDEX", "", "DROP INDEX i"),
    ("ALTER TABLE t ADD COLUMN a int, ADD COLUMN b int", "ALTER TABLE", "t", "ALTER TABLE t"),
    ("TRUNCATE TABLE a, b", "TRUNCATE", "a", "TRUNCATE a b"),
    ("BEGIN", "BEGIN", "", "BEGIN"),
    ("SAVEPOINT sa_savepoint_1", "SAVEPOINT", "", "SAVEPOINT"),
    ("ROLLBACK TO SAVEPOINT sa_savepoint_1", "ROLLBACK", "", "ROLLBACK"),
    ("BEGIN; UPDATE t SET a = 1; COMMIT;", "BEGIN", "t", "BEGIN UPDATE t COMMIT"),
    ("SELECT 1 FROM a; INSERT INTO b VALUES (1)", "SELECT", "a", "SELECT a INSERT b"),
    ("EXPLAIN SELECT * FROM t", "EXPLAIN", "t", "EXPLAIN SELECT t"),
    ("CALL do_it(1, 'x')", "CALL", "", "CALL do_it"),
    ("GRANT SELECT ON t TO bob", "GRANT", "", "GRANT"),
    # SQLite
    ("INSERT OR REPLACE INTO kv (k, v) VALUES (?, ?)", "INSERT", "kv", "INSERT kv"),
    ("UPDATE OR IGNORE t SET a = 'x'", "UPDATE", "t", "UPDATE t"),
    ("PRAGMA table_info(users)", "PRAGMA", "", "PRAGMA table_info"),
    ("PRAGMA main.journal_mode = WAL", "PRAGMA", "", "PRAGMA main.journal_mode"),
    ("EXPLAIN QUERY PLAN SELECT * FROM t", "EXPLAIN", "t", "EXPLAIN SELECT t"),
    ("SELECT value FROM json_each(?) JOIN t ON 1", "SELECT", "t", "SELECT t"),
    (
        "CREATE TRIGGER tr AFTER INSERT OR UPDATE ON t BEGIN UPDATE u SET a = 1; END",
        "CREATE TRIGGER",
        "t",
        "CREATE TRIGGER tr t END",
    ),
    # PostgreSQL
    ('SELECT u."name" FROM "public"."users" u', "SELECT", '"public"."users"', 'SELECT "public"."users"'),
    ("SELECT * FROM ONLY app.users, LATERAL (SELECT * FROM b) x", "SELECT", "app.users", "SELECT app.users SELECT b"),
    ("SELECT * FROM generate_series(1, 9) g, unnest(a) WITH ORDINALITY AS t(a, n)", "SELECT", "", "SELECT"),
    ("SELECT * INTO newt FROM oldt", "SELECT", "newt", "SELECT newt oldt"),
    ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = 2", "INSERT", "t", "INSERT t"),
    ("UPDATE ONLY a AS x SET y = 1 FROM b WHERE x.i = b.i RETURNING i, j", "UPDATE", "a", "UPDATE a b"),
    ("DELETE FROM a USING b, c WHERE a.i = b.i", "DELETE", "a", "DELETE a b c"),
    (
        "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone",
        "INSERT",
        "b",
        "DELETE a INSERT b SELECT",
    ),
    (
        "MERGE INTO t USING s ON t.i = s.i WHEN MATCHED THEN UPDATE SET a = 1, b = 2 WHEN NOT MATCHED THEN INSERT "
        "(a) VALUES (1)",
        "MERGE",
        "t",
        "MERGE t s",
    ),
    ("COPY users (a, b) FROM STDIN WITH (FORMAT csv)", "COPY", "users", "COPY users"),
    ("COPY (SELECT * FROM t) TO STDOUT", "COPY", "t", "COPY SELECT t"),
    ("SET search_path TO app, public", "SET", "", "SET search_path"),
    ("EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET x = 1", "EXPLAIN", "t", "EXPLAIN UPDATE t"),
    ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", "CREATE INDEX", "t", "CREATE INDEX i t"),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REFRESH", "v", "REFRESH v"),
    ("DECLARE c CURSOR FOR SELECT * FROM big", "DECLARE", "big", "DECLARE SELECT big"),
    ("FETCH 100 FROM c_4711", "FETCH", "", "FETCH"),
    ("LOCK TABLE a IN EXCLUSIVE MODE", "LOCK", "a", "LOCK a"),
    ("VACUUM FULL users", "VACUUM", "users", "VACUUM users"),
    ("DO $$ BEGIN DELETE FROM t; END $$", "DO", "", "DO"),
    # MySQL
    ("SELECT `a` FROM `db`.`t` WHERE `b` = 'x'", "SELECT", "`db`.`t`", "SELECT `db`.`t`"),
    ("SELECT a INTO @x FROM t LOCK IN SHARE MODE", "SELECT", "t", "SELECT t"),
    ("INSERT t SET a = 1, b = 2", "INSERT", "t", "INSERT t"),
    ("INSERT INTO t SELECT * FROM s ON DUPLICATE KEY UPDATE a = 1, b = 2", "INSERT", "t", "INSERT t SELECT s"),
    ("REPLACE INTO t VALUES (1)", "REPLACE", "t", "REPLACE t"),
    ("UPDATE t1, t2 SET t1.a = 1, t2.b = 2", "UPDATE", "t1", "UPDATE t1 t2"),
    ("DELETE LOW_PRIORITY FROM t LIMIT 5", "DELETE", "t", "DELETE t"),
    ("SHOW TABLES", "SHOW", "", "SHOW TABLES"),
    ("USE app", "USE", "", "USE app"),
    ("DESCRIBE users", "DESCRIBE", "users", "DESCRIBE users"),
    ("SET @x := 5", "SET", "", "SET"),
    # SQL Server
    ("SELECT TOP (5) * FROM [dbo].[Order Details] WITH (NOLOCK)", "SELECT", "[dbo].[Order Details]", None),
    ("SELECT * FROM #temp", "SELECT", "#temp", "SELECT #temp"),
    ("EXEC dbo.GetUser @id = 5", "EXEC", "", "EXEC dbo.GetUser"),
    # not SQL
    ("", "", "", ""),
    ("?", "", "", ""),
    ("(((", "", "", ""),
    ("42 'x'", "", "", ""),
]


@pytest.mark.parametrize(("sql", "operation", "collection", "summary"), STATEMENTS)
def test_verb_and_tables_of(sql: str, operation: str, collection: str, summary: str | None) -> None:
    found = describe(sql)
    assert (found.operation, found.collection) == (operation, collection)
    assert summary is None or found.summary == summary


@pytest.mark.parametrize("sql", [statement[0] for statement in STATEMENTS])
def test_lower_case_means_the_same(sql: str) -> None:
    upper, lower = describe(sql), describe(sql.lower())
    assert lower.operation == upper.operation
    assert lower.collection == upper.collection.lower()


def test_a_summary_ends_before_the_table_that_would_make_it_too_long() -> None:
    tables = [f"table_{number:03}" for number in range(100)]
    summary = describe("SELECT * FROM " + ", ".join(tables)).summary
    assert 240 < len(summary) <= 255
    assert summary.split()[1:] == tables[: len(summary.split()) - 1]
    assert describe(f"SELECT * FROM {'x' * 300}").summary == "SELECT"


# Whatever stands in a literal: the marks that end, escape or begin one in some dialect.
nasty = st.text(st.sampled_from("ab1'\"`\\$;-/*#[]{}()!,.:%@?\n\r\té\xa0\u3000\ud800eEqQ"), max_size=12)
MARKER = "XYZZY"
NUMBER = "7654321"


def quoted(body: str, quote: str, *, backslash: bool) -> str:
    if backslash:
        body = body.replace("\\", "\\\\")
    return quote + body.replace(quote, quote * 2) + quote


@st.composite
def literals(draw: st.DrawFn, dialect: str) -> str:
    body = draw(nasty) + MARKER + draw(nasty)
    kinds = ["string", "number", "block", "line"]
    kinds += {"postgresql": ["escape", "dollar", "nested"], "mysql": ["double", "backslash"], "unknown": []}[dialect]
    kind = draw(st.sampled_from(kinds))
    if kind == "string":
        if dialect == "unknown":  # it would end the text, as the test above shows
            body = body.replace("\\", "")
        return draw(st.sampled_from(["", "N", "x"])) + quoted(body, "'", backslash=dialect == "mysql")
    if kind == "double":
        return quoted(body, '"', backslash=True)
    if kind in ("escape", "backslash"):
        quote = "'" if kind == "escape" else draw(st.sampled_from("'\""))
        body = body.replace("\\", "\\\\").replace(quote, "\\" + quote)
        return ("E" if kind == "escape" else "") + quote + body + quote
    if kind == "dollar":
        tag = draw(st.sampled_from(["$$", "$a$", "$b$"]))
        return tag + body.replace("$", "$ ") + tag
    if kind in ("block", "nested"):
        body = body.replace("*", "+").removeprefix("!")
        return f"/*{body}/*{body}*/*/" if kind == "nested" else f"/*{body}*/"
    if kind == "line":
        return f"-- {body.translate({10: None, 13: None})}\n"
    return draw(st.sampled_from(["", "-", "+", "- "])) + draw(
        st.sampled_from([NUMBER, f".{NUMBER}", f"1.{NUMBER}e-{NUMBER}", f"0x{NUMBER}", f"{NUMBER}e5", f"{NUMBER}."])
    )


def statements(dialect: str) -> st.SearchStrategy[str]:
    words = "SELECT FROM WHERE a b1 t.c users AND IN VALUES ROW IS NOT NULL TRUE JOIN AS ESCAPE e E q N u"
    marks = "( ) , ; = < > + * . [ ] ? %s %(x)s $1 :x :1 @x :: || ->> `it's` {"
    names = [] if dialect == "mysql" else ['"it\'s"', '"a""b"', '"--"']
    shown = st.sampled_from(words.split() + marks.split() + names + ["\n"])
    literal = literals(dialect).map(lambda text: f" {text} ")
    unspaced = literals(dialect).filter(lambda text: text[0] in "'/\"").map(lambda text: f"({text},")
    return st.lists(shown | literal | unspaced, max_size=12).map(" ".join)


DIALECTS = {"postgresql": POSTGRESQL, "mysql": MYSQL, "unknown": UNKNOWN}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_no_literal_survives_in_any_part(dialect: str, data: st.DataObject) -> None:
    shown = parts(describe(data.draw(statements(dialect)), **DIALECTS[dialect]))
    assert not any(MARKER in part or NUMBER in part for part in shown)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data(), limit=st.integers(1, 40))
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_no_cut_exposes_half_a_literal(dialect: str, data: st.DataObject, limit: int) -> None:
    found = describe(data.draw(statements(dialect)), limit=limit, **DIALECTS[dialect])
    assert len(found.text) <= limit
    assert not any(MARKER[:3] in part or MARKER[-3:] in part or "765" in part for part in parts(found))


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_describing_a_description_changes_nothing(dialect: str, data: st.DataObject) -> None:
    sql = data.draw(statements(dialect) | st.text() | nasty.map(lambda text: text * 3))
    once = describe(sql, **DIALECTS[dialect])
    assert parts(describe(once.text, **DIALECTS[dialect])) == parts(once)


@given(sql=st.text(), double=st.booleans(), backslash=st.none() | st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_text_is_described(sql: str, double: bool, backslash: bool | None) -> None:
    found = describe(sql, double, backslash)
    assert all(type(part) is str for part in parts(found))
    assert len(found.summary) <= 255


@given(sql=st.text(st.sampled_from("'\\ab,x "), max_size=30))
@settings(max_examples=500, deadline=None)
def test_an_unknown_dialect_shows_no_more_than_either_reading(sql: str) -> None:
    assume("\\" in sql)
    letters = set(describe(sql).text) & {"a", "b", "x"}
    for escapes in (True, False):
        assert letters <= set(describe(sql, backslash_escapes=escapes).text)


def test_a_long_text_is_cut_after_its_literals_are_gone() -> None:
    columns = ", ".join(f"column_{number}" for number in range(600))
    found = describe(f"SELECT {columns}, 'secret' FROM wide WHERE a = 'secret'")
    assert len(found.text) == LIMIT
    assert (found.operation, found.collection) == ("SELECT", "wide")
    assert len(describe("SELECT a FROM t WHERE b = " + "1 + " * 50 + "1", limit=60).text) <= 60


def test_of_a_huge_statement_only_the_beginning_is_read() -> None:
    rows = "(1, 'some text', NULL), " * 500_000
    huge = f"INSERT INTO t (a, b, c) VALUES {rows}"
    assert parts(describe(huge)) == parts(describe(huge[: READ * LIMIT]))
    assert describe(huge).text == "INSERT INTO t (a, b, c) VALUES (?, ?, NULL)"
    assert describe(f"SELECT * FROM t WHERE a IN ({'1, ' * 500_000}1)").text == "SELECT * FROM t WHERE a IN (?"


PATHOLOGICAL = [
    "'", '"', "`", '""', "'a", "(", "((", ")", "()", "(a)", "[", "[a", "-", "- ", "--", "/", "/*", "*/", "/**/",
    "$", "$a", "$$", "$a$", "\\", "\\'", "'\\", "0", "1.", "1e", "1e-", ".", ":", "::", "?", "%(", "%(a", "a", "e'",
    "q'", "IN (", "IN (?,", "IN ((a),", "VALUES (", "VALUES (a),", "VALUES ((a)", "[?,", ",", "?,", "FROM ", "FROM (",
    "WITH a AS (", "SELECT ", "x,", "a.", '"a".', "TRUE ", "IS NOT TRUE", "\x00", "\r", "#", "é ", "\ud800",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("lead", ["", "SELECT ", "VALUES (", "IN (", '"', "'"])
def test_time_grows_with_the_length_and_not_with_its_square(dialect: str, lead: str) -> None:
    def seconds(sql: str) -> float:
        best = 9.0
        for _ in range(3):
            started = time.thread_time()
            describe(sql, limit=len(sql), **DIALECTS[dialect])
            best = min(best, time.thread_time() - started)
        return best

    for piece in PATHOLOGICAL:
        short, long = (lead + piece * (length // len(piece)) for length in (2_000, 32_000))
        # 16 times the length takes some 16 times as long; 256 times if the time were quadratic
        assert seconds(long) < 100 * seconds(short), piece
