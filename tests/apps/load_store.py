"""Five queries, each thread with a connection of its own."""

import sqlite3
import threading

local = threading.local()
STATEMENTS = (
    "select name from things where id = ?",
    "select count(*) from things where id > ?",
    "select max(id) from things where id <> ?",
    "select * from things where id < ? limit 3",
    "select name from things where id = ? or name = 'nobody'",
)


def five() -> int:
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = local.connection = sqlite3.connect(":memory:")
        connection.execute("create table things (id integer primary key, name text)")
        rows = [(number, f"thing {number}") for number in range(50)]
        connection.executemany("insert into things values (?, ?)", rows)
    return sum(len(connection.execute(statement, (7,)).fetchall()) for statement in STATEMENTS)
