"""Pieces of PromQL that several rules are made of.

`<W>` stands for the window of a rule, `<S>` for the same in seconds, and `<ns>` for the namespace of perfagent's own
metrics; whoever writes a rule puts them in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

POOL = "5m"
"""How far a share looks back where the window alone has too little to tell."""
SERVICE = "service_name"
UPTIME = "process_uptime_seconds"
SECONDS = {"<W>": "<S>", "1m": "60", "2m": "120", POOL: "300"}
"""Windows in seconds; `<S>` stands for those of `<W>`."""
PROCESS = "service_name, service_instance_id, instance, process_pid"
"""What tells processes apart: the third where one is scraped, the fourth where its workers share a page."""


def counted(series: str, by: str = SERVICE, window: str = "<W>") -> str:
    """What a counter counted in a window, added up."""
    return f"sum by ({by}) (increase({series}[{window}]))"


def total(series: str, by: str = SERVICE, window: str = "<W>") -> str:
    """The same where the very first one matters, such as the only telemetry that was ever lost.

    `increase` needs two samples of a series, and a counter of something rare comes into being with the first one. So a
    series that is new counts in full, if its process was known before, or is new itself: after an outage of Prometheus
    all series are new, and what they count is old.
    """
    known = nested(f"{UPTIME} offset {window}\nor {UPTIME} <= {SECONDS[window]}")
    new = nested(f"{series}\nunless {series} offset {window}\nand on (service_name, instance) {known}")
    return f"sum by ({by}) " + nested(f"{new}\nor increase({series}[{window}])")


def per_second(series: str, by: str = SERVICE, window: str = "<W>") -> str:
    """The rate of a counter, added up."""
    return f"sum by ({by}) (rate({series}[{window}]))"


def quantile(share: float, histogram: str, by: str = SERVICE, window: str = "<W>") -> str:
    """A quantile of a histogram, whose name comes without `_bucket`."""
    return f"histogram_quantile({share:g}, {per_second(f'{histogram}_bucket', f'{by}, le', window)})"


def pooled(short: tuple[str, str], long: tuple[str, str], least: int) -> str:
    """A share of the window where that has `least` of the whole, else of the last 5 minutes where these have.

    Args:
        short: the part and the whole in the window.
        long: the same in the last 5 minutes.
        least: of the whole.
    """
    return "\nor ".join(nested(f"{part}\n/ " + nested(f"{whole} >= {least}")) for part, whole in (short, long))


def or_nothing(series: str, there: str) -> str:
    """A vector, 0 where it has no element and another one has."""
    return nested(f"{series}\nor 0 * {there}")


def nested(text: str) -> str:
    """A piece of PromQL in parentheses, on lines of its own."""
    return "(" + "".join(f"\n  {line}" for line in text.splitlines()) + "\n)"


def items_per_minute(by: str, counters: Mapping[str, str]) -> str:
    """Counters of the Collector, which has one each for spans, points and log records, added up.

    A Collector may leave `_total` out of their names. The label tells them apart, for `or` passes over names.

    Args:
        by: labels that are kept.
        counters: the beginnings of the names, each with a selector or "".
    """
    parts = []
    for counter, chosen in counters.items():
        for signal in ("spans", "metric_points", "log_records"):
            name = f"{counter}_{signal}"
            rates = f"rate({name}_total{chosen}[<W>]) or rate({name}{chosen}[<W>])"
            parts.append(f'label_replace({rates}, "of", "{name}", "", "")')
    return f"60 * sum by ({by}) " + nested("\nor ".join(parts))
