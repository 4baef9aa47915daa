"""Tests that are over their limits, and some that are within."""

from __future__ import annotations

import sqlite3
import time

import pytest

runs = {"slow": 0, "once": 0}


@pytest.mark.perfagent(queries=2)
def test_queries(database: sqlite3.Connection) -> None:
    for number in range(5):
        database.execute("SELECT name FROM items WHERE id = ?", (number,))


@pytest.mark.perfagent(duplicate_queries=0)
def test_repeated_queries(database: sqlite3.Connection) -> None:
    database.execute("SELECT name FROM items WHERE id = 1")
    database.execute("SELECT name FROM items WHERE id = 2")


@pytest.mark.perfagent(calls=0)
def test_calls(elsewhere: str) -> None:
    import urllib.request

    urllib.request.urlopen(elsewhere, timeout=10).close()


@pytest.mark.perfagent(memory="5MB")
def test_memory() -> None:
    assert len(bytearray(20_000_000)) == 20_000_000


@pytest.mark.perfagent(time="50ms")
def test_always_slow() -> None:
    runs["slow"] += 1
    time.sleep(0.2)


@pytest.mark.perfagent(time="500ms", memory="50MB", cpu="10s", queries=0)
def test_slow_once() -> None:
    runs["once"] += 1
    time.sleep(1 if runs["once"] == 1 else 0)


def test_it_ran_until_it_was_within() -> None:
    assert runs == {"slow": 3, "once": 2}


@pytest.mark.xfail(reason="known", strict=True)
@pytest.mark.perfagent(queries=0)
def test_known_to_be_over(database: sqlite3.Connection) -> None:
    database.execute("SELECT 1")


@pytest.mark.perfagent(queries=3, time="30s")
class TestMarked:
    def test_within(self, database: sqlite3.Connection) -> None:
        for _ in range(3):
            database.execute("SELECT name FROM items")

    @pytest.mark.perfagent(queries=1)
    def test_the_nearest_marker_tells(self, database: sqlite3.Connection) -> None:
        database.execute("SELECT name FROM items")
        database.execute("SELECT id FROM items")


@pytest.mark.perfagent(time="50ms")
def test_slow_and_then_wrong() -> None:
    runs["wrong"] = runs.get("wrong", 0) + 1
    assert runs["wrong"] == 1, "it may run once only"
    time.sleep(0.2)
