"""Incidents and events of a shop, and hubs with channels, for the tests of notifications."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.alert.event import Event, Incident
from perfagent.hub.alert.violation import Violation
from perfagent.hub.notify.pace import Timing
from tests.receivers import until

if TYPE_CHECKING:
    from pathlib import Path

    from perfagent.hub.alert.event import Happening
    from perfagent.hub.alert.violation import Severity
    from tests.hub import ServedHub

QUICK = Timing(first_retry=0.05, longest_retry=0.4, longest_pause=0.2, collecting=0.3, deadline=25.0)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def violation(**changes: Any) -> Violation:
    """Failing requests of a shop."""
    told: dict[str, Any] = {
        "kind": "threshold",
        "rule": "error_rate_percent",
        "service": "shop",
        "severity": "critical",
        "title": "Failing requests",
        "text": "Failing requests: at worst 12 % in shop, the limit is 5 %",
        "since": time.time() - 125,
        "value": 9.0,
        "worst": 12.0,
        "limit": 5.0,
        "unit": "%",
        "advice": "look at the errors of GET /orders",
        "traces": (TRACE,),
        "details": {},
    }
    return Violation(**{**told, **changes})


def event(
    happening: Happening = "fired",
    number: int = 1,
    *,
    severity: Severity = "critical",
    services: tuple[str, ...] = ("shop",),
    title: str = "Failing requests in shop",
    ago: float = 0.0,
    lasted: float | None = None,
    **more: Any,
) -> Event:
    """Something that happened to the incident of a number."""
    now = time.time() - ago
    begin = now - (lasted or 125)
    told = {key: more.pop(key) for key in ("by", "note") if key in more}
    found = violation(severity=severity, service=services[0] if services else "", since=begin, **more)
    until_ = now if happening == "resolved" else None
    incident = Incident(
        f"{number:016x}", severity, title, "the database does not answer", services, begin, until_, (found,),
        f"#/incidents/{number:016x}",
    )  # fmt: skip
    return Event(happening, now, incident, id=f"{number:016x}-{happening}-{now}", **told)


def declare(hub: ServedHub, text: str) -> None:
    """Writes what the hub's folder declares, and has the hub read it."""
    path = hub.hub.directory / "perfagent.toml"
    path.write_text(text)
    hub.hub.declared.refresh()
    hub.hub.notifier.timing = QUICK


def deliveries(hub: ServedHub, **filters: Any) -> list[dict[str, Any]]:
    """The delivery log, the latest first."""
    found: list[dict[str, Any]] = hub.get("deliveries", limit=1000, **filters)["items"]
    return found


def settled(hub: ServedHub, number: int = 1, **filters: Any) -> list[dict[str, Any]]:
    """The delivery log, once so many of its entries are over."""

    def over() -> list[dict[str, Any]]:
        return [one for one in deliveries(hub, **filters) if one["state"] != "waiting"]

    until(lambda: len(over()) >= number, lambda: f"{deliveries(hub)}")
    return over()


def write(path: Path, text: str) -> Path:
    """A file with a text; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
