"""The Flask program: /hello, /queries, and /served for the harness."""

from __future__ import annotations

from flask import Flask

from .store import five_queries, served

app = Flask(__name__)


@app.get("/hello")
def hello() -> dict[str, str]:
    """The least that a route can do."""
    served["/hello"] += 1
    return {"hello": "world"}


@app.get("/queries")
def queries() -> dict[str, object]:
    """Five queries, in the request's own thread."""
    served["/queries"] += 1
    return five_queries()


@app.get("/served")
def count() -> dict[str, int]:
    """How many requests each route has taken, this one included."""
    served["/served"] += 1
    return served
