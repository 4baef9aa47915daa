"""The questions that Prometheus is asked: exact increments, and readings.

`rate` and `increase` are no use here: they extrapolate to the ends of the window and leave out a series' first value,
so that a hundred requests become 97.3. An increment is the last sample up to the end of a step less the last one up to
its begin, and what one step leaves over the next one has: over a range they add up to what was counted, however often a
scrape fails. A value that fell, or a series that was not there, counts whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUTE = 60
BEFORE = 3600
"""Seconds that a sample may be old to be the one before; a series that was silent for longer begins anew. With
Prometheus' own 5 minutes a target that was cut off for 10 would be one that has just begun, and all that it ever
counted would be news. Prometheus has the samples of two hours in memory."""
AWAKE = 300
"""Seconds for which Prometheus must have been there for a series to be new: after a silence of hours all of them look
so, and they come back one after the other."""
NAME = "perfagent_name"
"""A label that carries a metric's name beyond a difference, which takes it away."""
SIGNS = '{__name__=~"up|target_info"}'
"""Series that are there whenever Prometheus takes something in."""
PARTS = (600, 300, MINUTE)
"""Seconds of the parts that a longer step is the sum of: at least three."""


def increments(selector: str, step: int, guarded: bool = False) -> str:
    """An expression for what was added to each series within the step that ends at the evaluation; only what was added.

    A step of more than a minute is the sum of parts, for where a counter begins anew what it counted since the last
    part is lost.

    Args:
        selector: of counters, or of a histogram's series, of one metric.
        step: seconds; a multiple of 60 where it is more.
        guarded: whether a series is new only where Prometheus has been there for a while.
    """
    part = next((one for one in PARTS if step >= 3 * one and step % one == 0), step)
    if part < step:
        # `+ 0` takes the name away, which some of the parts have. A second less than the step: whether a range has its
        # begin differs between Prometheus 2 and 3.
        return f"sum_over_time((({increments(selector, part, guarded)}) + 0)[{step - 1}s:{part}s])"
    now = f"last_over_time({selector}[{step}s])"
    before = f"last_over_time({selector}[{BEFORE}s] offset {step}s)"
    if not guarded:
        return f"((({now} - {before}) >= 0) or {now}) > 0"
    awake = f"count(last_over_time({SIGNS}[{BEFORE}s] offset {step + AWAKE}s)) > 0"
    return f"((({now} - {before}) >= 0) or ({now} < {before}) or ({now} and on () ({awake}))) > 0"


def increments_of(names: Iterable[str], step: int, guarded: bool = False) -> str:
    """`increments` of several metrics, each with its name in the label NAME."""
    return " or ".join(
        f'label_replace({increments(name, step, guarded)}, "{NAME}", "{name}", "", "")' for name in names
    )


def readings(selector: str, step: int) -> str:
    """An expression for the last sample of each series within the step."""
    return f"last_over_time({selector}[{step}s])"


def summed(expression: str, labels: Iterable[str]) -> str:
    """The sum by some labels, such as over all gateways."""
    return f"sum by ({', '.join(labels)}) ({expression})"


def named(names: Iterable[str], suffix: str = "") -> str:
    """A selector of several metrics; a name may be a regular expression.

    Args:
        suffix: of each name, such as "_bucket".
    """
    return f"{{__name__=~{quoted('|'.join(f'{name}{suffix}' for name in names))}}}"


def quoted(text: str) -> str:
    """A string of PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def literal(text: str) -> str:
    """A regular expression that matches this text alone."""
    return re.escape(text)
