"""Events as JSON, for the outbox and for those who read them by program."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from perfagent.hub.alert.event import Event, Incident
from perfagent.hub.alert.violation import Violation


def identity(event: Event) -> str:
    """The same each time that the event is handed on."""
    return event.id or identity_of(f"{event.incident.id}\0{event.happening}\0{event.time!r}")


def identity_of(text: str) -> str:
    """16 hexadecimal digits of a text."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def written(event: Event) -> str:
    """The event as a text."""
    return json.dumps(asdict(event), separators=(",", ":"), default=str)


def read(text: str) -> Event:
    """The event that was written; what an earlier version did not know has its default."""
    content: dict[str, Any] = json.loads(text)
    incident = content.pop("incident")
    violations = tuple(_violation(one) for one in incident.pop("violations"))
    incident["services"] = tuple(incident["services"])
    return Event(incident=Incident(violations=violations, **_known(Incident, incident)), **_known(Event, content))


def _violation(fields: dict[str, Any]) -> Violation:
    fields["traces"] = tuple(fields.get("traces", ()))
    return Violation(**_known(Violation, fields))


def _known(kind: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in kind.__slots__}
