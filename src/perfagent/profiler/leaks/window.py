"""A short look at who makes a container grow: the line that made what was put in, and the requests that did it.

Where an object was made is known by tracemalloc alone, and that costs: with it a request of the FastAPI benchmark took
8 times the CPU time for one frame, 43 times for ten (Python 3.11, which looks up a line number for each frame). So it
runs only once growth is certain, for 10 to 20 ms four times a second, until a few new entries have told: a request is
late by no more than that. The traces of these entries are asked for one by one: a snapshot of all that is traced would
stop the program. Python offers no cheaper way: its allocators cannot be hooked but from C.
"""

from __future__ import annotations

import _tracemalloc
from collections import Counter

from perfagent.profiler.leaks import objects, places
from perfagent.profiler.leaks.census import instances
from perfagent.profiler.leaks.requests import Requests
from perfagent.runtime import callers
from perfagent.runtime.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

FRAMES = 10  # kept of each allocation: a framework's own are often between the program's line and the object's
LONGEST = 30.0  # seconds
QUIET = 3.0  # seconds without a request: then none makes it grow
POLL = 0.25  # seconds between the beginnings of two bursts
BURSTS = (0.01, 0.02)  # seconds that one lasts: the slower it grows, the longer
ENOUGH = 3  # entries that were traced
SAMPLE = 32  # of the newest entries
MAKERS = ("__init__", "__new__", "__post_init__")
DEEP = 3  # steps from an entry to what it refers to


class Window:
    """The look at one container, or at the objects of one type. A container is held meanwhile, LONGEST at most.

    Args:
        newest: gives objects that were made, or put in, last.
        requests: the look at requests, where there is a container that they may fill.
        trace: whether allocations may be traced.
        pace: entries a second that it grows by.
    """

    def __init__(self, newest: Callable[[], list[Any]], requests: Requests | None, trace: bool, pace: float) -> None:
        self.newest = newest
        self.began = monotonic()
        self.trace, self.tracing = trace, False
        wanted = ENOUGH / max(pace, 0.001) / (LONGEST / POLL)
        self.burst = min(max(wanted, BURSTS[0]), BURSTS[1])
        self.sites: Counter[tuple[tuple[str, int], ...]] = Counter()
        self.seen: set[int] = set()
        self.requests = requests
        if requests is not None:
            requests.begin()

    def step(self) -> float | None:
        """Begins or ends a burst; returns the seconds until the next step, None where there is nothing more to learn.

        A program that traces by itself is left alone.
        """
        if self.tracing:
            if _tracemalloc.is_tracing():
                self._look()
            self._stop_tracing()
            return POLL - self.burst
        late = monotonic() - self.began > LONGEST
        asked = self.requests
        answered = asked is None or asked.knows() or (not asked.seen and monotonic() - self.began > QUIET)
        traces = self.trace and len(self.seen) < ENOUGH and not _tracemalloc.is_tracing()
        if late or (answered and not traces):
            self.close()
            return None
        if not traces:
            return POLL
        self.tracing = True
        _tracemalloc.start(FRAMES)
        return self.burst

    def close(self) -> None:
        """Ends it: everything is as before."""
        self._stop_tracing()
        if self.requests is not None:
            self.requests.end()
        self.newest = list

    def _stop_tracing(self) -> None:
        if self.tracing:
            self.tracing = False
            _tracemalloc.stop()

    def _look(self) -> None:
        for one in self.newest():
            if id(one) not in self.seen:
                stacks = [_frames(frames) for frames in _traces(one, DEEP)]
                if stacks:
                    self.seen.add(id(one))
                    self.sites[next(filter(_own_lines, stacks), stacks[0])] += 1

    def site(self) -> tuple[tuple[str, int] | None, list[tuple[str, int]]]:
        """The program's own line that made most of the new entries, and the calls that led there, innermost first."""
        own: Counter[tuple[str, int]] = Counter()
        stacks: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
        for stack, count in self.sites.items():
            lines = _own_lines(stack)
            # What was found may be part of the entry: then it was made by the entry's __init__, which says little.
            line = next((one for one in lines if places.function_at(*one) not in MAKERS), lines[0] if lines else None)
            if line is not None:
                own[line] += count
                stacks.setdefault(line, stack)
        if not own:
            return None, []
        line = own.most_common(1)[0][0]
        return line, [one for one in stacks[line] if "perfagent" not in one[0]]


def of_container(container: Any, kind: str, length: Callable[[Any], int], trace: bool, pace: float) -> Window:
    """The look at a container; its kind and what tells its length as `objects.container_kind` has them."""

    def newest() -> list[Any]:
        keys = objects.newest_keys(container, SAMPLE) if kind == "dict" else []
        return objects.newest(container, kind, SAMPLE) + keys

    return Window(newest, Requests(container, length), trace, pace)


def of_type(name: str, trace: bool, pace: float) -> Window:
    """The look at the objects of a type."""
    return Window(lambda: instances(name, SAMPLE), None, trace, pace)


def _traces(found: object, deep: int) -> Iterator[Any]:
    """Where an object was made, then what it refers to.

    Python makes lists, dicts and tuples out of old ones, which are not traced; and where 3.11 puts an object with a
    `__dict__`, tracemalloc does not look for it. Of what it refers to, much may have been made by a library before.
    """
    frames = _tracemalloc._get_object_traceback(found)
    if frames is not None:
        yield frames
    if deep and id(type(found)) not in objects.ATOMIC:
        for one in objects.inside(found):
            yield from _traces(one, deep - 1)


def _own_lines(stack: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """The program's own lines, the innermost first."""
    return [one for one in stack if "perfagent" not in one[0] and callers.whose(one[0]) == callers.OWN]


def _frames(found: Any) -> tuple[tuple[str, int], ...]:
    """As the C module gives them, the innermost first."""
    return tuple((str(file), int(line)) for file, line in found)
