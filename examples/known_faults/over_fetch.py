"""All orders come from the database, and the request looks at one; another request gets thousands to show a page.

Answers some requests by itself and ends. DATABASE is the URL of a PostgreSQL, which the program makes a table in.
"""

from __future__ import annotations

import os

import psycopg
from flask import Flask

app = Flask(__name__)
shop = psycopg.connect(os.environ["DATABASE"], autocommit=True)
shop.execute("create temporary table orders (id integer primary key, price integer)")
shop.execute("insert into orders select n, n % 100 from generate_series(1, 2000) as n")


@app.get("/latest")
def latest() -> str:
    """The latest order."""
    with shop.cursor() as cursor:
        cursor.execute("select id from orders where price < 25 order by id desc")  # fault: one row is read
        row = cursor.fetchone()
    return str(row)


@app.get("/orders")
def orders() -> str:
    """The first page of orders."""
    rows = shop.execute("select id, price from orders").fetchall()  # fault: all rows for a page
    return str(rows[:20])


@app.get("/page")
def page() -> str:
    """The same, as it should be."""
    return str(shop.execute("select id, price from orders order by id limit 20").fetchall())


if __name__ == "__main__":
    with app.test_client() as client:
        for _ in range(5):
            client.get("/latest")
            client.get("/orders")
            client.get("/page")
    print("see which rows are fetched and not read: perfagent dashboard --service over_fetch, or the page")
