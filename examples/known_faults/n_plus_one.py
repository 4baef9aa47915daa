"""Each order asks for its customer by itself: the loop in `listing`, through the shop's own data layer.

Answers 30 requests by itself and ends; PORT keeps it on that port for longer.
"""

from __future__ import annotations

import os
import sqlite3
import time

from flask import Flask

app = Flask(__name__)
shop = sqlite3.connect(":memory:", check_same_thread=False)
shop.execute("create table customers (id integer primary key, name text)")
shop.execute("create table orders (id integer primary key, customer integer, total integer)")
shop.executemany("insert into customers values (?, ?)", [(one, f"customer {one}") for one in range(50)])
shop.executemany("insert into orders values (?, ?, ?)", [(one, one % 50, one) for one in range(500)])


def customer_of(order: int) -> str:
    """The data layer: it knows nothing of loops."""
    return shop.execute("select name from customers where id = ?", (order % 50,)).fetchone()[0]


@app.get("/orders")
def listing() -> list[str]:
    """The loop is here."""
    orders = shop.execute("select id, customer from orders order by id limit 20").fetchall()
    names = []
    for order, _ in orders:  # fault: one query an order
        names.append(customer_of(order))
    return names


if __name__ == "__main__":
    if "PORT" in os.environ:
        app.run(port=int(os.environ["PORT"]))
    with app.test_client() as client:
        for _ in range(30):
            client.get("/orders")
            time.sleep(0.02)
    print("see which loop sends a query each time: perfagent dashboard --service n_plus_one, or the page")
