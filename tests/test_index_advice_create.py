"""`perfagent index create`: shown first, run with --yes, and nothing left behind when it fails."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest

from perfagent.data.indexes.create import new_index
from tests.test_index_advice_postgres import database as database
from tests.test_index_advice_postgres import server as server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.servers import MysqlServer
    from tests.test_index_advice_postgres import Database

pytestmark = pytest.mark.slow
TABLE = """
    CREATE TABLE orders (id serial PRIMARY KEY, customer_id int, "Odd; name" int, note text);
    INSERT INTO orders (customer_id, "Odd; name", note) SELECT g % 10, g, 'N' || g FROM generate_series(1, 5000) g;
    ANALYZE orders
"""


def definition(connection: psycopg.Connection[Any], name: str) -> str | None:
    row = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", (name,)).fetchone()
    return row[0] if row else None


def test_the_statement_is_shown_and_run_with_yes_alone(database: Database, run_program: RunProgram) -> None:
    url, connection = database(TABLE, ())
    env = {"PERFAGENT_DATABASE_URL": url}
    shown = run_program("perfagent", "index", "create", "orders", "customer_id", env=env).check()
    statement = 'CREATE INDEX CONCURRENTLY "ix_orders_customer_id" ON "public"."orders" ("customer_id");'
    assert statement in shown
    assert "not run; --yes runs it" in shown
    assert "5,000 rows" in shown
    assert "opensesame" not in shown
    assert definition(connection, "ix_orders_customer_id") is None
    run_program("perfagent", "index", "create", "orders", "customer_id", "--yes", env=env).check()
    assert definition(connection, "ix_orders_customer_id") is not None
    again = run_program("perfagent", "index", "create", "orders", "customer_id", "--yes", env=env).check()
    assert "has this index already: ix_orders_customer_id" in again


@pytest.mark.parametrize(
    ("columns", "options", "text"),
    [
        (["lower(note)"], {"unique": True}, "UNIQUE INDEX {name} ON public.orders USING btree (lower(note))"),
        (["customer_id:desc", "ID"], {}, "INDEX {name} ON public.orders USING btree (customer_id DESC, id)"),
        (["odd; NAME"], {"where": "customer_id > 3 and note is not null"},
         'INDEX {name} ON public.orders USING btree ("Odd; name") WHERE ((customer_id > 3) AND (note IS NOT NULL))'),
        (["customer_id"], {"method": "HASH"}, "INDEX {name} ON public.orders USING hash (customer_id)"),
        (["customer_id"], {"name": 'x"; DROP TABLE orders; --'},
         "INDEX {name} ON public.orders USING btree (customer_id)"),
        (["note"], {"where": "note <> 'it''s \\; DROP TABLE orders'"},
         "INDEX {name} ON public.orders USING btree (note) WHERE (note <> 'it''s \\; DROP TABLE orders'::text)"),
    ],
)  # fmt: skip
def test_what_is_shown_is_what_gets_made(
    database: Database, columns: list[str], options: dict[str, Any], text: str
) -> None:
    url, connection = database(TABLE, ())
    new = new_index("orders", columns, url, **options)
    connection.execute(new.ddl)
    quoted = connection.execute("SELECT quote_ident(%s)", (new.index,)).fetchone()
    assert quoted is not None
    assert definition(connection, new.index) == "CREATE " + text.format(name=quoted[0])


@pytest.mark.parametrize(
    ("table", "columns", "options", "text"),
    [
        ("order", ["id"], {}, "no table 'order' here; did you mean orders?"),
        ("orders; DROP TABLE orders", ["id"], {}, "no table 'orders; DROP TABLE orders' here"),
        ("orders", ["custmer_id"], {}, "no column 'custmer_id' in orders; did you mean customer_id?"),
        ("orders", ["id) ; DROP TABLE orders; --"], {}, "no column"),
        ("orders", ["pg_sleep(id)"], {}, r"no column 'pg_sleep\(id\)'"),
        ("orders", ["id"], {"where": "id > 5; DROP TABLE orders"}, "where=.* is not accepted"),
        ("orders", ["id"], {"where": "id > 5) ; DROP TABLE orders --"}, "where=.* is not accepted"),
        ("orders", ["id"], {"where": "id IN (SELECT id FROM orders)"}, "where=.* is not accepted"),
        ("orders", ["id"], {"where": "id > 5 ORDER BY id"}, "where=.* is not accepted"),
        ("orders", ["id"], {"where": "id > 5 UNION SELECT 1"}, "where=.* is not accepted"),
        ("orders", ["id"], {"where": "idd > 5"}, "no column 'idd' in orders; did you mean id?"),
        ("orders", ["id"], {"method": "btee"}, "no method 'btee' here; did you mean btree?"),
        ("orders", ["note"], {"name": "orders_pkey"}, "an index 'orders_pkey' is there already"),
        ("orders", ["note"], {"name": "x" * 64}, "longer than 63 bytes"),
        ("orders", ["note"], {"name": "x\0y"}, "cannot be a name"),
        ("orders", [], {}, "no column is named"),
    ],
)
def test_what_is_not_there_or_not_accepted_is_refused(
    refusing: str, table: str, columns: list[str], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        new_index(table, columns, refusing, **options)


@pytest.fixture(scope="module")
def refusing(server: str) -> str:
    """A database whose tables stay."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE refusing TEMPLATE template0")
    url = server.replace("/shop", "/refusing")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
    return url


def test_an_index_that_fails_leaves_nothing_behind(database: Database, run_program: RunProgram) -> None:
    url, connection = database(TABLE, ())
    program = run_program("perfagent", "index", "create", "orders", "customer_id", "--unique", "--yes", "--url", url)
    assert program.wait() == 1
    assert "could not create unique index" in program.stderr
    assert "the invalid index it left was dropped" in program.stderr
    assert "opensesame" not in program.stdout + program.stderr
    assert definition(connection, "ux_orders_customer_id") is None


def test_who_is_waited_for_is_told_and_ctrl_c_ends_it_and_tells_how_to_drop_what_is_left(
    database: Database, run_program: RunProgram
) -> None:
    url, connection = database(TABLE, ())
    with psycopg.connect(url) as writer:
        writer.execute("UPDATE orders SET note = 'held' WHERE id = 1")
        program = run_program("perfagent", "index", "create", "orders", "customer_id", "--yes", "--url", url)
        pid = writer.info.backend_pid
        deadline = time.monotonic() + 60
        while f"now that of process {pid}" not in program.stderr:
            assert time.monotonic() < deadline, program.stderr
            time.sleep(0.05)
        program.process.send_signal(signal.SIGINT)
        assert program.wait() == 130
    assert "Traceback" not in program.stderr
    told = 'DROP INDEX CONCURRENTLY "public"."ix_orders_customer_id"'  # that waits for the same transaction
    assert told in program.stderr
    with pytest.raises(ValueError, match=r"is there already, but invalid: DROP INDEX CONCURRENTLY"):
        new_index("orders", ["customer_id"], url)
    connection.execute(told)
    assert definition(connection, "ix_orders_customer_id") is None


def test_a_partitioned_table_is_indexed_with_a_warning(database: Database, run_program: RunProgram) -> None:
    url, connection = database(
        "CREATE TABLE log (id int, at date) PARTITION BY RANGE (at); "
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        (),
    )
    program = run_program("perfagent", "index", "create", "log", "id", "--yes", "--output", "json", "--url", url)
    answer = json.loads(program.check())
    assert (answer["state"], answer["ddl"]) == ("made", 'CREATE INDEX "ix_log_id" ON "public"."log" ("id")')
    assert any("nobody can write" in note for note in answer["notes"])
    assert definition(connection, "ix_log_id") is not None


def test_mariadb_makes_it_in_place(mysql_server: MysqlServer, run_program: RunProgram) -> None:
    connection = pymysql.connect(**mysql_server._asdict(), autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE `wi``th; tick` (id INT PRIMARY KEY, `a``b` INT)")
        words = ("perfagent", "index", "create", "wi`th; tick", "a`b", "--yes", "--url", mysql_server.url)
        shown = run_program(*words).check()
        assert "ON `wi``th; tick` (`a``b`) ALGORITHM=INPLACE LOCK=NONE" in shown
        cursor.execute("SHOW INDEX FROM `wi``th; tick` WHERE Column_name = 'a`b'")
        assert len(cursor.fetchall()) == 1
        assert "has this index already" in run_program(*words).check()
        with pytest.raises(ValueError, match="no partial indexes"):
            new_index("wi`th; tick", ["id"], mysql_server.url, where="id > 1")
        cursor.execute("DROP TABLE `wi``th; tick`")
    connection.close()


def test_sqlite_makes_it_in_the_file(tmp_path: Path, run_program: RunProgram) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE t (a INT, b TEXT)")
    url = f"sqlite:///{tmp_path}/a.db"
    words = ("perfagent", "index", "create", "t", "upper(b)", "a:desc", "--where", "a > 1", "--url", url)
    run_program(*words).check()
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'index'").fetchone() == (0,)
    run_program(*words, "--yes").check()
    (text,) = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index'").fetchone()
    assert text.endswith('ON "t" (upper("b"), "a" DESC) WHERE "a" > 1')
