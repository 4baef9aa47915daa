"""The shop's database: a cart of forty lines."""

from __future__ import annotations

import sqlite3

LINES = 40


def open_database() -> sqlite3.Connection:
    """A database in memory that the threads of an application share."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(
        "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);"
        "CREATE TABLE carts (id INTEGER PRIMARY KEY, owner TEXT);"
        "CREATE TABLE lines (cart INTEGER, product INTEGER, pieces INTEGER);"
    )
    connection.executemany(
        "INSERT INTO products VALUES (?, ?, ?)", [(number, f"product {number}", number * 10) for number in range(LINES)]
    )
    connection.execute("INSERT INTO carts VALUES (1, 'ada')")
    connection.executemany("INSERT INTO lines VALUES (1, ?, 2)", [(number,) for number in range(LINES)])
    return connection
