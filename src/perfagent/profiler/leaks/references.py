"""What holds the objects of a type, when somebody asks: the way from a module to some of them, without a value on it.

The walk of `walk` is made once more, for all objects and further: 2 ms at a time, with as much again for the program.
An object that it does not reach is held by a running function, by C, or by other objects that nothing holds: then those
that refer to it are asked for, where that is quick.
"""

from __future__ import annotations

import gc
from types import FrameType, ModuleType

from perfagent.profiler.leaks import names, objects, places, walk
from perfagent.profiler.leaks.census import Census
from perfagent.runtime.clock import monotonic, sleep, thread_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SLICE = 0.002  # seconds of CPU time
LONGEST = 10.0  # seconds
MOST = 200_000  # objects: 14 MB meanwhile
WAYS = 3
SEEN = 200  # objects of the type, after which no other way is looked for
HOPS = 6  # from an object to what holds it, and on


def command(value: object) -> object:
    """The ways to objects of a type, for a hub that asks.

    Args:
        value: the type, `module.Class` or its name alone.

    Raises:
        ValueError: it is none, or no object of it is found.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise ValueError(f"{value!r} is no name of a class, such as app.Order")
    search = Search(value)
    search.run()
    return search.answer()


class Search:
    """Looks for objects of a type.

    Args:
        wanted: `module.Class` or its name alone.
    """

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.types: dict[int, tuple[type, bool]] = {}
        self.ways: dict[str, dict[str, object]] = {}
        self.seen = 0
        self.looked_at = 0
        self.seconds = 0.0
        self.complete = False
        self._since = 0.0

    def run(self) -> None:
        """Walks until enough is found."""
        began = monotonic()
        walking = walk.Walk(self._met, everything=True, most=MOST, most_of_root=MOST)
        try:
            more = True
            while more and not self._has_enough() and monotonic() - began < LONGEST:
                self._since = thread_time()
                more = walking.advance(self._is_due)
                sleep(SLICE)
            self.looked_at = len(walking.visited) - walking.base
            self.complete = not more and walking.complete
        finally:
            walking.close()
            self.types.clear()
            self.seconds = monotonic() - began

    def _is_due(self) -> bool:
        return thread_time() - self._since > SLICE or self._has_enough()

    def _has_enough(self) -> bool:
        return len(self.ways) >= WAYS or self.seen >= SEEN

    def _met(self, node: walk.Node, kind: str, length: int) -> None:
        if self._has_enough() or not self._is_wanted(type(node.found)):
            return
        self.seen += 1
        chain = node.chain()
        if walk.is_ours(chain):
            return
        steps, place = names.way(node.walk.root, chain)
        name = names.text(steps)
        if name not in self.ways:
            self.ways[name] = _shown(steps, places.assigned(place) if place is not None else None)

    def _is_wanted(self, kind: type) -> bool:
        known = self.types.get(id(kind))  # a metaclass may have made its classes unhashable
        if known is None:
            name = objects.type_name(kind)
            is_wanted = name == self.wanted or name.rpartition(".")[2] == self.wanted
            known = self.types[id(kind)] = kind, is_wanted  # which keeps its identity its own
        return known[1]

    def answer(self) -> dict[str, object]:
        """What was found.

        Raises:
            ValueError: nothing.
        """
        count, held_by = self._others()
        if not self.ways and not held_by:
            looked = f"{self.looked_at:,} objects were looked at in {self.seconds:.1f} s"
            raise ValueError(f"no object of {self.wanted} is held by any module: {looked}")
        return {
            "type": self.wanted,
            "objects": count,
            "paths": list(self.ways.values()),
            "held_by": held_by,
            "looked_at": self.looked_at,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
        }

    def _others(self) -> tuple[int | None, list[dict[str, object]]]:
        """How many objects of the type there are, and what holds one that no module leads to; where that is quick."""
        found = Census().objects()
        if found is None:
            return None, []
        found = [one for one in found if self._is_wanted(type(one))]
        count = len(found)
        self.types.clear()
        if self.ways or not found:
            return count, []
        one = found[-1]
        del found
        return count, _holders(one)


def _holders(found: Any) -> list[dict[str, object]]:
    """What refers to an object, and to that, and so on: types and names of attributes alone."""
    steps: list[dict[str, object]] = [_step(names.Step("", objects.type_name(type(found)), -1))]
    known = {id(found)}
    for _ in range(HOPS):
        above = [
            one
            for one in gc.get_referrers(found)
            if type(one) is not FrameType and id(one) not in known and one is not steps and not walk.is_ours([one])
        ]
        if not above:
            break
        first = next((one for one in above if type(one) is not list), above[0])
        del above
        known.add(id(first))
        container = objects.container_kind(type(first))
        size = container[1](first) if container is not None else -1
        steps.append(_step(names.Step("", objects.type_name(type(first)), size)))
        found = first
        if issubclass(type(first), ModuleType):
            break
    return steps[::-1]


def _shown(steps: list[names.Step], place: tuple[str, int] | None) -> dict[str, object]:
    shown: dict[str, object] = {"path": names.text(steps), "steps": [_step(step) for step in steps]}
    if place is not None:
        shown["place"] = f"{place[0]}:{place[1]}"
    return shown


def _step(step: names.Step) -> dict[str, object]:
    shown: dict[str, object] = {"name": step.name, "type": step.type}
    if step.size >= 0:
        shown["size"] = step.size
    return shown
