"""What was seen between two exports: how long each stack was there, for whom, and what it was doing."""

from __future__ import annotations

from weakref import ref

from perfagent.runtime.clock import time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weakref import ReferenceType

    from perfagent.profiler.sampling.stacks import Stack
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

    Link = tuple[bytes, bytes]

MOST = 10_000  # entries of one kind
MOST_MOMENTS = 50_000  # of all entries


class Endpoint:
    """What the samples of one request are told to be of: the name of its span, as soon as that is known.

    Args:
        entry: the span that it begins with; not kept.
    """

    __slots__ = ("_entry", "name")

    def __init__(self, entry: Span) -> None:
        self._entry: ReferenceType[Span] = ref(entry)
        self.name = ""
        self.settle()

    def settle(self) -> bool:
        """Looks whether its route is known by now; says whether there is nothing more to be learnt."""
        entry = self._entry()
        if entry is None:
            return True
        route: str | None = getattr(entry, "route", None)
        if route is None:
            self.name = entry.name or entry.summary()
            return bool(self.name)
        method = getattr(entry, "method", "")
        if entry.name != method:  # the program has named it
            self.name = entry.name
            return True
        self.name = f"{method} {route}" if route else method
        return bool(route)


class Seen:
    """Who a stack was seen for.

    Args:
        stack: what was seen.
        thread: its name and number; "" and 0 for a task that waits.
        state: what it was doing.
        link: the span's identifiers, where its trace is kept.
        endpoint: the request's, if any.
    """

    __slots__ = ("endpoint", "link", "stack", "state", "thread", "times", "values")

    def __init__(
        self, stack: Stack, thread: tuple[str, int], state: str, link: Link | None, endpoint: Endpoint | None
    ) -> None:
        self.stack = stack
        self.thread = thread
        self.state = state
        self.link = link
        self.endpoint = endpoint
        self.values: list[int] = []
        self.times: list[int] = []


class Window:
    """The time between two exports."""

    def __init__(self, now: int) -> None:
        self.began = now
        """By the monotonic clock."""
        self.unix = time_ns()
        self.wall: dict[object, Seen] = {}
        self.cpu: dict[object, Seen] = {}
        self.gil: dict[object, Seen] = {}
        self.late: dict[object, Seen] = {}
        """Wall time of which it is not known when it was."""
        self.lost = 0
        """Samples that found no room."""
        self.looks = 0
        self._moments = 0
        self._endpoints: dict[bytes, Endpoint] = {}
        self._unsettled: list[Endpoint] = []

    def endpoint(self, span: Span | RemoteContext) -> Endpoint | None:
        """That of the request that a span belongs to; None where it belongs to none."""
        entry = span.entry
        if entry is None:
            return None
        found = self._endpoints.get(entry.span_id)
        if found is None:
            found = self._endpoints[entry.span_id] = Endpoint(entry)
            self._unsettled.append(found)
        return found

    def settle(self) -> None:
        """Asks the requests whose routes were not known."""
        if self._unsettled:
            self._unsettled = [one for one in self._unsettled if not one.settle()]

    def observe(
        self,
        stack: Stack,
        thread: tuple[str, int],
        state: str,
        link: Link | None,
        endpoint: Endpoint | None,
        began: int,
        value: int,
    ) -> Seen | None:
        """Adds `value` ns of wall time from `began` on (Unix ns); None where there is no room."""
        key = (stack, thread, state, link, endpoint)
        seen = self.wall.get(key)
        if seen is None:
            if len(self.wall) >= MOST:
                self.lost += 1
                return None
            seen = self.wall[key] = Seen(stack, thread, state, link, endpoint)
        if self._moments < MOST_MOMENTS or not seen.values:
            self._moments += 1
            seen.values.append(value)
            seen.times.append(began)
        else:
            seen.values[-1] += value
        return seen

    def add(self, kind: dict[object, Seen], seen: Seen, value: int, state: str = "") -> None:
        """Adds ns of CPU time, of waiting for the interpreter, or of a state, to where a stack was seen."""
        key = (seen.stack, seen.thread, state, seen.link, seen.endpoint)
        own = kind.get(key)
        if own is None:
            if len(kind) >= MOST:
                self.lost += 1
                return
            own = kind[key] = Seen(seen.stack, seen.thread, state, seen.link, seen.endpoint)
            own.values.append(0)
        own.values[0] += value
