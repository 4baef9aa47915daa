"""What the consumers of a topic have done with what was published: by Prometheus, once they have caught up."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.load import prometheus
from perfagent.load.prometheus import CONSUMED, PROCESSED, PROCESSING, Prometheus, by_group, ends, quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.load.prometheus import Growth

PAUSE = 0.5  # seconds between two questions

AGES = (("latency", "due to processed"), ("wait", "due to received"))
"""Metrics below the namespace that tell how old messages are, the better one first, and what they cover."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How old messages were, in seconds; percentiles are interpolated within a histogram's buckets.

    Args:
        covers: from when to when.
        count: of how many messages.
        mean: exact.
        percentiles: of 50, 95 and 99 per cent.
    """

    covers: str
    count: int
    mean: float
    percentiles: tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Group:
    """What one consumer group did.

    Args:
        name: "" for consumers without a group.
        received: messages that its programs were given.
        processed: messages that they were done with; 0 where they poll batches, for then nobody can tell.
        processing: mean duration of that in seconds, or None.
        ages: None where its agents do not tell.
        finished: when their metrics first told of the last message, seconds since the epoch: up to an interval of their
            export later than it was done with.
    """

    name: str
    received: int
    processed: int
    processing: float | None
    ages: Ages | None
    finished: float

    @property
    def done(self) -> int:
        """How many messages count as done: those that were processed, else those received."""
        return self.processed or self.received

    @property
    def settled(self) -> bool:
        """Whether its figures are of the same messages, which they are but for a moment of their export."""
        return self.received >= self.processed and (self.ages is None or self.ages.count >= self.done)


def consumption(
    asked: Prometheus, topic: str, namespace: str, since: float, until: float, group: str | None = None
) -> list[Group]:
    """What every consumer group of a topic did in a window.

    Args:
        asked: who is asked.
        topic: whose consumers.
        namespace: of perfagent's own metrics.
        since: when the window begins, in seconds since the epoch.
        until: when it ends.
        group: this one alone.

    Raises:
        PrometheusError: there is no answer.
    """

    def grown(metric: str) -> list[Growth]:
        return asked.increments(metric, topic, since, until)

    consumed = grown(CONSUMED)
    received, finished = by_group(consumed), ends(consumed)
    processed, seconds = by_group(grown(PROCESSED)), by_group(grown(PROCESSING))
    histograms = []
    for name, covers in AGES:
        base = f"{namespace}_messaging_{name}_seconds"
        counts, sums = by_group(grown(f"{base}_count")), by_group(grown(f"{base}_sum"))
        histograms.append((covers, counts, sums, grown(f"{base}_bucket") if any(counts.values()) else []))
    found = []
    for name in sorted({*received, *processed}):
        if group not in (None, name) or not (received.get(name) or processed.get(name)):
            continue
        ages = None
        for covers, counts, sums, increments in histograms:
            if count := counts.get(name):
                cumulative = prometheus.buckets(increments, name)
                middle, high, highest = (quantile(share, cumulative) for share in (0.5, 0.95, 0.99))
                ages = Ages(covers, round(count), sums.get(name, 0.0) / count, (middle, high, highest))
                break
        number = round(processed.get(name, 0))
        mean = seconds.get(name, 0.0) / number if number else None
        found.append(Group(name, round(received.get(name, 0)), number, mean, ages, finished.get(name, 0.0)))
    return found


def caught_up(
    ask: Callable[[float], list[Group]],
    wanted: int,
    wait: float,
    tell: Callable[[int, float], None],
    stopped: Callable[[], bool],
) -> tuple[list[Group], float]:
    """Asks until every group is done with all messages, or for so long.

    Args:
        ask: `consumption` until a moment in seconds since the epoch.
        wanted: how many messages were published.
        wait: seconds.
        tell: called with how many messages the slowest group is done with and the seconds waited.
        stopped: whether somebody wants it to end.

    Returns:
        The groups, and how many seconds it took.

    Raises:
        PrometheusError: there is no answer.
    """
    begin = time.monotonic()
    while True:
        groups = ask(time.time())
        done = min((group.done for group in groups), default=0)
        waited = time.monotonic() - begin
        if (done >= wanted and all(group.settled for group in groups)) or waited >= wait or stopped():
            return groups, waited
        tell(done, waited)
        time.sleep(min(PAUSE, max(math.ceil(wait - waited), 0)))
