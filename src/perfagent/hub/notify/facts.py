"""What a notification can say: the fields that templates know, made of an event."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse import words
from perfagent.hub.conditions.showing import shown
from perfagent.hub.rules.figures import FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.alert.event import Event
    from perfagent.hub.alert.violation import Violation

FIELDS = {
    "headline": "what happened and to what, in one line",
    "title": "what is wrong, in a few words",
    "severity": "low, medium, warning, high or critical",
    "happening": "fired, worsened, escalated, acknowledged, dismissed, reopened or resolved",
    "cause": "why, in a sentence; empty where it is unknown",
    "services": "the services that it is about, a list, the one with the cause first",
    "since": "when it began, as a date and time",
    "until": "when it was over; empty while it lasts",
    "duration": 'how long it has lasted, such as "12 min"',
    "figures": "what is violated, a list: each has service, subject, title, text, value, worst, limit, advice",
    "advice": "the next step",
    "link": "where the page shows it",
    "runbook": "address or file of the runbook; empty where there is none",
    "traces": "addresses of up to three requests that show it, a list",
    "by": "the role of who acknowledged or dismissed it; empty where nobody did",
    "note": "what they said",
    "id": "16 hexadecimal digits, the same for all that happens to an incident",
    "page": "address of the hub's page",
}
"""The fields of a template, and what each is."""
RUNBOOKS = {figure.threshold: f"docs/runbooks/{figure.alert}.md" for figure in FIGURES}
FIGURES_SHOWN, TRACES_SHOWN = 5, 3
LONGEST = 500  # characters of one value
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
"""What hides in a terminal or turns text around."""
UNSAFE = re.compile(r"[\s<>\"|()\[\]]")
"""What would end a link in one of the formats."""


class Address(str):
    """A text that is an address, which no format escapes."""

    __slots__ = ()


def of(event: Event, page: str) -> dict[str, Any]:
    """The fields of an event.

    Args:
        page: address of the hub's page, without a slash at its end.
    """
    incident = event.incident
    end = incident.until if incident.until is not None else event.time
    lasted = lasting(end - incident.since)
    first = incident.violations[0] if incident.violations else None
    traces = list(dict.fromkeys(trace for one in incident.violations for trace in one.traces))
    advice = next((one.advice for one in incident.violations if one.advice), "")
    services = [one for one in incident.services if one]
    title = clean(incident.title, 200)
    return {
        "headline": headline(event, title, services, lasted),
        "title": title,
        "severity": incident.severity,
        "happening": event.happening,
        "cause": clean(incident.cause),
        "services": [clean(one, 100) for one in services],
        "since": moment(incident.since),
        "until": moment(incident.until) if incident.until is not None else "",
        "duration": lasted,
        "figures": [_figure(one) for one in incident.violations[:FIGURES_SHOWN]],
        "advice": clean(advice),
        "link": address(page, incident.link),
        "runbook": _runbook(first),
        "traces": [Address(f"{page}/#/traces/{one}") for one in traces[:TRACES_SHOWN]],
        "by": clean(event.by, 100),
        "note": clean(event.note),
        "id": incident.id,
        "page": Address(page),
    }


def headline(event: Event, title: str, services: Sequence[str], lasted: str) -> str:
    """What happened and to what, in one line."""
    severity = event.incident.severity
    said = {
        "fired": severity.capitalize(),
        "worsened": f"Now {severity}",
        "escalated": f"Escalated after {lasted}",
        "acknowledged": f"Acknowledged by {event.by or 'nobody'}",
        "dismissed": f"Dismissed by {event.by or 'nobody'}",
        "reopened": "Reopened",
        "resolved": f"Resolved after {lasted}",
    }[event.happening]
    missing = [clean(one, 60) for one in services if one and one not in title]
    return f"{said}: {title}" + (f" ({', '.join(missing[:3])})" if missing else "")


def lasting(seconds: float) -> str:
    """A stretch of time for people: "45 s", "12 min", "3 h 5 min", "2 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    for unit, name, rest, small in ((1440, "d", 60, "h"), (60, "h", 1, "min")):
        if minutes >= unit:
            more = minutes % unit // rest
            return f"{minutes // unit} {name}" + (f" {more} {small}" if more else "")
    return f"{minutes} min"


def moment(seconds: float) -> str:
    """A moment for people, in the hub's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def clean(text: str, longest: int = LONGEST) -> str:
    """A text in one line, without what hides or turns it around."""
    return words.shorten(CONTROL.sub("", text.replace("\n", " ")), longest)


def address(page: str, link: str) -> Address:
    """The address behind a link of the page, such as "#/incidents/ID"."""
    safe = UNSAFE.sub("", link)
    if re.match(r"https?://", safe):
        return Address(safe)
    return Address(f"{page}/{safe}" if safe else page)


def _runbook(violation: Violation | None) -> str:
    if violation is None:
        return ""
    own = violation.details.get("runbook")
    if isinstance(own, str) and own:
        return Address(UNSAFE.sub("", own)) if re.match(r"https?://", own) else clean(own)
    return RUNBOOKS.get(violation.rule, "")


def _figure(violation: Violation) -> dict[str, str]:
    def known(value: float | None) -> str:
        return "" if value is None else shown(value, violation.unit)

    return {
        "service": clean(violation.service, 100),
        "subject": clean(violation.subject, 200),
        "title": clean(violation.title, 200),
        "text": clean(violation.sentence),
        "value": known(violation.value),
        "worst": known(violation.worst),
        "limit": known(violation.limit),
        "advice": clean(violation.advice),
    }
