"""Three parts of a request ask for the same settings: each is quick, and two of them are for nothing.

Answers 30 requests by itself and ends.
"""

from __future__ import annotations

import sqlite3
import time

from flask import Flask

app = Flask(__name__)
shop = sqlite3.connect(":memory:", check_same_thread=False)
shop.execute("create table settings (name text primary key, value text)")
shop.executemany("insert into settings values (?, ?)", [("currency", "EUR"), ("language", "de"), ("tax", "19")])


def setting(name: str) -> str:
    """Asks each time."""
    return shop.execute("select value from settings where name = ?", (name,)).fetchone()[0]  # fault: it is known by now


def price(amount: int) -> str:
    """One line of the bill."""
    return f"{amount} {setting('currency')}"


@app.get("/bill")
def bill() -> dict[str, str]:
    """Asks once for the language and three times for the currency."""
    return {"language": setting("language"), "net": price(100), "tax": price(19), "gross": price(119)}


if __name__ == "__main__":
    with app.test_client() as client:
        for _ in range(30):
            client.get("/bill")
            time.sleep(0.02)
    print("see which question is asked again: perfagent dashboard --service duplicate_queries, or the page")
