"""Watches error budgets: the hub's alerts by the same table of burn rates as Prometheus' rules."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfagent.hub.alert.violation import Violation
from perfagent.hub.analyse import words
from perfagent.hub.analyse.errors import causes, failure
from perfagent.hub.api.ranges import HOUR
from perfagent.hub.objectives.counts import WINDOWS
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.rules.burn import FAST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.hub import Hub
    from perfagent.hub.objectives.counts import Spender
    from perfagent.hub.objectives.status import Firing, Status

log = logging.getLogger("perfagent.hub")
ERRORS_READ = 200  # failed spans, the newest, that tell what the failures are
SHOWN = 3  # endpoints, causes and traces in an alert


class Objectives:
    """Budgets that burn too fast.

    Args:
        hub: whose objectives are watched.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._told: set[str] = set()

    def look(self, within: Range) -> Iterator[Violation]:
        """One violation for each objective and alert: critical where it burns fast, a warning where slowly."""
        ledger = self._hub.objectives
        declared = ledger.declarations.all()
        for problem in set(ledger.declarations.problems) - self._told:
            self._told.add(problem)
            log.warning("%s; the other objectives serve", problem)
        for name in sorted(declared):
            try:
                status = ledger.status(declared[name].objective, within.end)
            except RemoteError as error:
                log.warning("objective %s cannot be looked at: %s", name, error)
                continue
            fired: dict[str, Firing] = {}
            for firing in status.firing():
                fired.setdefault(firing.burn.alert, firing)  # the shorter window of two tells more of now
            for firing in fired.values():
                yield self._violation(status, firing)

    def _violation(self, status: Status, firing: Firing) -> Violation:
        one, burn = status.objective, firing.burn
        since = self._since(status, firing)
        ratio = (firing.long.ratio or 0.0) * 100
        where = f"{one.service} ({one.route})" if one.route else one.service
        what = "fail" if one.threshold_ms is None else f"take more than {words.milliseconds(one.threshold_ms)}"
        speed = (firing.long.ratio or 0.0) / one.budget
        remaining = status.remaining or 0.0
        reader = self._hub.objectives.reader
        spenders = reader.spenders(one, status.basis, status.now - WINDOWS[burn.long], status.now)[:SHOWN]
        found, traces = self._causes(status, since) if one.threshold_ms is None else ("", ())
        left = f"{max(remaining, 0) * 100:.3g} % of the budget of {one.window_days} days is left"
        parts = [
            f"{ratio:.3g} % of the requests to {where} {what} ({burn.long}), {speed:.3g} times what "
            f"{one.objective:g} % allows; {left}",
            _shown(spenders),
            found,
        ]
        return Violation(
            kind="slo",
            rule=burn.alert,
            service=one.service,
            severity="critical" if burn.alert == FAST else "warning",
            title=f"The error budget of {one.name} burns {'fast' if burn.alert == FAST else 'slowly'}",
            text="; ".join(part for part in parts if part),
            since=since,
            subject=one.name,
            value=ratio,
            worst=ratio,
            limit=firing.limit * 100,
            unit="%",
            link=f"#/objectives/{one.name}",
            advice="Look which endpoint it is and what came before it; what burns this fast is worth "
            + ("stopping now." if burn.alert == FAST else "stopping this week."),
            traces=traces,
            details={
                "objective": one.name,
                "target_percent": one.objective,
                "window": burn.long,
                "burn_rate": speed,
                "bad_requests": firing.long.bad,
                "requests": firing.long.requests,
                "budget_remaining_percent": remaining * 100,
                **({"endpoint": f"{spenders[0].method} {spenders[0].route}".strip()} if spenders else {}),
                **({"route": one.route} if one.route else {}),
            },
        )

    def _since(self, status: Status, firing: Firing) -> float:
        """When it began: the first bad minute of the last two hours with no pause longer than the short window."""
        reader, pause = self._hub.objectives.reader, WINDOWS[firing.burn.short]
        minutes = reader.steps(status.objective, status.basis, status.now - 2 * HOUR, status.now, 60)
        limit, began = firing.limit, status.now
        bad = [minute for minute, count in sorted(minutes.items()) if (count.ratio or 0.0) > limit]
        for minute in reversed(bad):
            if began - minute > pause + 60:
                break
            began = float(minute)
        return began

    def _causes(self, status: Status, since: float) -> tuple[str, tuple[str, ...]]:
        """What was raised most, and requests that show it."""
        one = status.objective
        rows = self._hub.store.rows(
            "samples/errors",
            begin_ns=round(since * 1e9),
            end_ns=round(status.now * 1e9),
            service=one.service,
            most=ERRORS_READ,
        )
        known = [cause for cause in causes(map(failure, rows)) if not one.route or cause.endpoint.endswith(one.route)]
        if not known:
            return "", ()
        first = known[0]
        told = f"most of them: {first.error}" + (f" in {first.place}" if first.place else "")
        if first.message and first.message != first.error:
            told += f", {words.shorten(first.message, 120)}"
        return told, tuple(cause.trace_id.hex() for cause in known[:SHOWN])


def _shown(spenders: list[Spender]) -> str:
    whole = sum(one.counted.bad for one in spenders)
    if not whole:
        return ""
    return "it is " + ", ".join(
        f"{one.method} {one.route}".strip() + f" ({one.counted.bad / whole * 100:.0f} %)" for one in spenders
    )
