"""An order's row stays locked while the bank is asked: the transaction begins before the call and ends after it.

Answers 6 requests by itself and ends. DATABASE is the URL of a PostgreSQL; SQLite in memory when left out.
"""

from __future__ import annotations

import http.server
import os
import sqlite3
import threading
import time
from typing import Any

import requests
from flask import Flask

app = Flask(__name__)
DATABASE = os.environ.get("DATABASE", "")


class Bank(http.server.BaseHTTPRequestHandler):
    """It takes its time."""

    def do_POST(self) -> None:
        """Answers late."""
        time.sleep(0.1)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


bank = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bank)
threading.Thread(target=bank.serve_forever, daemon=True).start()


def connect() -> Any:
    """The shop's database."""
    if DATABASE:
        import psycopg

        return psycopg.connect(DATABASE)
    return sqlite3.connect(":memory:", check_same_thread=False)


shop = connect()
shop.execute("create table if not exists orders (id integer primary key, paid integer)")
shop.execute("delete from orders")
shop.execute("insert into orders values (1, 0)")
shop.commit()


def charge() -> None:
    """Asks the bank."""
    requests.post(f"http://127.0.0.1:{bank.server_port}/charges", timeout=5)  # fault: within the transaction


@app.post("/pay")
def pay() -> str:
    """Pays an order."""
    shop.execute("update orders set paid = 1 where id = 1")
    charge()
    shop.commit()
    return "paid"


@app.post("/pay-well")
def pay_well() -> str:
    """The same with the call outside of the transaction."""
    shop.execute("update orders set paid = 2 where id = 1")
    shop.commit()
    requests.post(f"http://127.0.0.1:{bank.server_port}/charges", timeout=5)
    return "paid"


if __name__ == "__main__":
    with app.test_client() as client:
        for _ in range(3):
            client.post("/pay-well")
            client.post("/pay")
    print("see which call keeps a transaction open: perfagent dashboard --service transaction_across_call, or the page")
