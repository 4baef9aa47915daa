"""How many objects of each type there are, and large containers that no module holds: where few enough objects live.

`gc.get_objects` stops the program for 15 ns an object. Where that would be too long, it is not called, nor where nobody
knows how many there are (PYTHONMALLOC=malloc): what grows is then found by its container alone.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter

from perfagent.profiler.leaks import objects
from perfagent.runtime import callers, frames
from perfagent.runtime.clock import thread_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

LONGEST = 0.002  # seconds that the program may be stopped
FIRST_RATE = 5e-9  # seconds a block of memory, three an object, before that was measured here
MANY = 20_000  # objects from which on that is measured
MOST_YOUNG = 50_000  # objects that are looked at for those that were made lately
SLICE = 2000
LARGE = 1000  # entries of a container that is looked for though no module holds it
GROWABLE = ("dict", "list", "set", "deque", "bytearray")


class Census:
    """Counts objects, if that is quick enough in this process."""

    def __init__(self) -> None:
        self.rate = FIRST_RATE
        self._measured = 1.0
        self.pause = 0.0
        """The longest that it stopped the program, seconds of CPU time."""

    def objects(self) -> list[Any] | None:
        """The objects that have lived for a while; None where there are too many to ask, or the collector cannot be."""
        try:
            return self._objects()
        except Exception as error:  # a program has put a function of its own there
            del error
            return None

    def _objects(self) -> list[Any] | None:
        blocks = sys.getallocatedblocks()
        if not blocks or blocks * self.rate > LONGEST:
            self.rate = max(self.rate * 0.95, FIRST_RATE)  # it may have been a busy moment
            return None
        began = thread_time()
        # The youngest are left out: they may end any time, and must do so in their own thread.
        generations: tuple[int | None, ...] = (1, 2) if gc.isenabled() else (None,)
        found = gc.get_objects(generation=generations[-1])
        for generation in generations[:-1]:
            found += gc.get_objects(generation=generation)
        took = thread_time() - began
        self.pause = max(self.pause, took)
        if len(found) > MANY:
            # The better of the last two: one that another program, or a page fault, made slow says nothing.
            before, self._measured = self._measured, took / blocks
            self.rate = min(max(min(before, self._measured), self.rate / 2), 10 * FIRST_RATE)
        return found

    def take(self, visited: set[int], complete: bool) -> tuple[dict[str, int], list[tuple[int, str, int]]] | None:
        """Counts by type, the classes of programs and libraries alone; and containers that were not `visited`: each
        by identity, kind and length; these only where the walk was `complete`.
        """
        found = self.objects()
        if found is None:
            return None
        counts: Counter[int] = Counter()  # by identity, for a metaclass may have made its classes unhashable
        kinds: dict[int, type] = {}
        others: list[tuple[int, str, int]] = []
        for start in range(0, len(found), SLICE):
            types = list(map(type, found[start : start + SLICE]))
            identities = list(map(id, types))
            counts.update(identities)
            kinds.update(zip(identities, types, strict=True))
            del types
            for one in found[start : start + SLICE] if complete else ():
                if id(type(one)) in objects.PLAIN and len(one) >= LARGE and id(one) not in visited:
                    name = type(one).__name__
                    if name in GROWABLE and one is not found:
                        others.append((id(one), name, len(one)))
        del found
        most = ((kinds[identity], count) for identity, count in counts.most_common(300))
        named = {objects.type_name(kind): count for kind, count in most if objects.is_made(kind)}
        return named, others[:50]

    def find(self, identity: int, kind: str) -> Any:
        """The container of an identity, if it still lives."""
        for one in self.objects() or ():
            if id(one) == identity and type(one).__name__ == kind:
                return one
        return None


def instances(name: str, most: int) -> list[Any]:
    """Objects of a type that were made lately, the newest first: the collector adds them at the end."""
    found = []
    for generation in _young():
        for one in reversed(gc.get_objects(generation=generation)):
            if objects.type_name(type(one)) == name:
                found.append(one)
                if len(found) >= most:
                    return found
    return found


def _young() -> list[int]:
    """The generations of the collector's that have few objects: without a collector the first one has them all.

    From Python 3.14 on the second one has half of the old ones.
    """
    thresholds, counts = gc.get_threshold(), gc.get_count()
    sizes = [counts[0]] if sys.version_info >= (3, 14) else [counts[0], counts[1] * max(thresholds[0], 1)]
    return [generation for generation, size in enumerate(sizes) if size <= MOST_YOUNG]


def local_name(found: object) -> str:
    """The local variable that a running function of the program has an object in; "" where that cannot be told.

    Before Python 3.13 to ask for a function's variables keeps what they hold alive until it ends: there it is not done.
    """
    if sys.version_info < (3, 13):
        return ""
    for frame in list(frames.of_threads().values()):
        above: FrameType | None = frame
        while above is not None:
            code = above.f_code
            if callers.whose(code.co_filename) and code.co_name != "<module>":
                for name, value in above.f_locals.items():
                    if value is found:
                        return f"{name} in {code.co_qualname}()"
            above = above.f_back
    return ""
