"""Zones: entered where they begin, left with hysteresis, never flapping."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.container import Container
from perfagent.hub.sources.load import Gauge, Load
from perfagent.hub.sources.reach import TABLE, reach
from perfagent.hub.sources.zones import BACK, ENTERED, LEAST, RISE, ZONES, Ladder, of
from perfagent.runtime import machine

if TYPE_CHECKING:
    from pathlib import Path

LOOK = 2.0


def test_the_agent_and_the_hub_begin_and_leave_a_zone_at_the_same_shares() -> None:
    """Each has its own: neither may import the other."""
    assert {zone: share for share, zone in machine.ZONES} | {"green": 0.0} == ENTERED
    assert machine.BACK == BACK


def walked(ladder: Ladder, shares: list[float], start: float = 0.0) -> list[tuple[float, str]]:
    """The changes of a series of readings, 2 s apart."""
    changes = []
    for number, share in enumerate(shares):
        change = ladder.look(share, start + number * LOOK)
        if change is not None:
            changes.append((change.time, change.after))
    return changes


@pytest.mark.parametrize(
    ("share", "zone"),
    [
        (0.0, "green"),
        (0.599, "green"),
        (0.6, "yellow"),
        (0.75, "orange"),
        (0.85, "red"),
        (0.95, "critical"),
        (1.0, "critical"),
    ],
)
def test_a_steady_share_is_in_its_zone(share: float, zone: str) -> None:
    ladder = Ladder()
    walked(ladder, [share] * 60)
    assert ladder.zone == zone == of(share)


def test_a_peak_of_one_reading_changes_nothing() -> None:
    ladder = Ladder()
    assert not walked(ladder, [0.3] * 30 + [1.0] + [0.3] * 60)


def test_a_load_that_stays_is_answered_within_half_a_minute_and_its_end_zone_by_zone() -> None:
    ladder = Ladder()
    (*_, (reached, zone)) = walked(ladder, [0.2] * 10 + [1.0] * 60)
    assert zone == "critical"
    first = walked(Ladder(), [0.2] * 10 + [1.0] * 60)[0]
    assert first[0] - 10 * LOOK <= 30, "half of the way is 10 s, and RISE"
    down = walked(ladder, [0.1] * 120, start=70 * LOOK)
    assert [zone for _, zone in down] == ["red", "orange", "yellow", "green"]
    times = [reached, *(time for time, _ in down)]
    assert all(later - earlier >= LEAST for earlier, later in pairwise(times[1:]))


@settings(max_examples=100, deadline=None)
@given(
    limit=st.sampled_from([ENTERED[zone] for zone in ZONES[1:]]),
    noise=st.lists(st.floats(-0.95 * BACK, 0.95 * BACK), min_size=50, max_size=150),
)
def test_noise_around_a_limit_does_not_flap(limit: float, noise: list[float]) -> None:
    ladder = Ladder()
    changes = walked(ladder, [limit] + [min(limit + one, 1.0) for one in noise])
    # At the begin it finds its zone; whatever is less than BACK around a limit is one zone from then on.
    assert len(changes) <= 2
    names = [zone for _, zone in changes]
    assert names == sorted(names, key=ZONES.index), "it never goes down"


@settings(max_examples=100, deadline=None)
@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=150))
def test_any_load_changes_the_zone_at_most_so_often_and_upwards_at_once(shares: list[float]) -> None:
    ladder, changes, before = Ladder(), [], "green"
    for number, share in enumerate(shares):
        change = ladder.look(share, number * LOOK)
        if change is not None:
            assert change.before == before
            before = change.after
            changes.append(change)
    for earlier, later in pairwise(changes):
        falls = ZONES.index(later.after) < ZONES.index(later.before)
        assert later.time - earlier.time >= (LEAST if falls else RISE)
        assert not falls or ZONES.index(later.before) - ZONES.index(later.after) == 1


def test_each_zone_leaves_no_more_than_the_one_below_and_the_critical_sources_always_something() -> None:
    for priority in ("critical", "high", "normal", "low"):
        factors = [reach(zone, priority).factor or float("inf") for zone in ZONES]
        assert factors == sorted(factors), priority
    assert all(TABLE[zone]["critical"].factor for zone in ZONES)
    assert TABLE["yellow"]["low"].factor > 1
    assert {zone for zone in ZONES if TABLE[zone]["high"].factor is None} == {"red", "critical"}
    assert {zone for zone in ZONES if TABLE[zone]["normal"].factor is None} == {"orange", "red", "critical"}


def test_the_load_is_the_larger_of_the_machine_and_of_the_control_group(tmp_path: Path) -> None:
    proc, group = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    group.mkdir()
    (proc / "stat").write_text("cpu  100 0 100 800 0 0 0 0 0 0\n")
    (proc / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 700 kB\n")
    (tmp_path / "membership").write_text("0::/\n")
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.current").write_text("950000\n")
    (group / "memory.stat").write_text("inactive_file 150000\n")
    gauge = Gauge(str(proc), Container(str(group), str(tmp_path / "membership")))
    (proc / "stat").write_text("cpu  150 0 150 900 0 0 0 0 0 0\n")
    load = gauge.read()
    assert load.cpu == pytest.approx(0.5)
    assert load.memory == pytest.approx(0.3)
    assert load.container_memory == pytest.approx(0.8)
    assert (load.share, load.resource) == (pytest.approx(0.8), "container memory")


def test_what_nobody_knows_is_no_load() -> None:
    assert Load(None, None, None, None).share == 0.0
