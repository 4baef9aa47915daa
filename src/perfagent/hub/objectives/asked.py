"""The same counts where the hub reads from Prometheus: the expressions of the exported rules, so the same numbers."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

from perfagent.hub.objectives.counts import HISTOGRAM, MOST_ENDPOINTS, WINDOWS, Count, Spender
from perfagent.hub.remote.prometheus import Stretch
from perfagent.hub.rules import burn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.remote.prometheus import Prometheus
    from perfagent.hub.rules.objectives import Objective

KIND, WINDOW = "perfagent_kind", "perfagent_window"
"""Labels that tell the parts of a question apart."""
BY = ("http_request_method", "http_route", "http_response_status_code")


class Asked:
    """Counts from Prometheus; needs no rules there.

    Args:
        prometheus: to ask; every method raises RemoteError where it does not answer.
    """

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    def basis(self, one: Objective, since: float, until: float) -> str:
        """As `Reader.basis`."""
        return HISTOGRAM

    def steps(self, one: Objective, basis: str, since: float, until: float, step: int) -> dict[int, Count]:
        """As `Reader.steps`: what was counted in the step that begins at each moment."""
        name = next((name for name, seconds in WINDOWS.items() if seconds == step), f"{step}s")
        stretch = Stretch(floor(since / step) * step, ceil(until / step) * step, step)
        kinds: dict[str, dict[int, float]] = {"ratio": {}, "requests": {}}
        for line in self._prometheus.range(_question(one, (name,)), stretch).lines:
            kinds[line.labels[KIND]] |= {moment - step: value for moment, value in line.values}
        return {
            moment: Count(kinds["ratio"].get(moment, 0.0) * rate * step, rate * step)
            for moment, rate in kinds["requests"].items()
        }

    def windows(self, one: Objective, basis: str, now: float, names: Sequence[str]) -> dict[str, Count]:
        """As `Reader.windows`."""
        kinds: dict[str, dict[str, float]] = {"ratio": {}, "requests": {}}
        for line in self._prometheus.now(_question(one, names), now).lines:
            kinds[line.labels[KIND]][line.labels[WINDOW]] = line.values[-1][1]
        found = {}
        for name in names:
            requests = kinds["requests"].get(name, 0.0) * WINDOWS[name]
            found[name] = Count(kinds["ratio"].get(name, 0.0) * requests, requests)
        return found

    def spenders(self, one: Objective, basis: str, since: float, until: float) -> list[Spender]:
        """As `Reader.spenders`."""
        window = f"{max(ceil(until - since), 60)}s"
        found: dict[tuple[str, str], tuple[list[float], dict[str, float]]] = {}
        for line in self._prometheus.now(burn.spent(one, window, BY), until).lines:
            method, route, code = (line.labels.get(label, "") for label in BY)
            requests, codes = found.setdefault((method, route), ([], {}))
            value = line.values[-1][1]
            if line.labels.get(KIND) == "requests":
                requests.append(value)
            elif value > 0:
                codes[code] = codes.get(code, 0.0) + value
        spenders = [
            Spender(method, route, Count(sum(codes.values()), sum(requests)), codes if one.threshold_ms is None else {})
            for (method, route), (requests, codes) in found.items()
            if codes
        ]
        return sorted(spenders, key=lambda each: -each.counted.bad)[:MOST_ENDPOINTS]


def _question(one: Objective, names: Sequence[str]) -> str:
    """One expression for the ratio and the rate of requests in several windows."""
    parts = [
        _marked(expression(one, name), kind, name)
        for name in names
        for kind, expression in (("ratio", burn.ratio), ("requests", burn.requests))
    ]
    return "\nor ".join(parts)


def _marked(expression: str, kind: str, window: str) -> str:
    return f'label_replace(label_replace({expression}, "{KIND}", "{kind}", "", ""), "{WINDOW}", "{window}", "", "")'
