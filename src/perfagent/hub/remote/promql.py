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

BEFORE = 3600
"""Seconds that a sample may be old to be the one before; a series that was silent for longer begins anew. With
Prometheus' own 5 minutes a target that was cut off for 10 would be one that has just begun, and all that it ever
counted would be news. Prometheus has the samples of two hours in memory."""
NAME = "perfagent_name"
"""A label that carries the metric's name through a difference, which takes it away."""


def increments(selector: str, step: int, named: bool = False) -> str:
    """An expression for what was added to each series within the step that ends at the evaluation; only what was added.

    Args:
        selector: of counters, or of a histogram's series.
        step: seconds.
        named: whether the selector is of several metrics, whose name is then in the label NAME.
    """
    now = f"last_over_time({selector}[{step}s])"
    before = f"last_over_time({selector}[{BEFORE}s] offset {step}s)"
    if named:
        now, before = (f'label_replace({side}, "{NAME}", "$1", "__name__", "(.+)")' for side in (now, before))
    return f"((({now} - {before}) >= 0) or {now}) > 0"


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


def alive(step: int) -> str:
    """How many of the series that say that Prometheus takes something in were there within the hour before a step."""
    return f'count(last_over_time({{__name__=~"up|target_info"}}[{BEFORE}s] offset {step}s))'
