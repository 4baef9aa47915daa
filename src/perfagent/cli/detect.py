"""`perfagent detect`: anomalies, or change points, of a series of values on standard input."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timezone
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from perfagent.cli import arguments
from perfagent.hub.detect import changes
from perfagent.hub.detect.stream import Detector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WRONG = 2  # exit status
UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # nanoseconds, microseconds, milliseconds since the epoch
EXAMPLES = """\
examples:
  perfagent detect < latency.csv                    # an alert a line, while values arrive
  tail -f latency.csv | perfagent detect --output json
  perfagent detect --offline < latency.csv          # where the level of a finished series changed for good

input, a reading a line: timestamp,value - ISO 8601 or seconds, ms, us or ns since the epoch; a first line without a
number is a header. What is no number, such as an empty value, is left out and counted on standard error.

output: timestamp,value,kind,expected,ratio - kind is `level` (beyond everything of the last week) or `season` (not what
this time of the day or the week is like), ratio the departure by the largest one before. With --offline:
timestamp,value,change,before,after - the levels on both sides.

exit status: 0 all read, alerts or none; 2 wrong words, or nothing that could be read
"""


class Reading(NamedTuple):
    """A line of the input."""

    stamp: str
    time: float
    value: float


def main(words: list[str]) -> int:
    """Reads a series and prints what is unusual in it; returns the exit status."""
    parser = arguments.parser(
        "detect",
        description="Tells what is unusual in a series of values, without thresholds or labels; needs no hub.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--stdin", action="store_true", help="read standard input, which is the default")
    parser.add_argument("--offline", action="store_true", help="read all of it first, and tell where its level changed")
    parser.add_argument("--output", choices=("csv", "json"), default="csv", help="json has an object a line")
    asked = parser.parse_args(words)
    return _run(asked)


def _run(asked: argparse.Namespace) -> int:
    source = _Source(sys.stdin)
    for told in _changes(source) if asked.offline else _alerts(source):
        line = json.dumps(told) if asked.output == "json" else ",".join(_shown(part) for part in told.values())
        print(line, flush=True)  # who reads along is not to wait for a buffer to fill
    if source.left_out:
        lines = "1 line was" if source.left_out == 1 else f"{source.left_out} lines were"
        print(f"perfagent: {lines} left out, such as {source.example!r}", file=sys.stderr)
    if not source.read:
        print(
            "perfagent: nothing was read: a line is `timestamp,value`, such as 2026-01-31T12:00:00Z,41.5",
            file=sys.stderr,
        )
        return WRONG
    return 0


def _alerts(source: Iterable[Reading]) -> Iterator[dict[str, object]]:
    detector = Detector()
    for reading in source:
        alert = detector.add(reading.time, reading.value)
        if alert is not None:
            yield {
                "timestamp": reading.stamp,
                "value": alert.value,
                "kind": alert.kind,
                "expected": round(alert.expected, 6),
                "ratio": round(alert.ratio, 2) if isfinite(alert.ratio) else None,
            }


def _changes(source: Iterable[Reading]) -> Iterator[dict[str, object]]:
    readings = sorted(source, key=lambda reading: reading.time)
    for found in changes.find([reading.value for reading in readings]):
        at = readings[found.index]
        levels = {"change": found.after - found.before, "before": found.before, "after": found.after}
        yield {"timestamp": at.stamp, "value": at.value, **{name: round(level, 6) for name, level in levels.items()}}


def _shown(part: object) -> str:
    return "" if part is None else str(part)


class _Source:
    """Readings of a file of lines; counts what is none."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.read = self.left_out = 0
        self.example = ""

    def __iter__(self) -> Iterator[Reading]:
        for position, line in enumerate(self._lines):
            stamp, _, rest = line.strip().partition(",")
            try:
                value = float(rest.partition(",")[0])
                if not isfinite(value):
                    raise ValueError
                reading = Reading(stamp, seconds(stamp), value)
            except (ValueError, OverflowError):
                if position and line.strip():  # the first may be a header
                    self.left_out += 1
                    self.example = self.example or line.strip()[:80]
                continue
            self.read += 1
            yield reading


def seconds(stamp: str) -> float:
    """Seconds since the epoch of a time as people and programs write it; one without a zone is UTC.

    Raises:
        ValueError: it is none.
    """
    stamp = stamp.strip().strip('"')
    try:
        number = float(stamp)
    except ValueError:
        moment = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not isfinite(number):
        raise ValueError(stamp)
    return next((number / unit for limit, unit in UNITS if abs(number) >= limit), number)
