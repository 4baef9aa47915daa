"""A shop looks for a customer's orders in a table that has no index for that: every order is read each time.

Answers requests by itself for some seconds and ends; start it with PERFAGENT_EXPLAIN=on. DATABASE is the URL of a
PostgreSQL, best with the extension HypoPG, which finds the index; a file of SQLite when left out.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from flask import Flask

app = Flask(__name__)
DATABASE = os.environ.get("DATABASE", "")
SECONDS = float(os.environ.get("SECONDS", "6"))
ORDERS = 400_000


def connect() -> Any:
    """The shop's database."""
    if DATABASE:
        import psycopg

        return psycopg.connect(DATABASE, autocommit=True)
    return sqlite3.connect(Path(tempfile.gettempdir()) / f"orders-{os.getpid()}.db", check_same_thread=False)


def fill(shop: Any) -> None:
    """Makes the orders; the number of one is the only thing that has an index."""
    shop.execute("drop table if exists shop_orders")
    shop.execute("create table shop_orders (id integer primary key, customer integer, email text, note text)")
    numbers = f"with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {ORDERS})"
    shop.execute(
        f"insert into shop_orders {numbers} select n, n % 5000, 'c' || n % 5000 || '@example.com', "
        "'a note of some length, so that the table has many pages' from numbers"
    )
    shop.execute("analyze shop_orders")
    shop.commit()


def orders_of(customer: int) -> int:
    """How many orders a customer has."""
    mark = "%s" if DATABASE else "?"
    sql = f"select id, email from shop_orders where customer = {mark} and email like 'c%%@example.com' order by id"
    rows = shop.execute(sql if DATABASE else sql.replace("%%", "%"), (customer,))  # fault: reads all
    return len(rows.fetchall())


@app.get("/customers/<int:customer>/orders")
def orders(customer: int) -> str:
    """The orders of a customer."""
    return str(orders_of(customer))


if __name__ == "__main__":
    with closing(connect()) as shop:
        fill(shop)
        until = time.monotonic() + SECONDS
        with app.test_client() as client:
            while time.monotonic() < until:
                client.get(f"/customers/{time.monotonic_ns() % 5000}/orders")
                time.sleep(0.05)
    if not DATABASE:
        (Path(tempfile.gettempdir()) / f"orders-{os.getpid()}.db").unlink()
    print("see which index is missing: perfagent dashboard --service slow_statement, or the page")
