"""What one hub process holds, handed to every part of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

from perfagent.hub.alert.alerts import Alerts
from perfagent.hub.declared import Declared
from perfagent.hub.notify.notifier import Notifier
from perfagent.hub.objectives.ledger import Ledger
from perfagent.hub.optimise.optimiser import Optimiser
from perfagent.hub.receive.totals import Totals
from perfagent.hub.sources.sources import Sources

if TYPE_CHECKING:
    from pathlib import Path

    from perfagent.hub.access import Access
    from perfagent.hub.control.commands import Commands
    from perfagent.hub.remote.remote import Remote
    from perfagent.hub.sources.zones import Zone
    from perfagent.hub.store.intake import Intake
    from perfagent.hub.store.store import Store
    from perfagent.settings import Settings


@dataclass(slots=True)
class Hub:
    """The parts of a hub, and what it counts of itself.

    Args:
        settings: the options of this process.
        directory: where its files are.
        address: what a browser opens, such as "http://127.0.0.1:4318".
        store: the database.
        intake: the queue in front of it.
        access: tokens, roles and login codes.
        commands: what waits for agents.
        remote: what it reads from, where that is Prometheus and Jaeger; the store is a window on these then.
    """

    settings: Settings
    directory: Path
    address: str
    store: Store
    intake: Intake
    access: Access
    commands: Commands
    remote: Remote | None = None
    browsers: Totals = field(default_factory=Totals)  # what pages have measured, for Prometheus
    started: float = field(default_factory=time)
    last_activity: float = field(default_factory=time)  # a request of anybody; what the idle time counts from
    alerts: Alerts = field(init=False)  # what is wrong, and who wants to know of it
    declared: Declared = field(init=False)  # what files say of objectives, rules, channels and the like
    objectives: Ledger = field(init=False)  # how each objective stands
    optimiser: Optimiser = field(init=False)  # advises or acts where a rule holds
    sources: Sources = field(init=False)  # what the hub collects by itself

    notifier: Notifier = field(init=False)  # who is told of what happens to incidents

    def __post_init__(self) -> None:
        self.declared = Declared([self.settings.directory, str(self.directory)])
        self.notifier = Notifier(self)
        self.alerts = Alerts(self)
        self.objectives = Ledger(self)
        self.optimiser = Optimiser(self)
        self.sources = Sources(self)

    @property
    def zone(self) -> Zone:
        """How loaded the machine is: green, yellow, orange, red or critical."""
        return self.sources.zone
