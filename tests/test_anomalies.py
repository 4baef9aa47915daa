"""The watcher of the unusual: what it says of the minutes that a hub has stored."""

from __future__ import annotations

import random
import time
from math import exp, log2, pi, sin
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.alert.anomalies import Anomalies
from perfagent.hub.api.ranges import Range
from perfagent.hub.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hub import ServeHub

DAY = 86_400
NOW = time.time() // 3600 * 3600 - 1800  # half an hour that no test needs may follow
CALLS, TIMES = 1, 2  # operations


class Watched:
    """A hub's store with minutes of a service `shop`, and the watcher that reads it.

    Args:
        store: where the minutes are.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.remote = store, None
        with store.transaction() as cursor:
            cursor.execute("INSERT INTO operations VALUES (1, 'shop', 'server', 'GET /', '', '', 0)")
        self.watcher = Anomalies(self)  # type: ignore[arg-type]

    def fill(self, begin: float, end: float, of: Callable[[float], tuple[float, float]]) -> None:
        """Stores each minute's number of requests and their duration in ms."""
        rows = []
        for minute in range(int(begin // 60 * 60), int(end), 60):
            calls, ms = of(minute)
            rows.append([minute, 1, 200, int(8 * log2(ms * 1e6)), calls, 0, calls * ms * 1e6, int(ms * 1e6), 0])
        with self.store.transaction() as cursor:
            cursor.executemany("INSERT INTO span_minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def look(self, at: float) -> list[tuple[str, float | None]]:
        """What is said once all that was stored before a moment has been read: rule and end of each."""
        for _ in range(40):
            found = list(self.watcher.look(Range(at - DAY, at)))
        return sorted((one.rule, one.until) for one in found)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    store = Store.open(tmp_path, 128)
    yield Watched(store)
    store.close()


def shop(seed: int) -> Callable[[float], tuple[float, float]]:
    draw = random.Random(seed)

    def minute(at: float) -> tuple[float, float]:
        season = 1 + 0.5 * sin(2 * pi * (at - NOW) / DAY)
        return draw.gauss(300, 15) * season, 30 * season * exp(draw.gauss(0, 0.1))

    return minute


def test_a_usual_day_is_no_anomaly_and_a_slow_quarter_of_an_hour_is_one_that_ends(watched: Watched) -> None:
    usual = shop(1)
    watched.fill(NOW - 4 * DAY, NOW, usual)
    assert watched.look(NOW) == []

    def slow(at: float) -> tuple[float, float]:
        calls, ms = usual(at)
        return calls, ms * 4

    watched.fill(NOW, NOW + 1200, slow)
    assert watched.look(NOW + 1200) == [("unusual_response_time", None)]
    (told,) = watched.watcher.look(Range(NOW, NOW + 1200))
    assert (told.severity, told.service, told.kind) == ("medium", "shop", "anomaly")
    assert NOW < told.since < NOW + 900
    assert "Unusual duration of requests in shop: " in told.text
    watched.fill(NOW + 1200, NOW + 3600, usual)
    ((rule, until),) = watched.look(NOW + 3600)
    assert rule == "unusual_response_time"
    assert until is not None
    assert NOW + 1200 < until < NOW + 3000


def test_a_restart_says_the_same_as_before(watched: Watched) -> None:
    usual = shop(2)
    watched.fill(NOW - 2 * DAY, NOW - 1800, usual)
    watched.fill(NOW - 1800, NOW, lambda at: (usual(at)[0] * 4, usual(at)[1]))
    before = watched.look(NOW)
    assert ("unusual_request_rate", None) in before
    watched.watcher = Anomalies(watched)  # type: ignore[arg-type]
    assert watched.look(NOW) == before


def test_a_look_at_a_week_of_history_takes_some_hours_at_a_time(watched: Watched) -> None:
    watched.fill(NOW - 2 * DAY, NOW, shop(3))
    asked: list[tuple[int, int]] = []
    rows = watched.store.rows

    def counted(query: str, /, **parameters: object) -> list[dict[str, object]]:
        if query == "alerts/usual":
            asked.append((parameters["since"], parameters["until"]))  # type: ignore[arg-type]
        return rows(query, **parameters)

    watched.store.rows = counted  # type: ignore[method-assign]
    watched.look(NOW)
    assert all(until - since <= 6 * 3600 for since, until in asked)
    assert [since for since, _ in asked[1:]] == [until for _, until in asked[:-1]], "each minute is read once"


def test_a_hub_that_serves_looks_for_anomalies_too(serve_hub: ServeHub) -> None:
    from perfagent.hub.alert import watchers

    hub = serve_hub()
    assert any(isinstance(one, Anomalies) for one in watchers.made(hub.hub))
