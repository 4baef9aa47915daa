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
LEAST_BAD = 10
"""Bad requests that the long window must have: two failures of a quiet service spend much of its budget, and are no
outage."""


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
    budgets = [
        Rule("slo:error_budget:ratio", f"vector({one.budget:.12g})", {"service_name": one.service, "slo": one.name})
        for one in objectives
    ]
    short = [rule for one in objectives for rule in (*_rates(one, SHORT), _bad(one))]
    long = [rule for one in objectives for rule in _rates(one, LONG)]
    return [
        Group("slo_short", [*budgets, *short]),
        Group("slo_long", long, "1m"),
        Group("slo_budget", [_remaining(one) for one in objectives], "1m"),
    ]


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


def requests(one: Objective, window: str) -> str:
    """The expression of all requests a second."""
    chosen, by = _chosen(one)
    return f"sum by ({by}) (rate({REQUESTS}_count{{{chosen}}}[{window}]))"


def ratio(one: Objective, window: str) -> str:
    """The expression of the share of bad requests; no value without requests."""
    every, (chosen, by) = requests(one, window), _chosen(one)
    if one.indicator == LATENCY:
        assert one.threshold_ms is not None
        good = f"{REQUESTS}_bucket{{{chosen},{_bound(one.threshold_ms / 1000)}}}"
        return f"1 - sum by ({by}) (rate({good}[{window}]))\n  / ({every} > 0)"
    bad = f'{REQUESTS}_count{{{chosen},http_response_status_code=~"5.."}}'
    return f"(sum by ({by}) (rate({bad}[{window}])) or 0 * {every})\n  / ({every} > 0)"


def spent(one: Objective, window: str, by: Sequence[str]) -> str:
    """The expression of what was bad in a window by some labels, and of all requests (`perfagent_kind="requests"`)."""
    chosen, _ = _chosen(one)
    apart = [label for label in by if one.indicator != LATENCY or label != "http_response_status_code"]
    kept = ", ".join(apart)

    def counted(series: str) -> str:
        return f"sum by ({kept}) (increase({series}[{window}]))"

    every = counted(f"{REQUESTS}_count{{{chosen}}}")
    if one.indicator == LATENCY:
        assert one.threshold_ms is not None
        bad = f"{every} - {counted(f'{REQUESTS}_bucket{{{chosen},{_bound(one.threshold_ms / 1000)}}}')}"
    else:
        bad = counted(f'{REQUESTS}_count{{{chosen},http_response_status_code=~"5.."}}')
    return f'{bad}\nor label_replace({every}, "perfagent_kind", "requests", "", "")'


def _chosen(one: Objective) -> tuple[str, str]:
    chosen = f'service_name="{one.service}"' + (f',http_route="{one.route}"' if one.route else "")
    return chosen, "service_name, http_route" if one.route else "service_name"


def _rates(one: Objective, windows: Sequence[str]) -> Iterator[Rule]:
    for window in windows:
        yield Rule(f"slo:error_ratio:rate{window}", ratio(one, window), {"slo": one.name})
    for window in windows:
        if window == "5m" or window in (burn.long for burn in BURNS):
            yield Rule(f"slo:requests:rate{window}", requests(one, window), {"slo": one.name})


def _bad(one: Objective) -> Rule:
    chosen = f'{{slo="{one.name}"}}'
    text = f"slo:error_ratio:rate5m{chosen} * slo:requests:rate5m{chosen}"
    return Rule("slo:bad_requests:rate5m", text, {"slo": one.name})


def _remaining(one: Objective) -> Rule:
    """What is left of the budget: sums of what is recorded each few seconds, for a rate over 30 days would read all."""
    over = f'{{slo="{one.name}"}}[{one.window_days}d]'
    bad, every = f"sum_over_time(slo:bad_requests:rate5m{over})", f"sum_over_time(slo:requests:rate5m{over})"
    text = f"1 - {bad}\n  / ({every} > 0)\n  / {one.budget:.12g}"
    return Rule("slo:error_budget:remaining_ratio", text, {"slo": one.name})


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
        counted = f"slo:error_ratio:rate{burn.long}{chosen} * slo:requests:rate{burn.long}{chosen}"
        over.append(f"{counted} * {burn.hours * 3600} >= {LEAST_BAD}")
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
