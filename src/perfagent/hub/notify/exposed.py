"""What the notifier tells of itself, for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.notify.notifier import Notifier

COUNTED = {
    "attempted": "Messages that were sent, or tried to be.",
    "delivered": "Events that a channel was told of in a message of their own.",
    "folded": "Events that a channel was told of together with others, because they were too many.",
    "quiet": "Events that a channel was not told of again.",
    "failed": "Events that a channel could not be told of, and that were given up.",
}


def families(notifier: Notifier) -> Iterator[Any]:
    """The metrics, read at the moment of the scrape."""
    counts, latency = dict(notifier.counts), dict(notifier.latency)
    channels = sorted({channel for _what, channel in counts} | set(notifier.lines))
    for what, text in COUNTED.items():
        family = CounterMetricFamily(f"perfagent_notifications_{what}", text, labels=("channel",))
        for channel in channels:
            family.add_metric((channel,), counts.get((what, channel), 0))
        yield family
    waiting = GaugeMetricFamily(
        "perfagent_notifications_waiting", "Events that a channel is still to be told of.", labels=("channel",)
    )
    oldest = GaugeMetricFamily(
        "perfagent_notifications_oldest_seconds", "How long the oldest of them has waited.", labels=("channel",)
    )
    told = SummaryMetricFamily(
        "perfagent_notifications_latency_seconds", "From events to their delivery.", labels=("channel",)
    )
    now = time.time()
    for channel in channels:
        line = notifier.lines.get(channel)
        left = list(line.waiting) if line is not None else []
        waiting.add_metric((channel,), len(left))
        oldest.add_metric((channel,), max((now - one.taken for one in left), default=0.0))
        told.add_metric(
            (channel,),
            counts.get(("delivered", channel), 0) + counts.get(("folded", channel), 0),
            latency.get(channel, 0) / 1000,
        )
    yield from (waiting, oldest, told)
