"""Calls as the roll-ups know them: of one operation in a range, and of several over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.hub.analyse.durations import Durations, merged

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUESTS = ("server", "consumer")
"""The categories of what enters a service; everything else happens within one of these."""

OUTGOING = ("http", "rpc", "producer")
"""The categories of what leaves it."""


@dataclass(slots=True)
class Calls:
    """One operation and its calls in a range."""

    operation: int
    service: str
    category: str
    name: str
    system: str
    text: str
    first_seen: float  # seconds since the epoch
    durations: Durations

    @property
    def link(self) -> str:
        """Where the page shows it."""
        if self.category in REQUESTS:
            return f"#/endpoints/{self.operation}"
        return f"#/queries/{self.operation}" if self.category == "db" else f"#/traces?operation={self.operation}"


@dataclass(slots=True)
class Steps:
    """Calls over time: one `Durations` a step.

    Args:
        times: starts of the steps, seconds since the epoch.
        seconds: how much of each step has passed.
        durations: the calls of each.
    """

    times: list[int]
    seconds: list[float]
    durations: list[Durations]

    def series(self) -> dict[str, list[float | None]]:
        """Rates and percentiles by step; a percentile is None where nothing was called."""
        quantiles = [one.quantiles(0.5, 0.95, 0.99) for one in self.durations]
        return {
            "time": list(self.times),
            "rate": [one.calls / seconds for one, seconds in zip(self.durations, self.seconds, strict=True)],
            "errors": [one.errors / seconds for one, seconds in zip(self.durations, self.seconds, strict=True)],
            "p50_ms": [three[0] for three in quantiles],
            "p95_ms": [three[1] for three in quantiles],
            "p99_ms": [three[2] for three in quantiles],
        }


def requests(calls: Iterable[Calls]) -> Durations:
    """All requests among the operations, together."""
    return merged(one.durations for one in calls if one.category in REQUESTS)
