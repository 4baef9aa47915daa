"""A message: what one channel is told, in its own form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.hub.alert.violation import SEVERITIES
from perfagent.hub.notify import document, facts, templates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.alert.event import Event
    from perfagent.hub.notify.templates import Format

LINES = 20  # of a digest; the rest is counted


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told; its text is made in the form that the receiver takes.

    Args:
        title: one line.
        severity: of the incident, or the worst of several.
        over: whether it tells of an end.
        incident: the identity that all messages of an incident share; "" for several.
        link: where it leads.
        fields: for the text.
        content: for those who read it by program.
        template: the user's own; "" for ours.
    """

    title: str
    severity: str
    over: bool
    incident: str
    link: str
    fields: Mapping[str, Any]
    content: Mapping[str, Any]
    template: str = ""

    def text(self, form: Format) -> str:
        """The text in a format; ours in place of a user's that fails."""
        if self.template:
            try:
                return templates.users(self.template, form, self.fields)
            except templates.BadTemplate as error:
                return f"{templates.ours(form, self.fields)}\n\n(the channel's template failed: {error})"
        return templates.ours(form, self.fields)


def of(event: Event, page: str, template: str = "") -> Message:
    """The message of one event.

    Args:
        page: address of the hub's page.
        template: the user's own.
    """
    fields = facts.of(event, page)
    return Message(
        title=fields["headline"],
        severity=event.incident.severity,
        over=event.happening == "resolved",
        incident=event.incident.id,
        link=fields["link"],
        fields=fields,
        content=_content(event, fields),
        template=template,
    )


def digest(events: Sequence[Event], page: str) -> Message:
    """One message of several events, which would have been too many."""
    latest: dict[str, Event] = {event.incident.id: event for event in events}
    incidents = sorted(latest.values(), key=lambda one: -SEVERITIES.index(one.incident.severity))
    counts = [
        f"{number} {severity}"
        for severity in reversed(SEVERITIES)
        if (number := sum(one.incident.severity == severity for one in incidents))
    ]
    one = len(incidents) == 1
    title = f"{len(incidents)} further incident{'' if one else 's'}: {', '.join(counts)}"
    all_fields = [facts.of(event, page) for event in incidents]
    lines = [{key: fields[key] for key in ("headline", "since", "link", "severity")} for fields in all_fields[:LINES]]
    return Message(
        title=title,
        severity=incidents[0].incident.severity,
        over=all(event.happening == "resolved" for event in incidents),
        incident="",
        link=facts.address(page, "#/alerts"),
        fields={
            "headline": title,
            "digest": lines,
            "left_out": max(0, len(incidents) - LINES),
            "page": facts.Address(page),
        },
        content={
            "happening": "digest",
            "headline": title,
            "events": [_content(event, fields) for event, fields in zip(incidents, all_fields, strict=True)],
        },
    )


def _content(event: Event, fields: Mapping[str, Any]) -> dict[str, Any]:
    """An event as programs read it: numbers as numbers, times in seconds since the epoch."""
    incident = event.incident
    told = {key: fields[key] for key in ("headline", "cause", "advice", "link", "runbook", "traces", "by", "note")}
    return {
        "id": document.identity(event),
        "happening": event.happening,
        "time": event.time,
        **told,
        "incident": {
            "id": incident.id,
            "severity": incident.severity,
            "title": incident.title,
            "services": list(incident.services),
            "since": incident.since,
            "until": incident.until,
            "violations": [
                {
                    "kind": one.kind,
                    "rule": one.rule,
                    "service": one.service,
                    "subject": one.subject,
                    "severity": one.severity,
                    "title": one.title,
                    "text": one.text,
                    "value": one.value,
                    "worst": one.worst,
                    "limit": one.limit,
                    "unit": one.unit,
                    "since": one.since,
                    "until": one.until,
                }
                for one in incident.violations
            ],
        },
    }
