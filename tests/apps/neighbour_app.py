"""A shop by Flask; code in SETUP runs first, as a program that brings an agent of its own has it."""

from __future__ import annotations

import os
import sqlite3

exec(os.environ.get("SETUP", ""))

from flask import Flask  # noqa: E402 - after what SETUP patches

app = Flask("shop")


@app.get("/")
def root() -> str:
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()
    return str(os.getpid())


@app.get("/boom")
def boom() -> str:
    raise LookupError("boom")
