"""Looks for what the program keeps more and more of, all the time, and tells what holds it, who made it and for whom.

Once a minute a walk through what modules hold (`walk`) notes how long each container is, in slices of a millisecond
with pauses in between; where few objects live they are also counted by type (`census`). What grows steadily in ten
looks (`growth`) is a suspect. Only then a window of seconds (`window`) traces allocations and looks at requests, to
tell the line and the endpoint. Without suspects a look takes 0.1 s of CPU time a minute in a FastAPI application of 600
modules and 40,000 objects, 0.2 % of a core; where it takes more, it is done less often.
"""

from __future__ import annotations

import os
import sys

from perfagent.profiler.leaks import names, objects, walk
from perfagent.profiler.leaks.census import Census, instances, local_name
from perfagent.profiler.leaks.suspects import Suspect
from perfagent.runtime import outbox, resource
from perfagent.runtime.clock import monotonic, thread_time_ns
from perfagent.runtime.governor import DETAIL, Lever, levers
from perfagent.runtime.metric import GAUGE, registry
from perfagent.runtime.span import Scope
from perfagent.runtime.watch import Look, watch
from perfagent.settings.leaks import LeakSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.profiler.leaks.window import Window
    from perfagent.settings import Settings

    Observe = Callable[[], Iterator[tuple[float, dict[str, object]]]]

SHARE = 0.004  # of a core that looks may take: where one takes longer, the next one is later
SLICE = 1_000_000  # ns of CPU time
EVERY = 0.03  # seconds between two slices
WARM_UP = 2  # looks after the start of the process that count for nothing: imports, pools, first requests
LEAST = 32  # entries of a container that is followed
MOST = 3000  # containers whose length is known
MOST_SUSPECTS = 300
TOLD = 5  # suspects at a time, those that grow most
TRIES = 3  # windows that may be opened to explain one
AGAIN = 3  # looks until the next try
BOUNDED = ("re._cache", "re._cache2")  # of Python's own: emptied, or thinned, where they reach 512 and 256 patterns


def install(settings: Settings) -> None:
    """Begins to look.

    Args:
        settings: where they were read from, the other options are.
    """
    options = LeakSettings(settings.environ, settings.directory)
    instance = settings.resource_attributes.get("service.instance.id") or resource.instance()
    leaks = Leaks(options.interval, options.sites, str(instance))
    os.register_at_fork(after_in_child=leaks.reset)
    levers.append(Lever("leaks", DETAIL, 2, leaks.lower))
    watch.add(leaks.look)
    outbox.commands["references"] = _references
    outbox.reports["leaks"] = leaks.report
    declare(leaks.blocks, leaks.entries)


def declare(blocks: Observe, entries: Observe) -> None:
    """Registers `perfagent.memory.*`; arguments are what observes each."""
    scope = Scope("perfagent.leaks")
    registry.make(
        scope, GAUGE, "perfagent.memory.blocks", "{block}", "Blocks of memory that Python has given to objects.",
        callback=blocks,
    )  # fmt: skip
    registry.make(
        scope, GAUGE, "perfagent.memory.suspect.entries", "{entry}",
        "Entries of containers, and objects of types, that have grown steadily for a while.",
        callback=entries, keys=("perfagent.memory.holder", "perfagent.memory.type"),
    )  # fmt: skip


def _references(value: object) -> object:
    from perfagent.profiler.leaks.references import command

    return command(value)


class Leaks:
    """The search of this process.

    Args:
        interval: seconds between two looks.
        sites: whether allocations may be traced.
        instance: `service.instance.id`.
    """

    def __init__(self, interval: float, sites: bool, instance: str) -> None:
        self.interval, self.sites, self.instance = interval, sites, instance
        self.factor = 1
        self.slice = SLICE if interval >= 1 else 5 * SLICE
        self.census = Census()
        self._window: Window | None = None
        self.look = Look("leaks", interval, self._advance)
        self.reset()

    def reset(self) -> None:
        """As new, and in a forked child: what its parent had seen is not its own."""
        window, self._window = self._window, None
        if window is not None:
            window.close()
        self._walk: walk.Walk | None = None
        self._explained: Suspect | None = None
        self._lengths: dict[int, int] = {}
        self._now: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._unnamed: set[int] = set()
        self.suspects: dict[str, Suspect] = {}
        self.growing: list[Suspect] = []
        self.looks = 0
        self._began = 0.0
        self._cost = 0
        self._last = self._after = 0.0
        self.last_cost = 0.0
        self.look.interval = self.interval
        self.look.due = monotonic() + self.interval

    def lower(self, step: int) -> str:
        """For the governor: looks less often, and opens no windows."""
        self.factor = 4**step
        return f"memory is looked at each {self.interval * self.factor:.0f} s" + (
            ", and allocations are not traced" if step else ""
        )

    def _advance(self) -> None:
        began = thread_time_ns()
        try:
            if self._window is not None:
                self._look_into(self._window)
            elif self._walk is None:
                self._begin()
            elif not self._walk.advance(lambda: thread_time_ns() - began > self.slice):
                self._finish(self._walk)
        finally:
            self._cost += thread_time_ns() - began

    def _begin(self) -> None:
        self._cost, self._began, self._now = 0, monotonic(), {}
        self._walk = walk.Walk(self._met, least=LEAST)
        self.look.interval = min(EVERY, self.interval / 100)

    def _met(self, node: walk.Node, kind: str, length: int) -> None:
        if kind in ("tuple", "frozenset") or len(self._now) >= MOST:
            return
        identity = id(node.found)
        self._now[identity] = length
        before = self._lengths.get(identity)
        if before is None or length <= before or self.looks < WARM_UP:
            return
        name = self._names.get(identity)
        if name is None and identity not in self._unnamed:
            name = self._name(node, kind, before)
        if name is not None:
            suspect = self.suspects[name]
            suspect.entry, suspect.bytes_each = objects.sampled(node.found, kind)

    def _name(self, node: walk.Node, kind: str, before: int) -> str | None:
        """Names a container that has grown for the first time."""
        chain = node.chain()
        identity = id(node.found)
        if walk.is_ours(chain) or len(self.suspects) >= MOST_SUSPECTS:
            self._unnamed.add(identity)
            return None
        steps, place = node.way()
        name = names.text(steps)
        if name in BOUNDED:
            self._unnamed.add(identity)
            return None
        suspect = self.suspects.get(name)
        if suspect is None:
            suspect = self.suspects[name] = Suspect(name, kind, node.walk.root, place)
            suspect.limit = objects.limit_of(node.found, chain[-3:-1])
            suspect.growth.add(self._last, before)
        self._names[identity] = name
        return name

    def _finish(self, done: walk.Walk) -> None:
        """At the end of a walk: takes the readings, and judges."""
        counted = self.census.take(done.visited, done.complete)
        done.close()
        self._walk = None
        now = self._began
        if counted is not None:
            self._count(counted)
        sums: dict[str, int] = {}
        for identity, name in self._names.items():
            if identity in self._now:
                sums[name] = sums.get(name, 0) + self._now[identity]
        self._names = {identity: name for identity, name in self._names.items() if identity in self._now}
        self._unnamed &= self._now.keys()
        for name, whole in sums.items():
            self.suspects[name].growth.add(now, whole)
        self._lengths = self._now
        self._now = {}
        self._last = now
        self.looks += 1
        kept = sums.keys() | (counted[0].keys() if counted is not None else self._uncounted())
        self.suspects = {name: one for name, one in self.suspects.items() if name in kept}
        self._judge()
        self.last_cost = self._cost / 1e9
        pause = max(self.interval * self.factor, self.last_cost / SHARE if self.interval >= 1 else 0.0)
        self.look.interval = max(pause - (monotonic() - now), 0.01)
        self._explain_next()

    def _count(self, counted: tuple[dict[str, int], list[tuple[int, str, int]]]) -> None:
        types, others = counted
        for identity, kind, length in others:
            self._now[identity] = length
            before = self._lengths.get(identity)
            if before is None or length <= before or identity in self._names or self.looks < WARM_UP:
                continue
            found = self.census.find(identity, kind)
            if found is None or len(self.suspects) >= MOST_SUSPECTS:
                continue
            entry, size = objects.sampled(found, kind)
            where = local_name(found)
            name = f"local variable {where}" if where else f"a {kind} of {entry} that no module holds"
            suspect = self.suspects.setdefault(name, Suspect(name, kind))
            suspect.identity, suspect.entry, suspect.bytes_each = identity, entry, size
            suspect.growth.add(self._last, before)
            self._names[identity] = name
        if self.looks < WARM_UP:
            return
        for name, count in types.items():
            suspect = self.suspects.get(name)  # type: ignore[assignment]
            if suspect is None and count >= LEAST and len(self.suspects) < MOST_SUSPECTS:
                suspect = self.suspects[name] = Suspect(name, "")
                suspect.bytes_each = 150.0
            if suspect is not None and not suspect.kind:
                suspect.growth.add(self._began, count)

    def _uncounted(self) -> set[str]:
        """Suspects that the census alone sees: where it was left out this time, they are not gone."""
        return {name for name, one in self.suspects.items() if not one.kind or one.identity}

    def _judge(self) -> None:
        found = sorted((one for one in self.suspects.values() if one.judge()), key=lambda one: -one.bytes_an_hour)
        held = [one for one in found if one.kind]
        most = max((one.pace or 0.0 for one in held), default=0.0)
        # A type is a suspect of its own only where no container explains it.
        self.growing = [*held, *(one for one in found if not one.kind and (one.pace or 0.0) > 10 * most)][:TOLD]
        for one in self.growing:
            if one.explained or one.tries >= TRIES:
                one.tell(self.instance)

    def _explain_next(self) -> None:
        """Opens a window for the first suspect that nothing is known of yet."""
        for suspect in self.growing:
            if suspect.explained or suspect.tries >= TRIES or (suspect.tries and self.looks % AGAIN):
                continue
            suspect.tries += 1
            from perfagent.profiler.leaks import window

            pace, opened = suspect.pace or 0.0, None
            found = self._find(suspect) if self.factor == 1 else None
            container = objects.container_kind(type(found))
            if container is not None:
                opened = window.of_container(found, *container, self.sites, pace)
            elif not suspect.kind and self.factor == 1:
                made = instances(suspect.name, 16)
                suspect.bytes_each = sum(map(objects.sizes, made)) / len(made) if made else suspect.bytes_each
                opened = window.of_type(suspect.name, self.sites, pace)
            if opened is not None:
                self._after = self.look.interval
                self._explained, self._window = suspect, opened
                self.look.interval = 0.0
                return
            if suspect.tries >= TRIES or self.factor > 1:
                suspect.explained = True
                suspect.tell(self.instance)

    def _find(self, suspect: Suspect) -> object:
        """The largest container of a suspect's name."""
        if suspect.identity:
            return self.census.find(suspect.identity, suspect.kind)
        if not suspect.root:
            return None
        found: list[object] = [None]
        longest = -1

        def met(node: walk.Node, kind: str, length: int) -> None:
            nonlocal longest
            if length > longest and self._names.get(id(node.found)) == suspect.name:
                found[0], longest = node.found, length

        again = walk.Walk(met, ([suspect.root], 1), least=LEAST)
        again.advance(lambda: False)
        again.close()
        return found.pop()

    def _look_into(self, window: Window) -> None:
        again = window.step()
        if again is not None:
            self.look.interval = again
            return
        suspect, self._explained, self._window = self._explained, None, None
        self.look.interval = self._after
        if suspect is None:
            return
        site, stack = window.site()
        if site is not None:
            suspect.site, suspect.stack = site, stack
        if window.requests is not None:
            suspect.endpoints = window.requests.shares() or suspect.endpoints
        suspect.explained = suspect.site is not None or suspect.tries >= TRIES
        suspect.tell(self.instance)

    def blocks(self) -> Iterator[tuple[float, dict[str, object]]]:
        """For the metric."""
        yield sys.getallocatedblocks(), {}

    def entries(self) -> Iterator[tuple[float, dict[str, object]]]:
        """For the metric: of those that grow now."""
        for one in self.growing:
            told: dict[str, object] = {
                "perfagent.memory.holder": one.name, "perfagent.memory.type": one.entry or one.name,
            }  # fmt: skip
            yield one.growth.points[-1][1], told

    def report(self) -> object:
        """For `perfagent doctor` and a hub that asks."""
        return {
            "looks": self.looks,
            "seconds_of_a_look": round(self.last_cost, 4),
            "longest_pause_seconds": round(self.census.pause, 4),
            "containers": len(self._lengths),
            "followed": len(self.suspects),
            "growing": [one.name for one in self.growing],
            "explained": [one.name for one in self.growing if one.explained or one.tries >= TRIES],
        }
