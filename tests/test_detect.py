"""Anomalies and change points: found where they are, and nothing else told."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import datetime, timezone
from math import exp, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.cli.detect import seconds
from perfagent.hub.detect import changes
from perfagent.hub.detect.stream import Alert, Detector
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DAY, STEP = 86_400, 300
BEGIN = 1_790_000_000 // DAY * DAY


def shop(days: int, seed: int, change: Callable[[float, float], float] = lambda day, value: value) -> list[float]:
    """Five-minute means of a latency with a daily season, quiet weekends and noise; `change` gets day and value."""
    draw = random.Random(seed)
    values = []
    for at in range(days * DAY // STEP):
        day = at * STEP / DAY
        level = 40 * (1 + 0.5 * sin(2 * pi * day)) * (0.6 if int(day) % 7 in (5, 6) else 1)
        values.append(change(day, level * exp(draw.gauss(0, 0.08))))
    return values


def alerts(values: Iterable[float], step: float = STEP, begin: float = BEGIN) -> list[Alert]:
    detector = Detector()
    told = (detector.add(begin + at * step, value) for at, value in enumerate(values))
    return [alert for alert in told if alert is not None]


def days_of(found: list[Alert]) -> list[float]:
    return [round((alert.time - BEGIN) / DAY, 2) for alert in found]


def test_a_healthy_month_with_season_and_weekends_has_hardly_an_alert() -> None:
    told = [len(alerts(shop(28, seed))) for seed in range(6)]
    assert sum(told) <= 6 * 28 * 0.05, told  # a false alarm in 20 days


def test_what_was_never_seen_is_told_within_a_quarter_of_an_hour() -> None:
    found = alerts(shop(20, 1, lambda day, value: value * 2.5 if 14.4 < day < 14.5 else value))
    assert [alert.kind for alert in found] == ["level"]
    assert 14.4 < days_of(found)[0] < 14.42
    assert found[0].ratio > 1.15


def test_a_morning_without_its_peak_is_told_although_the_value_is_usual() -> None:
    found = alerts(shop(26, 2, lambda day, value: value * 0.5 if 24.1 < day < 24.4 else value))
    assert [alert.kind for alert in found] == ["season"]
    assert 24.1 < days_of(found)[0] < 24.2
    assert found[0].mean < found[0].expected


def test_it_works_in_the_second_hour_of_a_series_that_is_read_every_15_seconds() -> None:
    draw = random.Random(3)
    values = [10 * exp(draw.gauss(0, 0.05)) * (1.6 if at > 360 else 1) for at in range(600)]
    found = alerts(values, step=15)
    assert [alert.kind for alert in found] == ["level"]
    assert 360 < (found[0].time - BEGIN) / 15 < 420


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_neither_the_unit_nor_the_week_matters(factor: float) -> None:
    values = shop(16, 4, lambda day, value: value * 3 if 12.3 < day < 12.4 else value)
    expected = days_of(alerts(values))
    moved = alerts([value * factor for value in values], begin=BEGIN + 12 * 7 * DAY)
    assert [round((alert.time - BEGIN) / DAY - 84, 2) for alert in moved] == expected != []


def test_the_future_changes_nothing() -> None:
    values = shop(12, 5, lambda day, value: value * 3 if 5.3 < day < 5.4 or 9.2 < day < 9.3 else value)
    whole = alerts(values)
    for cut in (1000, 1700, 2900):
        assert alerts(values[:cut]) == [alert for alert in whole if alert.time < BEGIN + cut * STEP]


def test_a_flat_series_is_silent_until_it_moves() -> None:
    assert alerts([5.0] * 5000) == []
    found = alerts([5.0] * 3000 + [6.0] * 100)
    assert len(found) == 1
    assert found[0].ratio == float("inf")


def test_gaps_clocks_that_jump_back_and_doubled_readings_do_no_harm() -> None:
    detector = Detector()
    for at, value in enumerate(shop(3, 6)):
        moment = BEGIN + at * STEP + (DAY if at > 400 else 0) - (7200 if at % 50 == 0 else 0)
        assert detector.add(moment, value) is None
        assert detector.add(moment, value) is None


def test_memory_is_bounded() -> None:
    detector = Detector()
    for at in range(40 * DAY // 60):
        detector.add(BEGIN + at * 60, 1.0 + at % 7)
    kept = len(detector._season._means) + len(detector._spread._ordered) + len(detector._departures._ordered)
    assert kept + sum(len(mean._readings) for mean in detector._means) < 13_000


def level(n: int, seed: int, parts: list[tuple[int, float]], correlation: float = 0.0) -> list[float]:
    """A noisy series whose level is multiplied from each index on."""
    draw, error, values = random.Random(seed), 0.0, []
    for at in range(n):
        error = correlation * error + (1 - correlation**2) ** 0.5 * draw.gauss(0, 1)
        values.append(50 * exp(0.05 * error) * next((factor for begin, factor in reversed(parts) if at >= begin), 1.0))
    return values


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_changes_of_level_are_found_where_they_are(correlation: float) -> None:
    for seed in range(8):
        found = changes.find(level(300, seed, [(120, 1.4), (210, 1.0)], correlation))
        assert [abs(change.index - at) <= 5 for change, at in zip(found, (120, 210), strict=True)] == [True, True]
        assert found[0].after / found[0].before == pytest.approx(1.4, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_noise_spikes_and_a_season_are_no_changes(correlation: float) -> None:
    told = 0
    for seed in range(0, 60, 3):
        spiky = [value * (3 if at % 67 == 11 else 1) for at, value in enumerate(level(200, seed, [], correlation))]
        daily = [
            value * (1 + 0.15 * sin(pi * at / 12)) for at, value in enumerate(level(200, seed + 1, [], correlation))
        ]
        told += sum(len(changes.find(series)) for series in (level(200, seed + 2, [], correlation), spiky, daily))
    assert told <= 60 * 0.05


def test_a_long_series_is_worked_on_in_means_and_its_change_is_near_where_it_is() -> None:
    found = changes.find(level(20_000, 1, [(9000, 1.3)]))
    assert [abs(change.index - 9000) <= 70 for change in found] == [True]


@pytest.mark.parametrize("values", [[], [1.0] * 5, [3.0] * 200, [0.0, 1.0] * 100, [1e300, 1e-300] * 20])
def test_odd_series_have_no_change(values: list[float]) -> None:
    assert changes.find(values) == []


@pytest.mark.parametrize(
    "stamp",
    ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00", "2026-01-31T13:00:00+01:00", "1769860800", "1769860800000",
     "1769860800000000", "1769860800000000000", '"2026-01-31T12:00:00"'],
)  # fmt: skip
def test_times_are_understood_as_people_and_programs_write_them(stamp: str) -> None:
    assert seconds(stamp) == datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp()


def detect(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perfagent", "detect", *options]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def table(values: Iterable[float]) -> str:
    rows = (f"{datetime.fromtimestamp(BEGIN + at * STEP, timezone.utc):%Y-%m-%dT%H:%M:%SZ},{value!r}"
            for at, value in enumerate(values))  # fmt: skip
    return "\n".join(("timestamp,value", *rows)) + "\n"


def test_the_command_prints_an_alert_a_line_with_the_time_as_it_came() -> None:
    values = shop(9, 7, lambda day, value: value * 3 if 8.2 < day < 8.3 else value)
    ended = detect(table(values), "--stdin")
    (line,) = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert line.split(",")[0] in table(values)
    assert line.split(",")[2] == "level"
    (found,) = map(json.loads, detect(table(values), "--output", "json").stdout.splitlines())
    assert (found["timestamp"], found["kind"]) == (line.split(",")[0], "level")


def test_lines_that_are_no_reading_are_counted_and_the_rest_is_read() -> None:
    ended = detect("time,ms\n1,2\n2,\n3,nan\nyesterday,4\n\n5,6\n")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "perfagent: 3 lines were left out, such as '2,'" in ended.stderr
    ended = detect("")
    assert ended.returncode == 2
    assert "a line is `timestamp,value`, such as 2026-01-31T12:00:00Z,41.5" in ended.stderr


def test_an_alert_is_printed_before_the_input_ends() -> None:
    command = [sys.executable, "-m", "perfagent", "detect"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(table([5.0] * 200 + [9.0] * 4))
        process.stdin.flush()
        assert process.stdout.readline().split(",")[1:3] == ["9.0", "level"]
        process.stdin.close()


def test_changes_are_printed_with_the_levels_on_both_sides() -> None:
    ended = detect(table(level(200, 2, [(100, 1.5)])), "--offline", "--output", "json")
    (found,) = map(json.loads, ended.stdout.splitlines())
    assert found["after"] / found["before"] == pytest.approx(1.5, rel=0.1)
    assert found["change"] == pytest.approx(found["after"] - found["before"], abs=1e-5)


@pytest.mark.slow
def test_what_the_page_shows_works(tmp_path: Path) -> None:
    (tmp_path / "latency.csv").write_text(table(shop(9, 7, lambda day, value: value * 3 if 8.2 < day < 8.3 else value)))
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for block in blocks("docs/how-to/detect.md", "sh"):
        command = ["bash", "-ec", block]
        ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout
