"""Rules of objectives: the share of bad requests over several windows, and alerts where the budget burns too fast.

Multiwindow, multi-burn-rate alerts as in the SRE workbook, "Alerting on SLOs", table 5-8: a long window tells that a
good part of the budget is gone, a short one that it still burns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.rules.objectives import LATENCY, Objective
from perfagent.hub.rules.rule import Group, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.hub.rules.alerts import Places

REQUESTS = "http_server_request_duration_seconds"
FAST, SLOW = "SloBurnsFast", "SloBurnsSlowly"
SHORT = ("5m", "30m", "1h", "2h")
LONG = ("6h", "1d", "3d")
"""Windows over which rates cost so much that once a minute must do."""


class Burn(NamedTuple):
    """When the budget burns too fast.

    Args:
        alert: the name of the alert.
        severity: critical pages somebody, warning is a ticket.
        spent: the share of the budget of the whole window that is gone after `long` at that speed.
        hours: of the long window.
        long, short: the windows, as Prometheus writes them.
    """

    alert: str
    severity: str
    spent: float
    hours: int
    long: str
    short: str

    def factor(self, objective: Objective) -> float:
        """How many times faster than allowed it burns; for 30 days 14.4, 6, 3 and 1."""
        return self.spent * objective.window_days * 24 / self.hours


BURNS = (
    Burn(FAST, "critical", 0.02, 1, "1h", "5m"),
    Burn(FAST, "critical", 0.05, 6, "6h", "30m"),
    Burn(SLOW, "warning", 0.10, 24, "1d", "2h"),
    Burn(SLOW, "warning", 0.10, 72, "3d", "6h"),
)


def recording(objectives: Sequence[Objective]) -> list[Group]:
    """The recording rules of all objectives."""
    if not objectives:
        return []
    ratios = [[_ratio(one, window) for one in objectives for window in windows] for windows in (SHORT, LONG)]
    budgets = [
        Rule("slo:error_budget:ratio", f"vector({one.budget:.12g})", {"service_name": one.service, "slo": one.name})
        for one in objectives
    ]
    return [Group("slo_short", [*budgets, *ratios[0]]), Group("slo_long", ratios[1], "1m")]


def alerts(objectives: Sequence[Objective], places: Places) -> list[Group]:
    """The alerts of all objectives."""
    found = [rule for one in objectives for rule in _alerts(one, places)]
    return [Group("slo_burn", found)] if found else []


def impossible(objectives: Sequence[Objective]) -> list[str]:
    """A sentence for each alert that could never fire: at its speed more than all requests would have to be bad."""
    return [
        f"{one.name}: no {burn.severity} alert over {burn.long}: not even all requests bad would burn a budget of "
        f"{one.budget * 100:g} % {burn.factor(one):g} times as fast as allowed"
        for one in objectives
        for burn in BURNS
        if burn.factor(one) * one.budget >= 1
    ]


def _ratio(one: Objective, window: str) -> Rule:
    chosen = f'service_name="{one.service}"' + (f',http_route="{one.route}"' if one.route else "")
    by = "service_name, http_route" if one.route else "service_name"
    every = f"sum by ({by}) (rate({REQUESTS}_count{{{chosen}}}[{window}]))"
    if one.indicator == LATENCY:
        assert one.threshold_ms is not None
        good = f"{REQUESTS}_bucket{{{chosen},{_bound(one.threshold_ms / 1000)}}}"
        text = f"1 - sum by ({by}) (rate({good}[{window}]))\n  / ({every} > 0)"
    else:
        bad = f'{REQUESTS}_count{{{chosen},http_response_status_code=~"5.."}}'
        text = f"(sum by ({by}) (rate({bad}[{window}])) or 0 * {every})\n  / ({every} > 0)"
    return Rule(f"slo:error_ratio:rate{window}", text, {"slo": one.name})


def _bound(seconds: float) -> str:
    """The matcher of a bucket: Prometheus writes 1 as "1" where it came by OTLP, and as "1.0" where it was scraped."""
    text = f"{seconds:.12g}"
    return f'le="{text}"' if "." in text else f'le=~"{text}|{text}[.]0"'


def _alerts(one: Objective, places: Places) -> Iterator[Rule]:
    what = f"take more than {one.threshold_ms:g} ms" if one.threshold_ms is not None else "fail"
    where = f"{one.service} ({one.route})" if one.route else one.service
    for burn in BURNS:
        factor = burn.factor(one)
        if factor * one.budget >= 1:
            continue
        limit = f"{factor * one.budget:.12g}"
        days = f"{one.window_days / factor:.3g}"
        chosen = f'{{slo="{one.name}"}}'
        over = [f"slo:error_ratio:rate{window}{chosen} > {limit}" for window in (burn.long, burn.short)]
        budget = f"the error budget of {one.objective:g} % in {one.window_days} days"
        yield Rule(
            burn.alert,
            "\nand ".join(over),
            {"severity": burn.severity, "slo": one.name, "threshold": "slo_burn", "window": burn.long},
            {
                "summary": "{{ $value | humanizePercentage }} of the requests to "
                f"{where} {what} ({burn.long}): {budget} lasts at most {days} days at this speed",
                "description": "Look which endpoint it is and what came before it; what burns this fast is worth "
                + ("stopping now." if burn.severity == "critical" else "stopping this week."),
                "runbook_url": places.runbook(burn.alert),
                "dashboard": f"{places.page}/#/endpoints?sort=errors&service={one.service}",
            },
        )
