"""What programs do with the drivers of database servers; what they see is printed, to be compared.

Values hold the word "secret", and so does the password: it must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import sys
import uuid
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

tracer = trace.get_tracer("program")
POSTGRES = os.environ.get("POSTGRES_URL", "")
SOCKET = os.environ.get("POSTGRES_SOCKET", "")
TABLE = "CREATE TEMPORARY TABLE users (id int PRIMARY KEY, name varchar(40))"


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return _told(error)


async def attempt_async(call: Any) -> str:
    try:
        return repr(await call)
    except (Exception, asyncio.CancelledError) as error:
        return _told(error)


def _told(error: BaseException) -> str:
    # Python's own messages name a C type with its module and a subclass without.
    message = str(error).replace("'psycopg2.extensions.", "'")
    return f"{type(error).__module__}.{type(error).__qualname__}: {message}"


@contextlib.contextmanager
def below(name: str) -> Iterator[None]:
    with tracer.start_as_current_span(name):
        yield


def psycopg() -> None:
    import psycopg
    import psycopg_pool
    from psycopg import sql
    from psycopg.rows import dict_row, namedtuple_row

    connection = psycopg.connect(POSTGRES, autocommit=True)
    connection.execute(TABLE)
    cursor = connection.cursor()
    with below("statements"):
        cursor.execute("INSERT INTO users VALUES (%s, %s)", (1, "secret-a"))
        print(cursor.rowcount, cursor.statusmessage, cursor.description)
        print(connection.execute("SELECT * FROM users WHERE name = 'secret-a'").fetchall())
        print(cursor.execute(query="SELECT %(a)s", params={"a": 5}, prepare=True) is cursor, cursor.fetchone())
        cursor.executemany("INSERT INTO users VALUES (%s, %s)", [(2, "secret-b"), (3, "secret-c")])
        cursor.executemany("INSERT INTO users VALUES (%s, %s)", iter([(4, "secret-d")]))
    with below("composed"):
        query = sql.SQL("SELECT {} FROM {} WHERE {} = {} OR id = {}")
        query = query.format(
            sql.Identifier("id"), sql.Identifier("pg_temp", "users"), sql.Identifier("name"), sql.Literal("secret-b"),
            sql.Placeholder(),
        )  # fmt: skip
        print(cursor.execute(query, (1,)).fetchall())
        print(cursor.execute(b"SELECT 'secret'").fetchall(), cursor.execute(sql.SQL("SELECT 1")).fetchall())
    with below("copy"):
        with cursor.copy("COPY users FROM STDIN") as copy:
            copy.write_row((5, "secret-e"))
        with cursor.copy("COPY (SELECT id FROM users) TO STDOUT") as copy:
            print(b"".join(map(bytes, copy)))
        print(attempt(lambda: _aborted(cursor)))
    with below("rows"):
        print(list(cursor.stream("SELECT id FROM users ORDER BY id")))
        print(next(cursor.stream("SELECT id FROM users ORDER BY id")))
        with connection.transaction(), connection.cursor("named", row_factory=dict_row) as named:
            print(named.execute("SELECT id FROM users ORDER BY id").fetchmany(2), named.name)
        print(connection.cursor(row_factory=namedtuple_row).execute("SELECT 1 AS one").fetchone())
    with below("classes"):
        print(psycopg.ClientCursor(connection).execute("SELECT %s", ("secret",)).fetchone())
        print(psycopg.RawCursor(connection).execute("SELECT $1::text", ("secret",)).fetchone())
        mine = type("Mine", (psycopg.Cursor,), {"execute": lambda self, *args: super(mine, self).execute(*args)})
        print(type(mine(connection).execute("SELECT 2")) is mine)
    with below("pipeline"), connection.pipeline():
        first, second = connection.execute("SELECT 1"), connection.execute("SELECT 2")
        print(first.fetchone(), second.fetchone())
    with below("failures"):
        print(attempt(lambda: cursor.execute("INSERT INTO users VALUES (1, 'secret-a')")))
        print(attempt(lambda: cursor.execute("SELECT 'secret' FROM nowhere")))
        print(attempt(lambda: cursor.execute("SELECT %s::int", ("secret",))))
        print(attempt(lambda: cursor.execute("SELECT 'secret")))
        print(attempt(lambda: list(cursor.stream("SELECT nothing"))))
        print(attempt(lambda: cursor.execute()))
    with (
        psycopg_pool.ConnectionPool(POSTGRES, min_size=1, open=True) as pool,
        below("pool"),
        pool.connection() as pooled,
    ):
        print(pooled.execute("SELECT 'secret'").fetchone())
    with below("socket"), psycopg.connect(SOCKET) as local:
        local.execute("SELECT 1")
    connection.close()
    print(attempt(lambda: cursor.execute("SELECT 1")))
    asyncio.run(_psycopg_async(psycopg, psycopg_pool))


def _aborted(cursor: Any) -> None:
    with cursor.copy("COPY users FROM STDIN") as copy:
        copy.write_row((6, "secret"))
        raise KeyError("mine")


async def _psycopg_async(psycopg: Any, psycopg_pool: Any) -> None:
    connection = await psycopg.AsyncConnection.connect(POSTGRES, autocommit=True)
    await connection.execute(TABLE)
    cursor = connection.cursor()
    with below("async"):
        await cursor.executemany("INSERT INTO users VALUES (%s, %s)", [(1, "secret-a"), (2, "secret-b")])
        print(await (await connection.execute("SELECT id FROM users")).fetchall())
        async with cursor.copy("COPY users TO STDOUT") as copy:
            print([bytes(data) async for data in copy])
        print([row async for row in cursor.stream("SELECT generate_series(1, 3)")])
        async for _row in cursor.stream("SELECT generate_series(1, 9)"):
            break
        async with connection.transaction(), connection.cursor("named") as named:
            print(await (await named.execute("SELECT id FROM users")).fetchall())
        print(await attempt_async(cursor.execute("INSERT INTO users VALUES (1, 'secret-a')")))
    with below("tasks"):
        others = [await psycopg.AsyncConnection.connect(POSTGRES) for _ in range(3)]
        await asyncio.gather(*(_task(other, number) for number, other in enumerate(others)))
    async with psycopg_pool.AsyncConnectionPool(POSTGRES, min_size=1, open=False) as pool, pool.connection() as pooled:
        print(await (await pooled.execute("SELECT 'pool'")).fetchone())
    for other in (connection, *others):
        await other.close()


async def _task(connection: Any, number: int) -> None:
    with below(f"task {number}"):
        await connection.execute("SELECT pg_sleep(0.05)")


def psycopg2() -> None:
    import psycopg2
    import psycopg2.extensions
    import psycopg2.extras
    import psycopg2.pool
    from psycopg2 import sql

    connection = psycopg2.connect(POSTGRES)
    connection.autocommit = True
    cursor = connection.cursor()
    print(type(connection) is psycopg2.extensions.connection, type(cursor) is psycopg2.extensions.cursor)
    print(type(connection), type(cursor), cursor.connection is connection, connection.cursor_factory)
    with below("statements"):
        cursor.execute(TABLE)
        print(cursor.execute("INSERT INTO users VALUES (%s, %s)", (1, "secret-a")), cursor.rowcount, cursor.query)
        cursor.execute(query="SELECT * FROM users WHERE name = 'secret-a'", vars=None)
        print(cursor.fetchall(), cursor.description)
        cursor.executemany("INSERT INTO users VALUES (%s, %s)", [(2, "secret-b"), (3, "secret-c")])
        cursor.callproc("upper", ["secret"])
        print(cursor.fetchall())
        query = sql.SQL("SELECT id FROM {} WHERE name = {}").format(sql.Identifier("users"), sql.Literal("secret-b"))
        cursor.execute(query)
        print(cursor.fetchall(), query.as_string(connection), query.as_string(cursor))
    with below("copy"):
        cursor.copy_from(io.StringIO("5\tsecret-e\n"), "users")
        written = io.StringIO()
        cursor.copy_to(written, "users", sep="|")
        cursor.copy_expert("COPY (SELECT id FROM users) TO STDOUT", written)
        print(written.getvalue())
    with below("extras"):
        psycopg2.extras.register_uuid(conn_or_curs=connection)
        psycopg2.extensions.register_type(psycopg2.extensions.UNICODE, cursor)
        cursor.execute("SELECT %s", (uuid.UUID(int=5),))
        print(cursor.fetchone())
        rows = [(number, f"secret-{number}") for number in range(10, 13)]
        psycopg2.extras.execute_values(cursor, "INSERT INTO users VALUES %s", rows)
        psycopg2.extras.execute_batch(cursor, "UPDATE users SET name = %s WHERE id = %s", [("secret", 10), ("s", 11)])
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as named:
            named.execute("SELECT id FROM users ORDER BY id")
            row = named.fetchone()
            print(row, type(named) is psycopg2.extras.RealDictCursor, pickle.loads(pickle.dumps(row)) == row)
        with psycopg2.connect(POSTGRES, connection_factory=psycopg2.extras.NamedTupleConnection) as other:
            with other.cursor() as named:
                named.execute("SELECT 1 AS one")
                print(named.fetchone(), type(other) is psycopg2.extras.NamedTupleConnection)
            with other.cursor("server") as server:
                server.execute("SELECT generate_series(1, 3)")
                print(server.fetchall(), server.name)
        default = psycopg2.connect(POSTGRES, cursor_factory=psycopg2.extras.DictCursor)
        with default.cursor() as named:
            named.execute("SELECT 'secret' AS name")
            print(named.fetchone()["name"], default.cursor_factory, type(default.cursor("a")))
    with below("failures"):
        for query in (
            "INSERT INTO users VALUES (1, 'secret-a')",
            "SELECT 'secret' FROM nowhere",
            "SELECT 'secret'::int",
            "SELECT 'secret",
        ):
            print(attempt(lambda query=query: cursor.execute(query)))
        try:
            cursor.execute("INSERT INTO users VALUES (1, 'secret-a')")
        except psycopg2.IntegrityError as error:
            print(error.pgcode, error.diag.constraint_name, error.cursor is cursor)
        print(attempt(lambda: cursor.execute("SELECT %s", ("secret", 2))), attempt(lambda: cursor.execute()))
    pool = psycopg2.pool.ThreadedConnectionPool(1, 2, POSTGRES)
    pooled = pool.getconn()
    with below("pool"), pooled, pooled.cursor() as cursor:
        cursor.execute("SELECT 'secret'")
    pool.putconn(pooled)
    pool.closeall()
    with below("socket"), psycopg2.connect(SOCKET) as local, local.cursor() as cursor:
        cursor.execute("SELECT 1")
    replicating = psycopg2.connect(POSTGRES, connection_factory=psycopg2.extras.LogicalReplicationConnection)
    print(isinstance(replicating, psycopg2.extensions.connection), type(replicating))
    print(isinstance(replicating.cursor(), psycopg2.extensions.cursor), type(replicating.cursor()))
    connection.close()
    print(attempt(connection.cursor), attempt(lambda: pickle.dumps(connection)))


def asyncpg() -> None:
    asyncio.run(_asyncpg())


async def _asyncpg() -> None:
    import asyncpg

    connection = await asyncpg.connect(POSTGRES)
    await connection.execute(TABLE)
    with below("statements"):
        print(await connection.execute("INSERT INTO users VALUES ($1, $2)", 1, "secret-a"))
        await connection.executemany("INSERT INTO users VALUES ($1, $2)", [(2, "secret-b"), (3, "secret-c")])
        print(await connection.fetch("SELECT * FROM users WHERE name <> 'secret'"))
        print(await connection.fetchrow("SELECT 2 AS a"), await connection.fetchval("SELECT 3, 4", column=1))
        print(await connection.execute("SELECT 'secret'; SELECT 4"))
    with below("prepared"):
        statement = await connection.prepare("SELECT name FROM users WHERE id = $1")
        print(await statement.fetch(1), await statement.fetchrow(2), await statement.fetchval(3), statement.get_query())
        print(await (await connection.prepare("DELETE FROM users WHERE id = $1")).executemany([(8,), (9,)]))
    with below("cursors"):
        async with connection.transaction():
            print([row[0] async for row in connection.cursor("SELECT generate_series(1, 120)")][-1])
            cursor = await connection.cursor("SELECT id FROM users ORDER BY id")
            print(await cursor.fetch(1), await cursor.fetchrow())
            print([row async for row in statement.cursor(1)])
            async with connection.transaction():
                await connection.execute("SELECT 'nested'")
    with below("copy"):
        written = io.BytesIO()
        print(await connection.copy_from_query("SELECT id FROM users WHERE name = $1", "secret-a", output=written))
        print(await connection.copy_from_table("users", output=written), written.getvalue())
        print(await connection.copy_records_to_table("users", records=[(10, "secret")]))
        print(await connection.copy_to_table("users", source=io.BytesIO(b"11\tsecret\n")))
    with below("failures"):
        print(await attempt_async(connection.execute("INSERT INTO users VALUES (1, 'secret-a')")))
        print(await attempt_async(connection.fetch("SELECT $1::int", "secret")))
        print(await attempt_async(connection.prepare("SELECT nothing")))
        task = asyncio.create_task(connection.fetch("SELECT pg_sleep(20)"))
        await asyncio.sleep(0.1)
        task.cancel()
        print(await attempt_async(task))
    async with asyncpg.create_pool(POSTGRES, min_size=1, max_size=2) as pool:
        with below("pool"):
            print(await pool.fetchval("SELECT 'direct'"))
            async with pool.acquire() as pooled:
                print(type(pooled), await pooled.fetchval("SELECT 'proxy'"))
                kept = await pooled.prepare("SELECT 1")
            print(attempt(lambda: kept.fetch()))
    local = await asyncpg.connect(SOCKET)
    with below("socket"):
        await local.execute("SELECT 1")
    await local.close()
    await connection.close()
    print(await attempt_async(connection.fetch("SELECT 1")), asyncio.iscoroutinefunction(connection.fetch))


def pymysql() -> None:
    import pymysql
    import pymysql.cursors

    server = {name: os.environ[f"MYSQL_{name.upper()}"] for name in ("host", "user", "password", "database")}
    connection = pymysql.connect(**server, port=int(os.environ["MYSQL_PORT"]), autocommit=True)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    with below("statements"):
        print(cursor.execute("INSERT INTO users VALUES (%s, %s)", (1, "secret-a")), cursor.lastrowid, cursor.rowcount)
        print(cursor.executemany("INSERT INTO users VALUES (%s, %s)", [(2, "secret-b"), (3, "secret-c")]))
        print(cursor.executemany("UPDATE users SET name = %s WHERE id = %s", [("secret", 2), ("secret", 3)]))
        print(cursor.execute('SELECT * FROM users WHERE name = "secret-a"'), cursor.fetchall(), cursor.description)
        cursor.callproc("twice", (21,))
        print(cursor.fetchall())
        connection.commit()
    with below("classes"):
        for kind in (pymysql.cursors.DictCursor, pymysql.cursors.SSCursor, pymysql.cursors.SSDictCursor):
            with connection.cursor(kind) as other:
                print(other.execute("SELECT 1 AS one"), other.fetchall(), type(other) is kind)
    with below("failures"):
        for query in (
            "INSERT INTO users VALUES (1, 'secret-a')",
            "SELECT * FROM nowhere WHERE name = 'secret'",
            "SELECT 'it''s secret",
        ):
            print(attempt(lambda query=query: cursor.execute(query)))
    with below("other database"):
        connection.select_db("mysql")
        print(cursor.execute("SELECT 1"), attempt(lambda: connection.select_db("nowhere")), cursor.execute("SELECT 1"))
        connection.ping(reconnect=True)
        print(cursor.execute("SELECT 1"))
    with below("connected again"):
        connection.close()
        connection.connect()
        print(cursor.execute("SELECT 1"))
    cursor.close()
    print(attempt(lambda: cursor.execute("SELECT 1")), attempt(lambda: cursor.execute()))
    connection.close()


def mysqlclient() -> None:
    import MySQLdb
    import MySQLdb.cursors

    server = {name: os.environ[f"MYSQL_{name.upper()}"] for name in ("host", "user", "password", "database")}
    port = int(os.environ["MYSQL_PORT"])
    connection = MySQLdb.connect(**server, port=port, autocommit=True)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    with below("statements"):
        print(cursor.execute("INSERT INTO users VALUES (%s, %s)", (1, "secret-a")), cursor.lastrowid, cursor.rowcount)
        print(cursor.executemany("INSERT INTO users VALUES (%s, %s)", [(2, "secret-b"), (3, "secret-c")]))
        print(cursor.executemany("UPDATE users SET name = %s WHERE id = %s", [("secret", 2), ("secret", 3)]))
        print(cursor.executemany("INSERT INTO users VALUES (%s, %s)", []))
        print(cursor.execute('SELECT * FROM users WHERE name = "secret-a"'), cursor.fetchall(), cursor.description)
        print(cursor.execute(b"SELECT 'secret'"), cursor.fetchone())
        print(cursor.callproc("twice", (21,)))
        print(cursor.fetchall(), cursor.nextset())
        connection.commit()
        connection.rollback()
    with below("classes"):
        own = type("Own", (MySQLdb.cursors.Cursor,), {"execute": lambda self, *args: super(own, self).execute(*args)})
        for kind in (MySQLdb.cursors.DictCursor, MySQLdb.cursors.SSCursor, MySQLdb.cursors.SSDictCursor, own):
            with connection.cursor(kind) as other:
                print(other.execute("SELECT 1 AS one"), other.fetchall(), type(other) is kind)
    with below("failures"):
        for query in (
            "INSERT INTO users VALUES (1, 'secret-a')",
            "SELECT * FROM nowhere WHERE name = 'secret'",
            "SELECT 'it''s secret",
        ):
            print(attempt(lambda query=query: cursor.execute(query)))
        print(attempt(lambda: cursor.execute("SELECT %s", ("secret", 2))))
    with below("other database"):
        connection.select_db("mysql")
        print(cursor.execute("SELECT 1"))
    options = os.environ["MYSQL_OPTIONS"]
    with below("option file"), MySQLdb.connect(read_default_file=options, db="shop") as other:
        print(other.cursor().execute("SELECT 1"))
    with below("socket"), MySQLdb.connect(unix_socket=os.environ["MYSQL_SOCKET"], **_without(server, "host")) as other:
        print(other.cursor().execute("SELECT 1"))
    cursor.close()
    print(attempt(lambda: cursor.execute("SELECT 1")), attempt(lambda: cursor.execute()))
    connection.close()
    wrong = attempt(lambda: MySQLdb.connect(**{**server, "password": "wrong"}, port=port))
    print(type(connection), wrong, MySQLdb.connect.__name__, attempt(lambda: pickle.dumps(connection)))


def _without(server: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in server.items() if key != name}


def aiosqlite() -> None:
    asyncio.run(_aiosqlite())


async def _aiosqlite() -> None:
    import aiosqlite

    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        with below("statements"):
            await connection.executemany("INSERT INTO users (name) VALUES (?)", [("secret-a",), ("secret-b",)])
            async with connection.execute("SELECT * FROM users WHERE name = 'secret-a'") as cursor:
                print([row async for row in cursor], cursor.description)
            print(await connection.execute_fetchall("SELECT count(*) FROM users"))
            await connection.commit()
        with below("failures"):
            print(await attempt_async(connection.execute("SELECT * FROM nowhere WHERE name = 'secret'")))
        with below("tasks"):
            await asyncio.gather(*(_lite_task(connection, number) for number in range(3)))


async def _lite_task(connection: Any, number: int) -> None:
    with below(f"task {number}"):
        await connection.execute(f"SELECT id AS n{number} FROM users")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
