"""The alerts of a running hub: looks every few seconds, remembers, and tells those who want to know."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from time import monotonic, time
from typing import TYPE_CHECKING

import duckdb

from perfagent.hub.alert import escalation, watchers
from perfagent.hub.alert.book import Book
from perfagent.hub.alert.engine import MOST_ACTIVE, Engine
from perfagent.hub.alert.mutes import Mutes
from perfagent.hub.alert.topology import Topology
from perfagent.hub.api.ranges import MINUTES_KEPT, Range
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfagent.hub.alert.escalation import Escalation
    from perfagent.hub.alert.event import Event
    from perfagent.hub.alert.violation import Violation, Watcher
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.store import Store

    Listener = Callable[[list[Event]], object]

NEWEST = 7200  # s: what came later than this is looked at less often, for it costs more
DEEP = 60.0  # s between two looks further back than that
PATIENCE = 2.0  # s that the end waits for a look under way
log = logging.getLogger("perfagent.hub")


class Alerts:
    """Runs the watchers and keeps their alerts.

    Args:
        hub: what is looked at.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.RLock()
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._listeners: list[Listener] = []
        self._changed: list[Callable[[], object]] = []
        self._watchers: dict[str, Watcher] | None = None
        self._failing: set[str] = set()
        self._engine: Engine | None = None
        self._version = -1
        self._escalations: Sequence[Escalation] = escalation.DEFAULTS
        self._deep_at = -1e9
        self._took = 0.0
        self._left_out = 0
        self._waits_to_be_told: list[Event] = []
        self.problems: list[str] = []
        """What is wrong with the tables of the settings files that are about alerts."""
        self.mutes = Mutes(hub)
        self._topology = Topology(hub)

    @property
    def kept(self) -> Store:
        """The database of the alerts: the hub's own, whatever it reads from."""
        return self._hub.store if self._hub.remote is None else self._hub.remote.window.keeper

    @property
    def interval(self) -> float:
        """Seconds between two looks; on Prometheus no fewer than between two readings of it: nothing is new sooner."""
        settings = self._hub.settings
        own = settings.alert_interval
        return own if self._hub.remote is None else max(own, settings.remote_interval)

    @property
    def took(self) -> float:
        """Seconds that the last look took."""
        return self._took

    def now(self) -> float:
        """The moment until which there is data, seconds since the epoch."""
        return time() if self._hub.remote is None else self._hub.remote.present()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with what people are to be told, as it happens, until what is returned is called.

        It is called in some thread and must return soon. What it has taken without raising counts as handed on; after
        a crash, or where it raised, the same events come again, with the same ids.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_change(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Calls `listener` in some thread whenever an alert has changed, until what is returned is called."""
        self._changed.append(listener)
        return lambda: self._changed.remove(listener)

    def start(self) -> None:
        """Begins to look."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends; waits for a look that is under way."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def look(self) -> list[Event]:
        """Takes one look now, and hands on what it finds; for the thread, and for those who cannot wait.

        Raises:
            StoreFailed: what was found could not be written; the next look finds it again.
        """
        with self._looking:
            began = monotonic()
            earliest = self._hub.store.changed.take()
            try:
                return self._look(earliest)
            except BaseException:
                if earliest is not None:
                    self._hub.store.changed.give_back(earliest)
                raise
            finally:
                self._took = monotonic() - began

    def act(self, target: str, action: str, by: str, note: str = "") -> bool:
        """Does what a person decided; returns whether there is such an alert or incident that is active.

        Args:
            target: id of an alert or an incident.
            action: "acknowledge", "dismiss", "escalate", "reopen" or "resolve".
            by: the person's role.
            note: what they say.

        Raises:
            StoreFailed: it could not be written.
        """
        with self._lock, self._whole() as engine:
            events = engine.act(time(), target, action, by, note)
            if events is None:
                return False
            self._write(engine)
        self._hand_on()
        return True

    def heed(self) -> None:
        """Has silences and windows that were changed count at once.

        Raises:
            StoreFailed: it could not be written.
        """
        with self._lock, self._whole() as engine:
            engine.mute = self.mutes.judge()
            engine.take(self.now(), {})
            self._write(engine)
        self._hand_on()

    def _run(self) -> None:
        failing = ""
        while not self._ended.wait(max(0.05, self.interval - self._took)):
            try:
                self.look()
                failing = ""
            except Exception as error:
                if str(error) != failing and not self._ended.is_set():
                    failing = str(error)
                    known = isinstance(error, (StoreFailed, duckdb.Error))
                    log.error("a look at what is wrong failed, and is tried again: %s", error, exc_info=not known)

    def _look(self, earliest: int | None) -> list[Event]:
        hub = self._hub
        hub.declared.refresh()
        self._declare()
        with self._lock:
            engine = self._known()
            if earliest is None and not engine.waiting and not self._waits_to_be_told:
                return []
        now = self.now()
        begin = now if earliest is None else max(float(earliest), now - MINUTES_KEPT)
        deep = begin < now - NEWEST
        if deep and monotonic() - self._deep_at < DEEP:
            hub.store.changed.give_back(int(begin))
            begin, deep = now - NEWEST, False
        seen = self._watch(Range(min(begin, now - 60), now), engine)
        with self._lock, self._whole() as current:
            if engine is not current:  # a write has failed meanwhile
                raise StoreFailed("what is known of alerts is read again")
            engine.cases.related, engine.cases.explain = self._topology.judges(now)
            engine.mute, engine.escalations = self.mutes.judge(), self._escalations
            events = engine.take(now, seen)
            self._write(engine)
            if engine.left_out and not self._left_out:
                log.warning("%d violations are beyond the %d alerts that can be active", engine.left_out, MOST_ACTIVE)
            self._left_out = engine.left_out
        if deep:
            self._deep_at = monotonic()
        if earliest is not None:
            with hub.store.transaction() as cursor:
                hub.store.changed.looked(cursor, now)
        self._hand_on()
        return events

    def _declare(self) -> None:
        declared = self._hub.declared
        if declared.version != self._version:
            self._version = declared.version
            problems: list[str] = []
            self._escalations = escalation.parse(declared.tables("escalation"), problems.append)
            self.mutes.declare(declared.tables("maintenance"), problems.append)
            for problem in problems:
                if problem not in self.problems:
                    log.warning("%s", problem)
            self.problems = problems

    def _watch(self, within: Range, engine: Engine) -> dict[str, Sequence[Violation]]:
        """What each watcher says; those that fail are left out, and told of once."""
        if self._watchers is None:
            self._watchers = {type(one).__name__: one for one in watchers.made(self._hub)}
        # Alerts of a watcher that there is no more are over.
        seen: dict[str, Sequence[Violation]] = {
            alert.watcher: [] for alert in list(engine.active.values()) if alert.watcher not in self._watchers
        }
        for name, watcher in self._watchers.items():
            try:
                seen[name] = list(watcher.look(within))
                if name in self._failing:
                    self._failing.discard(name)
                    log.warning("%s sees again what is wrong", name)
            except Exception as error:
                if name not in self._failing:
                    self._failing.add(name)
                    log.exception("%s cannot see what is wrong (%s); its alerts stay as they are", name, error)
        return seen

    def _known(self) -> Engine:
        """The engine, with what was known when the hub ended last."""
        if self._engine is None:
            book = Book(self.kept)
            engine = Engine()
            book.recall(engine, time())
            self._waits_to_be_told = book.unhanded()
            self._engine, self._book = engine, book
        return self._engine

    @contextmanager
    def _whole(self) -> Iterator[Engine]:
        """The engine, for a change: where it fails half-way, what is known is read again from what is written."""
        engine = self._known()
        try:
            yield engine
        except BaseException:
            self._engine = None
            raise

    def _write(self, engine: Engine) -> None:
        """Writes what has changed, and lets those know who show it."""
        changes = engine.changes
        if not changes:
            return
        self._book.write(engine, changes)
        self._waits_to_be_told += changes.events
        for listener in list(self._changed):
            listener()

    def _hand_on(self) -> None:
        """Has those who listen take what people are to be told."""
        with self._lock:
            events = self._waits_to_be_told
            if not events:
                return
            for listener in list(self._listeners):
                try:
                    listener(list(events))
                except Exception:
                    log.exception("%d events of alerts could not be handed on, and are again", len(events))
                    return
            self._book.handed(events)
            self._waits_to_be_told = []
