"""What programs do with sqlite3; what they see is printed, to be compared. Values hold the word "secret"."""

from __future__ import annotations

import copy
import datetime
import gc
import inspect
import pickle
import sqlite3
import sys
import threading
import warnings
from functools import partial
from typing import Any

from opentelemetry import trace

tracer = trace.get_tracer("program")


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        # Python's own messages name a C type with its module and a subclass without.
        message = str(error).replace("'sqlite3.", "'")
        return f"{type(error).__module__}.{type(error).__qualname__}: {message}"


class ShoutingCursor(sqlite3.Cursor):
    """Overrides what it executes."""

    def execute(self, sql: str, *parameters: Any) -> Any:
        return super().execute(sql.upper(), *parameters)


class SlottedCursor(sqlite3.Cursor):
    __slots__ = ("mine",)


class OwnConnection(sqlite3.Connection):
    def cursor(self, factory: Any = ShoutingCursor) -> Any:
        return super().cursor(factory)


class Database:
    connect = sqlite3.connect  # a built-in function does not become a method


def statements() -> None:
    connection = sqlite3.connect(":memory:")
    with tracer.start_as_current_span("cursor"):
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        cursor.execute("INSERT INTO users (name) VALUES (?)", ("secret-a",))
        print(cursor.lastrowid, cursor.rowcount, cursor.description)
        print(cursor.execute("SELECT * FROM users WHERE name = 'secret-a'").fetchall(), cursor.description)
    with tracer.start_as_current_span("connection"):
        connection.execute("INSERT INTO users (name) VALUES (:name)", {"name": "secret-b"})
        connection.executemany("INSERT INTO users (name) VALUES (?)", [("secret-c",), ("secret-d",)])
        connection.executemany("INSERT INTO users (name) VALUES (?)", (("secret-e",) for _ in range(1)))
        connection.executescript("SELECT 1; SELECT 'secret'")
        connection.commit()
        connection.rollback()
    with tracer.start_as_current_span("with"), connection:
        connection.execute("DELETE FROM users WHERE id = 4")
    with tracer.start_as_current_span("iteration"):
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT id, name FROM users ORDER BY id"):
            print(row["id"], row.keys(), tuple(row), type(row) is sqlite3.Row)
    with tracer.start_as_current_span("failures"):
        for call in (
            lambda: connection.execute("SELECT * FROM nowhere WHERE name = 'secret'"),
            lambda: connection.execute("INSERT INTO users (id, name) VALUES (1, 'secret')"),
            lambda: connection.execute("SELECT 'secret"),
            lambda: connection.execute(b"SELECT 1"),
            lambda: connection.execute("SELECT ?", ("secret", 2)),
            lambda: connection.executemany("INSERT INTO users (name) VALUES (?)", 5),
            lambda: connection.cursor(None),
            lambda: connection.cursor(lambda _: 5),
            lambda: sqlite3.connect(":memory:", factory=None),
            lambda: sqlite3.Cursor(None),
            lambda: pickle.dumps(connection),
            lambda: copy.deepcopy(connection),
        ):
            print(attempt(call))
    connection.close()
    print(attempt(lambda: connection.execute("SELECT 1")))


def classes() -> None:
    connection = sqlite3.connect(database=":memory:", timeout=1, isolation_level=None)
    cursor = connection.cursor()
    print(type(connection) is sqlite3.Connection, type(cursor) is sqlite3.Cursor, type(connection), type(cursor))
    print(isinstance(cursor.connection, sqlite3.Connection), cursor.connection is connection)
    print(attempt(lambda: setattr(cursor, "anything", 1)), attempt(lambda: setattr(connection, "anything", 1)))
    print(attempt(lambda: inspect.signature(sqlite3.connect)), sqlite3.connect.__name__, sqlite3.connect.__doc__[:20])
    print(pickle.loads(pickle.dumps(partial(sqlite3.connect, ":memory:")))().execute("SELECT 1").fetchall())
    print(type(Database().connect(":memory:")), copy.copy(sqlite3.Cursor) is sqlite3.Cursor)
    with tracer.start_as_current_span("own cursor"):
        own = connection.cursor(ShoutingCursor)
        print(type(own) is ShoutingCursor, own.execute("select 'secret', 'lower'").fetchall())
        slotted = connection.cursor(factory=SlottedCursor)
        slotted.mine = 5
        print(slotted.execute("SELECT 2").fetchone(), slotted.mine)
    with tracer.start_as_current_span("own connection"):
        mine = sqlite3.connect(":memory:", 5.0, 0, None, True, OwnConnection)
        print(type(mine) is OwnConnection, type(mine.cursor()) is ShoutingCursor, type(mine.execute("SELECT 3")))
        print(mine.cursor().execute("select 'secret'").fetchall())
    made = sqlite3.connect(":memory:", factory=lambda *args, **options: OwnConnection(*args, **options))
    print(type(made) is OwnConnection, made.execute("SELECT 1").fetchall())


def features() -> None:
    connection = sqlite3.connect("file:secret-folder/../shop.db?mode=memory", uri=True)
    with tracer.start_as_current_span("features"):
        connection.executescript("CREATE TABLE a (b); INSERT INTO a VALUES (x'00ff')")
        print("\n".join(connection.iterdump()))
        target = sqlite3.connect(":memory:")
        connection.backup(target)
        print(target.execute("SELECT hex(b) FROM a").fetchall(), connection.total_changes, connection.in_transaction)
        if sys.version_info >= (3, 11):
            with connection.blobopen("a", "b", 1) as blob:
                print(len(blob), blob.read())
        connection.create_function("twice", 1, lambda value: connection.execute("SELECT 1").fetchone()[0] * 2 * value)
        print(connection.execute("SELECT twice(21)").fetchall())
        if sys.version_info >= (3, 12):
            strict = sqlite3.connect(":memory:", autocommit=False)
            print(strict.autocommit, strict.in_transaction, strict.execute("SELECT 5").fetchall())
            strict.close()
    threads: list[str] = []
    thread = threading.Thread(target=lambda: threads.append(attempt(lambda: connection.execute("SELECT 1"))))
    thread.start()
    thread.join()
    print(threads[0].partition(" The object")[0])
    connection.close()
    target.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        left = sqlite3.connect(":memory:")
        left.execute("SELECT 1")
        del left
        gc.collect()
    print([str(warning.message).partition(" in ")[0] for warning in caught])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sqlite3.connect(":memory:").execute("SELECT ?", (datetime.date(2030, 1, 1),))
    print(sorted({str(warning.message)[:30] for warning in caught if warning.category is DeprecationWarning}))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
