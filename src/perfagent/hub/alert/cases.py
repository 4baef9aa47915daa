"""Incidents: which alerts belong together, what each of them tells people, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from perfagent.hub.alert import ranking
from perfagent.hub.alert.alert import Alert, Case, Entry, rank, worst
from perfagent.hub.alert.event import Event, Incident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.alert.alert import State
    from perfagent.hub.alert.event import Happening
    from perfagent.hub.alert.violation import Severity, Violation

NEAR = 600.0  # s: what begins within so long of each other may be one incident
WAKES = rank("warning")  # from this severity on, a service that joins an incident is worth telling
MOST_ENTRIES = 500  # lines of a timeline; what people were told is added beyond it
TEXTS = {
    "began": "{text}",
    "joined": "{text}",
    "worsened": "It got worse: {text}",
    "over": "Over: {title}{of}",
    "returned": "Back again: {title}{of}",
    "muted": "Kept quiet by {muted}: {title}{of}",
    "heard": "No longer kept quiet: {title}{of}",
    "acknowledged": "Acknowledged: {title}{of}",
    "dismissed": "Dismissed: {title}{of}",
    "escalated": "Escalated to {severity}: {title}{of}",
    "reopened": "Reopened: {title}{of}",
    "resolved": "Declared over: {title}{of}",
}


@dataclass(slots=True)
class Changes:
    """What is to be written.

    Args:
        alerts, cases: by id.
        entries: further lines of timelines.
        events: that people are to be told.
        forgotten: incidents that are known no more.
    """

    alerts: dict[str, Alert] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.alerts or self.cases or self.entries or self.events)


class Cases:
    """The incidents of a hub."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.known: dict[str, Case] = {}
        self.open: dict[str, Case] = {}
        self.escalated: set[str] = set()
        self.related: Callable[[Violation, Violation], bool] = lambda one, other: one.service == other.service
        """Whether two violations that began at about the same time may have one cause."""
        self.explain: Callable[[Iterable[Violation]], tuple[list[Violation], str]] = ranking.explain
        """Puts the violation that explains the others first, and says why in a sentence."""
        self._changes = Changes()
        self._fresh: set[str] = set()
        self._grown: set[str] = set()  # incidents whose alerts are more than when somebody looked which one leads

    def remember(self, cases: Iterable[Case]) -> None:
        """Takes incidents of before, as they were."""
        for case in cases:
            self.known[case.id] = case
            if case.over is None:
                self.open[case.id] = case

    def forget(self, case: Case) -> None:
        """Knows an incident no more."""
        self.known.pop(case.id, None)
        self.open.pop(case.id, None)

    def drain(self) -> Changes:
        """What has changed since this was asked last."""
        found, self._changes = self._changes, Changes()
        return found

    def of(self, alert: Alert) -> Case:
        """The incident that an alert is part of."""
        return self.known[alert.incident]

    def changed(self, alert: Alert) -> None:
        """The alert is to be written, and its incident."""
        self._changes.alerts[alert.id] = alert
        case = self.known[alert.incident]
        self._changes.cases[case.id] = case

    def raise_to(self, now: float, alert: Alert, severity: Severity) -> None:
        """Makes an alert so severe, unless it is more severe already."""
        if rank(severity) > rank(alert.severity):
            alert.severity, alert.severe_since = severity, now
            self.changed(alert)

    def place(self, now: float, alert: Alert, *, historic: bool) -> None:
        """Puts a new alert into the incident that it belongs to, or begins one."""
        among = self.known if historic else self.open
        fit = [case for case in among.values() if self._fits(case, alert)]
        fit.sort(key=lambda case: case.noticed)
        if fit:
            case = fit[0]
            for other in fit[1:]:
                if other.id in self._fresh and case.over is None:
                    self._merge(now, case, other)
        else:
            identity = blake2b(f"incident\0{alert.id}".encode(), digest_size=8).hexdigest()
            case = Case(identity, now, over=alert.until if historic else None)
            self.known[identity] = case
            self._fresh.add(identity)
            if not historic:
                self.open[identity] = case
        alert.incident = case.id
        case.alerts.append(alert.id)
        case.lead = case.lead or alert.id
        self._grown.add(case.id)
        self.note(now, alert, "began" if len(case.alerts) == 1 else "joined", moment=alert.violation.since)

    def _fits(self, case: Case, alert: Alert) -> bool:
        new = alert.violation
        for identity in case.alerts:
            known = self.alerts[identity].violation
            if abs(new.since - known.since) <= NEAR and self.related(new, known):
                return True
            if not (known.until and known.until < new.since) and not set(new.traces).isdisjoint(known.traces):
                return True
        return False

    def _merge(self, now: float, case: Case, other: Case) -> None:
        """Puts the alerts of an incident that nobody has heard of into another one."""
        for identity in other.alerts:
            alert = self.alerts[identity]
            alert.incident = case.id
            case.alerts.append(identity)
            self.note(now, alert, "joined", moment=alert.violation.since)
        self.forget(other)
        self._fresh.discard(other.id)
        self._changes.cases.pop(other.id, None)
        self._changes.entries = [entry for entry in self._changes.entries if entry.incident != other.id]

    def _lead(self, case: Case) -> None:
        """Looks again which of its alerts explains the others."""
        by_violation = {id(alert.violation): alert for alert in map(self.alerts.__getitem__, case.alerts)}
        order, case.cause = self.explain([alert.violation for alert in by_violation.values()])
        ids = [by_violation[id(one)].id for one in order]
        case.lead, case.alerts = ids[0], ids

    def returned(self, now: float, alert: Alert) -> None:
        """The alert is back; its incident is open again where it was over."""
        case = self.known[alert.incident]
        if case.over is not None:
            case.over, case.told = None, ""
            self.open[case.id] = case
            alert.loud = not alert.muted
        self.note(now, alert, "returned")

    def note(
        self, now: float, alert: Alert, what: str, by: str = "", note: str = "", moment: float | None = None
    ) -> None:
        """Adds a line to the timeline of an alert's incident, and has both written."""
        self.changed(alert)
        case = self.known[alert.incident]
        if case.entries < MOST_ENTRIES:
            of = f" in {alert.violation.service}" if alert.violation.service else ""
            text = TEXTS[what].format(
                text=alert.violation.sentence, title=alert.violation.title, of=of, muted=alert.muted,
                severity=alert.severity,
            )  # fmt: skip
            self._line(case, now if moment is None else moment, alert.id, what, text, by, note)

    def _line(self, case: Case, time: float, alert: str, what: str, text: str, by: str = "", note: str = "") -> None:
        case.entries += 1
        self._changes.cases[case.id] = case
        self._changes.entries.append(Entry(case.id, case.entries, time, alert, what, text, by, note))

    def tell(self, now: float) -> list[Event]:
        """What people are to be told after a look: what fired, got worse, was escalated, is over."""
        found: list[Event] = []
        for identity in self._grown & self.known.keys():  # once each, however many have come
            self._lead(self.known[identity])
        self._grown.clear()
        for case in list(self.open.values()):
            alerts = [self.alerts[one] for one in case.alerts]
            loud = [one for one in alerts if one.loud]
            heard = [one for one in loud if one.attention != "dismissed"]
            if heard and not case.told:
                if any(one.active or one.noticed == now for one in heard):
                    case.told = worst(one.severity for one in heard)
                    found.append(self._event(now, case, "fired"))
            elif heard and case.told and rank(worst(one.severity for one in heard)) > rank(case.told):
                case.told = worst(one.severity for one in heard)
                found.append(self._event(now, case, "escalated" if case.id in self.escalated else "worsened"))
            elif case.told and case.id in self.escalated:
                found.append(self._event(now, case, "escalated"))
            elif case.told and any(self._is_news(case, one) for one in heard):
                found.append(self._event(now, case, "worsened"))
            if all(one.over(now) for one in alerts):
                found += self._close(now, case, alerts)
        self.escalated.clear()
        self._fresh.clear()
        return found

    @staticmethod
    def _is_news(case: Case, alert: Alert) -> bool:
        """Whether a service has joined that people have not heard of, by an alert that would be told of alone."""
        service = alert.violation.service
        return alert.active and service not in case.services and bool(service) and rank(alert.severity) >= WAKES

    def tell_action(self, now: float, incident: str, happening: str, by: str, note: str) -> list[Event]:
        """What the others are told of what a person did, where it is true of all of an incident that lasts."""
        case = self.known[incident]
        alerts = [self.alerts[one] for one in case.alerts]
        if happening == "resolved":
            return self._close(now, case, alerts, by, note) if all(one.over(now) for one in alerts) else []
        lasting = [one for one in alerts if one.active]
        if happening == "escalated":
            case.told = worst([case.told or "low", *(one.severity for one in lasting)])
        elif happening != "reopened" and any(one.attention != happening for one in lasting):
            return []
        return [self._event(now, case, cast("Happening", happening), by, note)] if case.told else []

    def _close(self, now: float, case: Case, alerts: list[Alert], by: str = "", note: str = "") -> list[Event]:
        case.over = max(one.until or 0.0 for one in alerts)
        self.open.pop(case.id, None)
        self._changes.cases[case.id] = case
        heard = case.told and not all(one.attention == "dismissed" for one in alerts)
        found = [self._event(now, case, "resolved", by, note)] if heard else []
        case.told, case.services = "", []
        return found

    def _event(self, now: float, case: Case, happening: Happening, by: str = "", note: str = "") -> Event:
        case.events += 1
        if happening != "reopened":
            self._lead(case)
        # What is kept quiet, or dismissed, makes nothing more severe for those who are told.
        incident = replace(self.incident(case), severity=cast("Severity", case.told))
        event = Event(happening, now, incident, by, note, f"{case.id}-{case.events}")
        loud = (one.violation.service for one in map(self.alerts.__getitem__, case.alerts) if one.loud)
        case.services = list(dict.fromkeys([*case.services, *loud]))
        self._line(case, now, "", "told", f"People are told: {happening}", by, note)
        self._changes.events.append(event)
        return event

    def state(self, case: Case) -> State:
        """Where an incident is in its life."""
        lasting = [one for one in map(self.alerts.__getitem__, case.alerts) if one.active]
        states = {one.state for one in lasting}
        if not states:
            return "resolved"
        if "firing" in states or "escalated" in states:
            return "escalated" if "escalated" in states else "firing"
        return "acknowledged" if "acknowledged" in states else "dismissed"

    def incident(self, case: Case) -> Incident:
        """An incident for those who are told."""
        alerts = [self.alerts[one] for one in case.alerts]
        lead = self.alerts[case.lead].violation
        services = [one.violation.service for one in alerts if one.violation.service]
        return Incident(
            id=case.id,
            severity=worst(one.severity for one in alerts),
            title=f"{lead.title} in {lead.service}" if lead.service else lead.title,
            cause=case.cause,
            services=tuple(dict.fromkeys(services)),
            since=min(one.violation.since for one in alerts),
            until=case.over,
            violations=tuple(one.violation for one in alerts),
            link=f"#/incidents/{case.id}",
        )
