"""The state machine of alerts: takes what watchers see, and says what happens. No clock, no database, no thread."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from perfagent.hub.alert.alert import Alert, grown, joined, rank
from perfagent.hub.alert.cases import Cases
from perfagent.hub.alert.escalation import DEFAULTS, up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from perfagent.hub.alert.alert import Attention
    from perfagent.hub.alert.cases import Changes
    from perfagent.hub.alert.escalation import Escalation
    from perfagent.hub.alert.event import Event
    from perfagent.hub.alert.violation import Violation

LONG_OVER = 600.0  # s: what was over for longer when it was first seen is history, and nobody is told
MOST_ACTIVE = 2000  # alerts at once; what is beyond is counted and left out
KEPT = 10_000  # alerts
PRUNED_EVERY = 3600.0  # s
KEPT_SECONDS = 8 * 86_400.0  # that are known here: watchers look back seven days


class Engine:
    """The alerts and incidents of a hub.

    Args:
        cases: how alerts are put together and told.
    """

    def __init__(self, cases: Cases | None = None) -> None:
        self.alerts: dict[str, Alert] = {}
        self.cases = cases or Cases()
        self.cases.alerts = self.alerts
        self._known: dict[str, list[Alert]] = {}
        self.active: dict[str, Alert] = {}
        self.escalations: Sequence[Escalation] = DEFAULTS
        self.mute: Callable[[float, Violation], str] = lambda now, violation: ""
        """The silence or maintenance window that keeps a violation quiet; "" for none."""
        self._pruned = 0.0
        self.left_out = 0
        """Violations of the last look that are beyond MOST_ACTIVE."""

    def remember(self, alerts: Iterable[Alert]) -> None:
        """Takes alerts of before, as they were; the incidents must be known already."""
        for alert in alerts:
            self._keep(alert)

    @property
    def changes(self) -> Changes:
        """What has changed since it was asked last."""
        return self.cases.drain()

    @property
    def waiting(self) -> bool:
        """Whether time alone can change something: an alert lasts, or an incident is not over for good."""
        return bool(self.active or self.cases.open)

    def take(self, now: float, violations: Mapping[str, Sequence[Violation]]) -> list[Event]:
        """Takes one look at everything.

        Args:
            now: seconds since the epoch.
            violations: what each watcher says; one that could not look is left out, and its alerts stay as they are.

        Returns:
            What people are to be told.
        """
        self.left_out = 0
        for watcher, found in violations.items():
            lasting = {alert.id: alert for alert in self.active.values() if alert.watcher == watcher}
            seen: dict[str, Violation] = {}
            for violation in sorted(found, key=lambda one: one.since):
                self._meet(now, watcher, violation, seen)
            for identity, violation in seen.items():
                lasting.pop(identity, None)
                self._grow(now, self.alerts[identity], violation)
            for alert in lasting.values():
                self._end(now, alert)
        self._settle(now)
        self._prune(now)
        return self.cases.tell(now)

    def act(self, now: float, target: str, action: str, by: str, note: str = "") -> list[Event] | None:
        """Does what a person decided about an alert, or about all of an incident.

        Args:
            now: seconds since the epoch.
            target: the alert's id, or the incident's.
            action: "acknowledge", "dismiss", "escalate", "reopen" or "resolve".
            by: their role.
            note: what they say.

        Returns:
            What the others are to be told; None where there is no such alert that is active.
        """
        case = self.cases.known.get(target)
        chosen = [self.active[one] for one in (case.alerts if case else [target]) if one in self.active]
        if not chosen:
            return None
        for alert in chosen:
            alert.by, alert.note = by, note
            if action == "resolve":
                alert.closed = True
                self._end(now, alert, by, note)
                continue
            if action == "escalate":
                self.cases.raise_to(now, alert, up(alert.severity))
            elif action == "reopen":
                alert.steps, alert.severe_since = (), now
            alert.attention = ATTENTION[action]
            self.cases.note(now, alert, DONE[action], by=by, note=note)
        return self.cases.tell_action(now, chosen[0].incident, DONE[action], by, note)

    def _meet(self, now: float, watcher: str, violation: Violation, seen: dict[str, Violation]) -> None:
        """Finds the alert that a violation is, or makes one; puts what is seen of it into `seen`, by the alert's id."""
        known = self._known.get(violation.identity, [])
        fit = [one for one in known if one.touches(violation)]
        alert = max(fit, key=lambda one: one.violation.since, default=None)
        closed = max((one.until or 0.0 for one in known if one.closed), default=0.0)
        if alert is not None and alert.closed:
            if violation.until is not None or now < closed + alert.quiet:
                return  # a person said that it is over, and knows that it may take a while
            alert = None
        if violation.since < closed:
            if violation.until is not None and violation.until <= closed:
                return
            violation = replace(violation, since=closed)
        if alert is None:
            self._begin(now, watcher, violation)
        elif alert.id in seen:
            seen[alert.id] = joined(seen[alert.id], violation)
        else:
            seen[alert.id] = violation

    def _begin(self, now: float, watcher: str, violation: Violation) -> None:
        historic = violation.until is not None and now - violation.until > LONG_OVER
        if violation.until is None and len(self.active) >= MOST_ACTIVE:
            self.left_out += 1
            return
        before = len(self._known.get(violation.identity, ()))  # however soon it comes again, it is another one
        named = f"{violation.identity}\0{violation.since}\0{now}\0{before}"
        identity = blake2b(named.encode(), digest_size=8).hexdigest()
        alert = Alert(identity, watcher, "", violation, now, violation.severity, now, loud=not historic)
        if not historic:
            alert.muted = self.mute(now, violation)
            alert.loud = not alert.muted
        self._keep(alert)
        self.cases.place(now, alert, historic=historic)

    def _grow(self, now: float, alert: Alert, seen: Violation) -> None:
        before = alert.violation
        alert.violation = after = grown(before, seen)
        if after == before:
            return
        self.cases.changed(alert)
        if after.until is None:
            if before.until is not None:
                alert.returned += 1
                alert.severe_since = now
                self.active[alert.id] = alert
                self.cases.returned(now, alert)
        elif before.until is None:
            self._end(now, alert)
        if rank(after.severity) > rank(alert.severity):
            self.cases.raise_to(now, alert, after.severity)
            if alert.attention == "dismissed":
                alert.attention = ""
            self.cases.note(now, alert, "worsened")

    def _end(self, now: float, alert: Alert, by: str = "", note: str = "") -> None:
        if alert.violation.until is None:
            alert.violation = replace(alert.violation, until=max(now, alert.violation.since))
        self.active.pop(alert.id, None)
        self.cases.note(now, alert, "resolved" if by else "over", by=by, note=note)

    def _settle(self, now: float) -> None:
        """What time alone changes: what is muted, and what nobody has taken care of."""
        for alert in self.active.values():
            muted = self.mute(now, alert.violation)
            if muted != alert.muted:
                alert.muted = muted
                self.cases.note(now, alert, "muted" if muted else "heard")
            alert.loud = alert.loud or not muted
            if muted and not self.cases.of(alert).told:
                alert.loud = False
            if muted or alert.attention in ("acknowledged", "dismissed"):
                continue
            for rule in self.escalations:
                if rule.applies(now, alert):
                    alert.steps = (*alert.steps, alert.severity)
                    self.cases.raise_to(now, alert, rule.to)
                    alert.severe_since, alert.attention = now, "escalated"
                    self.cases.note(now, alert, "escalated")
                    self.cases.escalated.add(alert.incident)
                    break

    def _keep(self, alert: Alert) -> None:
        self.alerts[alert.id] = alert
        self._known.setdefault(alert.violation.identity, []).append(alert)
        if alert.active:
            self.active[alert.id] = alert

    def _prune(self, now: float) -> None:
        """Forgets what is long over, and the oldest of what is too much."""
        if len(self.alerts) <= KEPT and now - self._pruned < PRUNED_EVERY:
            return
        self._pruned = now
        finished = sorted(
            (case for case in self.cases.known.values() if case.over is not None), key=lambda case: case.over or 0.0
        )
        for case in finished:
            if len(self.alerts) <= KEPT and (case.over or 0.0) >= now - KEPT_SECONDS:
                break
            for identity in case.alerts:
                alert = self.alerts.pop(identity)
                same = self._known[alert.violation.identity]
                same.remove(alert)
                if not same:
                    del self._known[alert.violation.identity]
            self.cases.forget(case)


ATTENTION: dict[str, Attention] = {
    "acknowledge": "acknowledged", "dismiss": "dismissed", "escalate": "escalated", "reopen": "",
}  # fmt: skip
DONE = {
    "acknowledge": "acknowledged", "dismiss": "dismissed", "escalate": "escalated", "reopen": "reopened",
    "resolve": "resolved",
}  # fmt: skip
