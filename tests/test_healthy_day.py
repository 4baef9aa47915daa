"""Days of a shop through the hub's own store, watchers, engine and channels, minute by minute by a clock of the tests:
a healthy day pages nobody more than once, and the same day with something wrong does.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from perfagent.hub.access import Access, secret
from perfagent.hub.analyse.thresholds import pooled
from perfagent.hub.control.commands import Commands
from perfagent.hub.hub import Hub
from perfagent.hub.store.intake import Intake
from perfagent.hub.store.store import Store
from perfagent.settings import Settings
from tests.shop_day import DAY_MINUTES, NIGHT, RIGHT, ShopDay, Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfagent.hub.alert.event import Event

pytestmark = pytest.mark.slow  # a day of telemetry takes its time

SEEDS = [int(seed) for seed in os.environ.get("HEALTHY_DAYS", "1").split()]
EVERY = int(os.environ.get("HEALTHY_DAYS_EVERY", "10"))  # minutes between two looks where nothing special happens
RATE, BUSY = 40.0, 150.0  # requests a minute on average, of a whole day and of some hours
DECLARED = """
[[slo]]
name = "shop-availability"
service = "shop"
objective = 99.5
indicator = "availability"

[[slo]]
name = "shop-latency"
service = "shop"
objective = 95
indicator = "latency"
threshold_ms = 1000

[[channel]]
name = "pager"
kind = "file"
path = "{path}"
"""
MORNING, NOON = 480, 640  # minutes of the day; before a fault, and when it begins
FAULTS = {
    "a statement takes 30 times as long": Wrong(slower={"SELECT products": 30.0}),
    "a dependency takes 12 times as long": Wrong(slower={"POST payments.internal": 12.0, "SELECT accounts": 150.0}),
    "one request in four of a route fails": Wrong(failing=0.25, route="POST /cart"),
    "one request in ten fails": Wrong(failing=0.10),
    "a statement runs 200 times a request": Wrong(repeated={"SELECT lines": 200}),
    "the cache finds nothing": Wrong(misses=0.92, slower={"SELECT products": 4.0}),
    "memory grows until the limit": Wrong(leak_mb=6.0),
    "the event loop is blocked": Wrong(lag_ms=900.0, own=6.0),
    "everything takes eight times as long": Wrong(own=8.0, cores=1.5),
}


class Told(NamedTuple):
    """A notification.

    Args:
        minute: of the day.
        text: what it says.
    """

    minute: int
    text: str


class Watched:
    """A hub whose clock is the day's.

    Args:
        directory: of its store.
        day: what its programs tell.
    """

    def __init__(self, directory: Path, day: ShopDay) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "perfagent.toml").write_text(DECLARED.format(path=directory / "told.jsonl"))
        self.day = day
        self.store = Store.open(directory, 256)
        settings = Settings({}, str(directory))
        access = Access(secret(str(directory)))
        intake = Intake(self.store, settings.hub_queue)
        self.hub = Hub(settings, directory, "http://127.0.0.1:4318", self.store, intake, access, Commands())
        self.clock = float(day.begin)
        self.hub.alerts.now = lambda: self.clock  # type: ignore[method-assign]
        self.hub.alerts.subscribe(self._take)
        [(self._pager, _)] = self.hub.notifier.channels()
        self.told: list[Told] = []
        self._heard: set[str] = set()

    def live(self, first: int, last: int, *, every: int = 1) -> list[Told]:
        """Lives some minutes; returns what was told in them.

        Args:
            first, last: of the day.
            every: minutes between two looks, which are each minute where something happens; 0 for none.
        """
        special = (*self.day.releases, self.day.blip, *NIGHT)
        before = len(self.told)
        for number in range(first, last):
            self.store.append([self.day.minute(number)])
            self.clock = self.day.begin + 60.0 * (number + 1)
            if every and (number % every == 0 or any(0 <= number - one < 8 for one in special)):
                self.hub.alerts.look()
        return self.told[before:]

    def _take(self, events: list[Event]) -> None:
        """What the channel is told of, told twice within its quiet minutes as well: nothing is folded here."""
        for event in events:
            incident = event.incident
            if event.happening != "resolved" and self._pager.wants(event, incident.id in self._heard):
                self._heard.add(incident.id)
                text = f"{event.happening} {incident.severity}: {incident.title}: {incident.cause}"
                self.told.append(Told(int((self.clock - self.day.begin) / 60), text))


@contextmanager
def watched(directory: Path, day: ShopDay) -> Iterator[Watched]:
    """A hub that is closed at the end."""
    found = Watched(directory, day)
    try:
        yield found
    finally:
        found.store.close()


def midnight() -> int:
    """The begin of a day that is over, by the hour."""
    return int(time.time()) // 3600 * 3600 - 86_400


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_day_pages_nobody_more_than_once(tmp_path: Path, seed: int) -> None:
    with watched(tmp_path / "hub", ShopDay(seed, midnight(), RATE)) as hub:
        told = hub.live(0, DAY_MINUTES, every=EVERY)
        day = hub.day
        print(f"\nseed {seed}, releases in minutes {day.releases}, all slow in minute {day.blip}: {len(told)} told")
        print(*(f"  {one.minute}: {one.text}" for one in told), sep="\n")
        assert hub.store.sizes()["spans"] > DAY_MINUTES
        assert len(told) <= 1


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of a store that knows the hours before a fault, and the begin of its day."""
    directory, begin = tmp_path_factory.mktemp("morning"), midnight()
    with watched(directory, ShopDay(7, begin, BUSY)) as hub:
        hub.live(MORNING, NOON - 30, every=0)
    return directory, begin


@pytest.mark.parametrize("what", FAULTS)
def test_the_same_day_with_something_wrong_does(what: str, morning: tuple[Path, int], tmp_path: Path) -> None:
    directory, begin = morning
    shutil.copytree(directory, tmp_path / "hub")
    wrong = FAULTS[what]
    wrong.begin, wrong.end = NOON, DAY_MINUTES
    day = ShopDay(8, begin, BUSY, wrong)
    day.releases, day.blip = [], -1
    with watched(tmp_path / "hub", day) as hub:
        assert not hub.live(NOON - 30, NOON, every=6), "told before anything was wrong"
        for last in range(NOON, NOON + 60):
            told = hub.live(last, last + 1)
            if told:
                print(f"\n{what}: told after {told[0].minute - NOON} minutes: {told[0].text}")
                return
    pytest.fail(f"nobody was told within an hour that {what}")


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert RIGHT.at(5) == Wrong()


def test_a_failure_or_two_of_a_quiet_service_count_as_none() -> None:
    requests, quiet, broken = [4.0] * 5, [0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0, 0.0]
    assert pooled(quiet, requests, 10, least_part=3) == [None, None, 0.0, 0.0, 0.0]
    assert pooled(broken, requests, 10, least_part=3) == [None, None, 0.0, 25.0, 0.0]
