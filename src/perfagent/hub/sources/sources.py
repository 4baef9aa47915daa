"""The sources of one hub: which there are, when each collects, and what it saw."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from perfagent.hub.sources import declarations, kinds, points
from perfagent.hub.sources.collecting import Collecting
from perfagent.hub.sources.compression import Compressor
from perfagent.hub.sources.kept import Kept
from perfagent.hub.sources.load import Gauge, Load
from perfagent.hub.sources.reach import reach
from perfagent.hub.sources.zones import Change, Ladder
from perfagent.hub.store.errors import StoreFailed
from perfagent.hub.store.intake import Overloaded
from perfagent.hub.store.rows import Batch
from perfagent.settings.sources import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.itself import Figure
    from perfagent.hub.sources.seen import Seen
    from perfagent.hub.sources.source import Collected, Point
    from perfagent.hub.sources.state import State
    from perfagent.hub.sources.zones import Zone
    from perfagent.hub.store.rows import Resource

TICK = 0.5  # seconds between two looks at what is due
LOOK = 2.0  # seconds between two readings of the load, 0.3 ms each
PATIENCE = 2.0  # seconds that what reads the store gets to come to its end
BRIEFLY = 0.05  # seconds that another source does
AGAIN = 5.0  # seconds between two looks at what is declared
log = logging.getLogger("perfagent.hub")


class Sources:
    """What a hub collects by itself.

    Args:
        hub: where what is collected goes.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ladder = Ladder()
        self._gauge: Gauge | None = None
        self._seen: dict[str, list[Seen]] = {}
        self._collecting: dict[str, Collecting] = {}
        self._compressor = Compressor()
        self.kept = Kept(hub)
        self._last: dict[str, tuple[Resource, list[Point]]] = {}
        self._settings = SourceSettings(hub.settings.environ, hub.settings.directory)
        self._version = -1
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed: list[Callable[[Change], None]] = []
        self.load = Load(None, None, None, None)
        """The last reading."""
        self.changes: Counter[str] = Counter()
        """How often each zone was entered."""
        self.figures: list[Figure] = []
        """What the hub computed of itself last, for /metrics."""
        self.problems: list[str] = []
        """Why tables are off, a sentence each."""

    @property
    def zone(self) -> Zone:
        """How loaded the hub's machine is."""
        return self._ladder.zone

    @property
    def share(self) -> float:
        """The smoothed share of the busiest resource, 0..1."""
        return self._ladder.share

    @property
    def zone_since(self) -> float | None:
        """When the zone was entered, seconds since the epoch; None before the first reading."""
        return time.time() - (time.monotonic() - self._ladder.since) if self._gauge else None

    @property
    def compressor(self) -> Compressor:
        """What puts points together while the machine is loaded."""
        return self._compressor

    def on_zone(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener`, on the event loop, after each change of the zone."""
        self._changed.append(listener)

    def facts(self) -> list[Seen]:
        """What each source saw when it looked last; one that does not look for now has seen nothing."""
        known = list(self._collecting.items())
        return [fact for name, one in known if not one.state.paused for fact in self._seen.get(name, ())]

    def seen(self, name: str) -> list[Seen]:
        """The same of one source."""
        return list(self._seen.get(name, ()))

    def states(self) -> list[State]:
        """Every source and what became of it, in the order of their declaration."""
        return [one.state for one in list(self._collecting.values())]

    def latest(self) -> list[tuple[Resource, list[Point]]]:
        """The points of each source's last collection, for a hub that stores none."""
        return list(self._last.values())

    def interval(self, state: State) -> float:
        """Seconds between two collections of a source as it is now, in this zone."""
        factor = reach(self.zone, state.plan.priority).factor if self._settings.adaptive else 1.0
        return state.pause() * (factor or 1.0)

    def start(self) -> None:
        """Begins to collect; called on the event loop."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; returns when nothing reads the store any more, or after PATIENCE."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        declared = looked = 0.0
        self._gauge = Gauge()
        try:
            while True:
                now = loop.time()
                if now >= declared:
                    declared = now + AGAIN
                    self._declare(now)
                if now >= looked:
                    looked = now + LOOK
                    self._look(now)
                for one in self._collecting.values():
                    self._begin(one, now)
                await self._flush(now)
                await asyncio.sleep(TICK)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.to_thread(self._close)

    def _declare(self, now: float) -> None:
        """Makes the sources anew that are declared otherwise than before."""
        self._hub.declared.refresh()
        if self._version == self._hub.declared.version:
            return
        self._version = self._hub.declared.version
        plans, problems = declarations.plans(self._hub)
        for problem in problems:
            if problem not in self.problems:
                log.warning("%s", problem)
        self.problems = problems
        for name in [name for name, one in self._collecting.items() if plans.get(name) != one.state.plan]:
            self._collecting.pop(name).end(0.0)
            self._seen.pop(name, None)
            self._last.pop(name, None)
        for name, plan in plans.items():
            if name not in self._collecting:
                self._collecting[name] = Collecting(plan, self._hub, now)

    def _look(self, now: float) -> None:
        """Reads the load; tells of a zone that is new, once."""
        assert self._gauge is not None
        self.load = self._gauge.read()
        change = self._ladder.look(self.load.share, now)
        if change is None:
            return
        self.changes[change.after] += 1
        tell = log.warning if change.after in ("red", "critical") else log.info
        tell(
            "the zone is %s, it was %s: %.0f %% of the %s are used", change.after, change.before, 100 * change.share,
            self.load.resource,
        )  # fmt: skip
        for listener in list(self._changed):
            try:
                listener(change)
            except Exception:  # must not end the collecting
                log.exception("a listener failed")

    def _begin(self, one: Collecting, now: float) -> None:
        """Starts a collection that is due and that the zone allows."""
        factor = reach(self.zone, one.state.plan.priority).factor if self._settings.adaptive else 1.0
        if not one.due(now, factor, self.zone):
            return
        task = asyncio.create_task(self._collect(one))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _collect(self, one: Collecting) -> None:
        name = one.state.plan.name
        collected = await one.collect()
        if self._collecting.get(name) is not one:  # declared anew or no longer, while it looked
            return
        if collected is None:
            self._seen.pop(name, None)
            return
        self._seen[name] = collected.seen
        now = time.time()
        whose = points.owner(name, one.state.plan.kind, {**collected.attributes})
        self._last[name] = (whose, collected.points)
        window = reach(self.zone, one.state.plan.priority).window if self._settings.adaptive else 0
        if window and self._settings.compression:
            self._compressor.add(whose, collected.points, now, (window - 0.5) * one.state.plan.interval)
        else:
            await self._put(points.batch(whose, collected.points, now))
        await self._keep(name, now, collected)

    async def _flush(self, now: float) -> None:
        """Stores what was put together and is complete; all of it once the zone wants none of that any more."""
        pending = self._compressor.take(time.time(), everything=self.zone in ("green", "yellow"))
        if pending.points:
            await self._put(pending)

    async def _put(self, batch: Batch) -> None:
        """Stores a batch; a hub that reads from elsewhere stores none and shows the last ones on /metrics."""
        if self._hub.remote is not None or not batch.points:
            return
        try:
            await self._hub.intake.put(batch)
        except (Overloaded, StoreFailed) as error:
            log.warning("points of sources are lost: %s", error)

    async def _keep(self, name: str, now: float, collected: Collected) -> None:
        try:
            await asyncio.to_thread(self.kept.keep, name, now, collected.seen)
        except StoreFailed as error:
            log.warning("what the source %s saw could not be kept: %s", name, error)

    def _close(self) -> None:
        """Ends every source; what reads the store is waited for, as that is closed next."""
        until = time.monotonic() + PATIENCE
        for one in self._collecting.values():
            one.end(max(until - time.monotonic(), 0.0) if one.state.plan.kind in kinds.STORED else BRIEFLY)
