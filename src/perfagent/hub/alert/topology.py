"""Who calls whom, and who is on which machine: by this, violations of several services are one incident or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.alert import ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.alert.violation import Violation
    from perfagent.hub.hub import Hub

    Related = Callable[[Violation, Violation], bool]
    Explain = Callable[[Iterable[Violation]], tuple[list[Violation], str]]

LOOKED_AT = 900.0  # s before now in which calls are looked for
SAMPLE = 20_000  # spans that began in another process, the newest
FAR = 3  # calls from service to service between two that may have one cause
MACHINE = frozenset(("cpu_usage_percent", "memory_usage_percent", "disk_usage_percent"))
APART = frozenset(("deprecated_calls_per_minute", "deprecated_calls_growth_percent", "telemetry_dropped_percent"))
"""What has nothing to do with how a service does."""


class Topology:
    """What a hub knows of the services' places, read where it is needed and not before.

    Args:
        hub: whose spans tell.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def judges(self, now: float) -> tuple[Related, Explain]:
        """What tells whether two violations belong together, and which explains the others; both as things are now."""
        places = Places(self._hub, now)
        return places.related, lambda violations: ranking.explain(violations, places.below)


class Places:
    """Calls between services and their machines, at one moment.

    Args:
        hub: whose spans tell.
        now: seconds since the epoch.
    """

    def __init__(self, hub: Hub, now: float) -> None:
        self._hub, self._now = hub, now
        self._called: dict[str, set[str]] | None = None
        self._below: dict[str, set[str]] = {}
        self._hosts: dict[str, set[str]] | None = None

    def related(self, one: Violation, other: Violation) -> bool:
        """Whether two violations that began at about the same time may have one cause."""
        if one.rule in APART or other.rule in APART:
            return one.service == other.service and one.rule in APART and other.rule in APART
        if one.service == other.service or not one.service or not other.service:
            return True
        if one.subject and one.subject == other.subject and " /" not in one.subject:  # the same database or machine
            return True
        if self.below(one.service, other.service) or self.below(other.service, one.service):
            return True
        return (one.rule in MACHINE or other.rule in MACHINE) and not self.hosts(one.service).isdisjoint(
            self.hosts(other.service)
        )

    def below(self, one: str, other: str) -> bool:
        """Whether a service is called by another one, with others in between or not."""
        if self._called is None:
            self._called = {}
            begin = round((self._now - LOOKED_AT) * 1e9)
            for row in self._hub.store.rows("alerts/service_calls", begin_ns=begin, most=SAMPLE):
                self._called.setdefault(row["caller"], set()).add(row["callee"])
        known = self._below.get(other)
        if known is None:
            known = edge = {other}
            for _ in range(FAR):
                edge = {callee for service in edge for callee in self._called.get(service, ())} - known
                known = known | edge
            self._below[other] = known
        return one in known and one != other

    def hosts(self, service: str) -> set[str]:
        """The machines that a service has processes on."""
        if self._hosts is None:
            self._hosts = {}
            for row in self._hub.store.rows("alerts/hosts"):
                self._hosts.setdefault(row["service"], set()).add(row["host"])
        return self._hosts.get(service, set())
