"""Tests that are over their budgets, with secrets in all that they ask; collected by a run of their own alone."""

from __future__ import annotations

import sqlite3

import flask
import pytest

from tests.canaries import CANARIES

app = flask.Flask(__name__)


def canary(place: str) -> str:
    return CANARIES[place]


@app.get("/bills/<name>")
def bill(name: str) -> str:
    """The same question for each line, and one that has a literal."""
    database = sqlite3.connect(":memory:")
    database.execute("create table lines (note text)")
    for _ in range(4):
        database.execute("select note from lines where note = ?", (canary("parameter of a budgeted test"),)).fetchall()
    return str(database.execute(f"select '{canary('literal of a budgeted test')}' from lines").fetchall()) + name


@pytest.mark.perfagent(queries=1, duplicate_queries=0)
def test_a_bill() -> None:
    answer = app.test_client().get(
        f"/bills/shown?token={canary('query of a budgeted test')}",
        headers={"X-Key": canary("header of a budgeted test")},
    )
    assert answer.status_code == 200
