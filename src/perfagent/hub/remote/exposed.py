"""What the hub tells Prometheus of its own questions to Prometheus and Jaeger."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from perfagent.hub.remote.health import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.remote.remote import Remote

LABEL = ("remote",)


def families(remote: Remote) -> Iterator[Any]:
    """The metrics, by remote."""
    requests = CounterMetricFamily(
        "perfagent_hub_remote_requests",
        "Requests to what the hub reads from, by outcome; `resting` and `busy` were not made.",
        labels=("remote", "outcome"),
    )
    seconds = HistogramMetricFamily(
        "perfagent_hub_remote_request_duration_seconds", "Duration of these requests.", labels=LABEL
    )
    received = CounterMetricFamily("perfagent_hub_remote_received_bytes", "Answers, unpacked.", labels=LABEL)
    left_out = CounterMetricFamily(
        "perfagent_hub_remote_left_out_series", "Series that were not read, because there are too many.", labels=LABEL
    )
    answers = GaugeMetricFamily(
        "perfagent_hub_remote_up", "Whether the remote answered when it was asked last.", labels=LABEL
    )
    lag = GaugeMetricFamily(
        "perfagent_hub_remote_lag_seconds", "How old the newest is that was read of it.", labels=LABEL
    )
    for client, state in zip(remote.clients, remote.states(), strict=True):
        name, health = client.name.lower(), client.health
        for outcome, count in sorted(health.outcomes.items()):
            requests.add_metric((name, outcome), count)
        upto = zip([*map(str, BOUNDS), "+Inf"], map(float, accumulate(health.counts)), strict=True)
        seconds.add_metric((name,), list(upto), health.seconds)
        received.add_metric((name,), health.bytes)
        left_out.add_metric((name,), health.left_out)
        answers.add_metric((name,), 0 if state.failing or not state.last_success else 1)
        if state.lag_seconds is not None:
            lag.add_metric((name,), state.lag_seconds)
    yield from (requests, seconds, received, left_out, answers, lag)
