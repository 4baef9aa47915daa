"""What programs do with DuckDB, of whatever version; what they see is printed, to be compared.

Values hold the word "secret". The database's file is the variable `FILE`.
"""

from __future__ import annotations

import inspect
import os
import threading
from typing import Any

import duckdb
import pandas as pd
from opentelemetry import trace

tracer = trace.get_tracer("program")
below = tracer.start_as_current_span
NEW = int(duckdb.__version__.partition(".")[0]) >= 2


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


class Held:
    """A class that holds functions of the module, which do not become methods."""

    connect = duckdb.connect
    execute = duckdb.execute


def replaced(connection: Any) -> None:
    """Statements over variables of the function that asks, and of the module."""
    local_frame = pd.DataFrame({"number": [1, 2]})
    print(connection.execute("SELECT count(*) FROM local_frame").fetchall(), len(local_frame))
    print(connection.sql("SELECT count(*) FROM local_frame").fetchall())
    connection.sql("CREATE OR REPLACE TABLE copied AS SELECT * FROM local_frame")
    print(duckdb.execute("SELECT count(*) FROM local_frame").fetchall(), duckdb.sql("FROM local_frame").fetchall())
    print(duckdb.query("SELECT count(*) FROM module_frame").fetchall(), inspect.currentframe().f_code.co_name)
    print(attempt(lambda: connection.execute("SELECT * FROM frame_of_nobody")))


module_frame = pd.DataFrame({"number": [1, 2, 3]})


def statements(connection: Any) -> None:
    cursor = connection.cursor()
    with below("statements"):
        print(connection.execute("INSERT INTO users VALUES (?, ?)", [1, "secret-a"]).fetchall())
        connection.executemany("INSERT INTO users VALUES (?, ?)", [[2, "secret-b"], [3, "secret-c"]])
        print(connection.execute("SELECT * FROM users WHERE name = 'secret-a'").fetchall(), connection.description)
        print(connection.execute(query="SELECT $a", parameters={"a": "secret"}).fetchone())
        print(cursor.execute("SELECT name FROM users WHERE name <> $$secret$$ ORDER BY id").fetchmany(2))
        print(connection.execute(connection.extract_statements("SELECT 'secret' AS parsed")[0]).fetchall())
        connection.begin()
        connection.rollback()


def asked(connection: Any) -> None:
    with below("sql"):
        rows = connection.sql("SELECT id FROM users WHERE name <> 'secret' ORDER BY id")
    with below("rows"):
        print(rows.fetchall(), rows.fetchall(), rows.df().shape)
        print(rows.filter("id > 1").fetchall())
    with below("at once"):
        print(
            type(connection.sql("INSERT INTO users VALUES (9, 'secret-z')")).__name__
            in ("NoneType", "DuckDBPyRelation")
        )
        print(connection.query("SELECT 'secret'").fetchall())
    with below("script"):
        print(connection.sql("UPDATE users SET name = 'secret'; SELECT count(*) FROM users").fetchall())
    with below("module"):
        print(
            duckdb.execute("SELECT 'secret'").fetchall(), duckdb.execute("SELECT 1", connection=connection).fetchall()
        )
        duckdb.sql("CREATE OR REPLACE TABLE here AS SELECT 1 AS one")
        print(duckdb.sql("SELECT * FROM here").fetchall(), duckdb.query("SELECT 2", connection=connection).fetchall())
        duckdb.executemany("INSERT INTO here VALUES (?)", [[2], [3]])
    if not NEW:
        with below("piecewise"):
            rows = connection.sql("FROM users ORDER BY id")
            print(rows.fetchone(), rows.fetchone(), rows.fetchmany(1), rows.fetchall(), rows.execute().fetchone())


def failures(connection: Any) -> None:
    with below("failures"):
        print(attempt(lambda: connection.execute("INSERT INTO users VALUES (1, 'secret-a')"))[:40])
        print(attempt(lambda: connection.execute("SELECT * FROM nowhere WHERE name = 'secret'"))[:40])
        print(attempt(lambda: connection.sql("SELECT * FROM nowhere WHERE name = 'secret'"))[:40])
        print(attempt(lambda: connection.sql("SELEC 'secret'"))[:40], attempt(lambda: connection.execute())[:20])


def in_a_thread(connection: Any) -> None:
    def work() -> None:
        with below("thread"):
            print(connection.cursor().execute("SELECT 'secret'").fetchall())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def main() -> None:
    connection = duckdb.connect(os.environ["FILE"])
    connection.execute("CREATE OR REPLACE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR)")
    statements(connection)
    asked(connection)
    failures(connection)
    in_a_thread(connection)
    with below("variables"):
        replaced(connection)
    with Held().connect() as other:
        print(isinstance(other, duckdb.DuckDBPyConnection), Held().execute("SELECT 5").fetchall())
        print(attempt(lambda: inspect.signature(other.execute)).partition(":")[0], duckdb.connect.__doc__[:20])
    connection.close()
    print(attempt(lambda: connection.execute("SELECT 1")))


if __name__ == "__main__":
    main()
