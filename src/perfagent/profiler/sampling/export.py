"""What a window has seen, as OTLP profiles: wall and CPU time, waiting for locks and for the interpreter."""

from __future__ import annotations

from perfagent.profiler.sampling.places import PLAIN
from perfagent.profiler.sampling.stacks import CUT, OTHERS
from perfagent.runtime.otlp import profiles
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.profiler.sampling.places import Place
    from perfagent.profiler.sampling.stacks import Stack
    from perfagent.profiler.sampling.window import Seen, Window

scope = Scope("perfagent.profiler")
NANOSECONDS = "nanoseconds"


def encode(resource: bytes, window: Window, now: int, period: float) -> tuple[bytes, int]:
    """The request of a window, and how many samples are in it.

    Args:
        resource: the encoded Resource.
        window: that is closed.
        now: when that was, by the monotonic clock, ns.
        period: seconds between two looks, about.
    """
    window.settle()
    tables = Encoder()
    duration, every = max(now - window.began, 1), int(period * 1e9)
    wall = [*window.wall.values(), *window.late.values()]
    kinds: tuple[tuple[str, Iterable[Seen], bool], ...] = (
        ("wall", wall, True),
        ("cpu", window.cpu.values(), False),
        ("lock", [seen for seen in wall if seen.state == "lock"], False),
        ("gil", window.gil.values(), False),
    )
    encoded, count = [], 0
    for kind, all_seen, with_times in kinds:
        samples = tables.samples(all_seen, with_times)
        count += len(samples)
        if samples:
            encoded.append(
                profiles.profile(tables.dictionary, (kind, NANOSECONDS), samples, window.unix, duration, every)
            )
    if not encoded:
        return b"", 0
    return profiles.encode(resource, scope, encoded, tables.dictionary), count


class Encoder:
    """Puts what samples refer to into the tables of one request."""

    def __init__(self) -> None:
        self.dictionary = profiles.Dictionary()
        self._locations: dict[Place, int] = {}
        self._stacks: dict[Stack, int] = {}

    def samples(self, all_seen: Iterable[Seen], with_times: bool) -> list[bytes]:
        """Encoded samples: what was seen at several instructions of one line is one."""
        grouped: dict[tuple[int, tuple[int, ...], int, bool], list[Seen]] = {}
        for seen in all_seen:
            link = 0 if seen.link is None else self.dictionary.link(*seen.link)
            timed = with_times and bool(seen.times)
            grouped.setdefault((self._stack(seen.stack), self._attributes(seen), link, timed), []).append(seen)
        samples = []
        for (stack, attributes, link, timed), group in grouped.items():
            values = [value for seen in group for value in seen.values]
            times = [time for seen in group for time in seen.times] if timed else []
            samples.append(profiles.sample(stack, attributes, link, values if timed else (sum(values),), times))
        return samples

    def _attributes(self, seen: Seen) -> tuple[int, ...]:
        attribute = self.dictionary.attribute
        found = []
        name, number = seen.thread
        if number:
            found += [attribute("thread.name", name), attribute("thread.id", number)]
        if seen.state:
            found.append(attribute("perfagent.state", seen.state))
        if seen.endpoint is not None and seen.endpoint.name:
            found.append(attribute("perfagent.endpoint", seen.endpoint.name))
        if seen.stack.task and seen.stack.places:
            found.append(attribute("perfagent.task", seen.stack.task))
        return tuple(found)

    def _stack(self, stack: Stack) -> int:
        found = self._stacks.get(stack)
        if found is None:
            locations = [self._location(place) for place in _shown(stack.places)]
            if stack.cut:
                locations.append(self.dictionary.location(CUT, "", 0, 0))
            if not locations:
                name = OTHERS if stack.places else stack.task
                locations.append(self.dictionary.location(name, "", 0, 0))
            found = self._stacks[stack] = self.dictionary.stack(tuple(locations))
        return found

    def _location(self, place: Place) -> int:
        found = self._locations.get(place)
        if found is None:
            code = place.code
            found = self._locations[place] = self.dictionary.location(
                place.name(), code.co_filename, code.co_firstlineno, place.line()
            )
        return found


def _shown(places: tuple[Place, ...]) -> Iterable[Place]:
    """Without our own calls around the program's: only what we do in Python ourselves, at the leaf, is ours."""
    return [place for at, place in enumerate(places) if not place.is_ours or (not at and place.kind == PLAIN)]
