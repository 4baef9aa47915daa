"""Where the time of requests goes: on the critical path, by what kind of work, and in which statements."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.analyse import time_parts
from perfagent.hub.analyse.durations import MS
from perfagent.hub.analyse.tree import Node, build, mark_critical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SLOW = 0.95
"""From which quantile of the sampled requests on they are the slow ones."""
PARTS = {"db": "queries", "cache": "cache", "http": "calls", "rpc": "calls", "producer": "calls"}


class Piece(NamedTuple):
    """One span of a sample: where it is in its trace, and what it did."""

    node: Node
    trace_id: bytes
    operation: int
    category: str
    system: str = ""
    told: Mapping[str, int] = {}
    """What its agent measured of it (`time_parts.told`)."""
    place: str = ""
    """Where it waited longest, as its agent saw it."""


@dataclass(slots=True)
class Within:
    """What one operation did within the sampled requests.

    Args:
        calls: how often it ran, in all of them.
        most: how often in one request at most.
        total: ns.
        requests: requests in which it ran.
    """

    calls: int = 0
    most: int = 0
    total: int = 0
    requests: int = 0


@dataclass(slots=True)
class Breakdown:
    """Where the time of sampled requests went; the parts add up to their durations.

    Args:
        requests: how many were sampled.
        duration: ns, of all of them.
        parts: ns by "queries", "cache", "calls" and "own".
        inner: what ran within them, by operation.
        alone: ns on the critical path in spans of an operation themselves, not in spans below; whichever service's.
        ran: how often each of these operations ran.
        timed: of those that an agent has measured, the duration in ns, the parts of it (`time_parts.split`), and the
            place where it waited longest, or "".
    """

    requests: int = 0
    duration: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    inner: dict[int, Within] = field(default_factory=dict)
    alone: Counter[int] = field(default_factory=Counter)
    ran: Counter[int] = field(default_factory=Counter)
    timed: list[tuple[int, dict[str, int], str]] = field(default_factory=list)

    def mean_times(self, slowest: bool = False) -> dict[str, float]:
        """Ns by part in a mean one of the timed requests, or of those that took as long as 95 % of them or longer."""
        chosen = self._slowest() if slowest else self.timed
        found: Counter[str] = Counter()
        for _, parts, _ in chosen:
            found.update(parts)
        return {part: time / len(chosen) for part, time in found.items()}

    def place(self) -> str:
        """Where most of the slowest waited longest; "" where none of them told."""
        places = Counter(place for _, _, place in self._slowest() if place)
        return places.most_common(1)[0][0] if places else ""

    def _slowest(self) -> list[tuple[int, dict[str, int], str]]:
        if not self.timed:
            return []
        limit = sorted(duration for duration, _, _ in self.timed)[int(SLOW * (len(self.timed) - 1))]
        return [one for one in self.timed if one[0] >= limit]

    def mean_ms(self, part: str) -> float | None:
        """The mean time a request spends in a part; None without requests."""
        return self.parts[part] / self.requests / MS if self.requests else None

    def share(self, part: str) -> float:
        """The share of the requests' time (0..1) that a part takes."""
        return self.parts[part] / self.duration if self.duration else 0.0


def break_down(pieces: Iterable[Piece], operations: Iterable[int]) -> dict[int, Breakdown]:
    """Where the requests of some operations spend their time, from the spans of some of their traces.

    Time counts for the innermost span on the critical path, so that what runs side by side counts once. What happens
    below an outgoing call, in another service, belongs to the call.
    """
    traces: dict[bytes, list[Piece]] = {}
    for piece in pieces:
        traces.setdefault(piece.trace_id, []).append(piece)
    found = {operation: Breakdown() for operation in operations}
    for trace in traces.values():
        known = {id(piece.node): piece for piece in trace}
        tree = build(piece.node for piece in trace)
        for node in tree.nodes:
            whole = found.get(known[id(node)].operation)
            if whole is not None:
                _add(whole, node, known)
    return found


def _add(whole: Breakdown, request: Node, known: dict[int, Piece]) -> None:
    below = list(_below(request, known))
    for one in below:
        one.node.critical = 0
    mark_critical(request)
    whole.requests += 1
    whole.duration += request.duration
    times: Counter[int] = Counter()
    told = known[id(request)].told
    if told:
        calls = time_parts.union((one.node.started, one.node.ended) for one in below if one.waits)
        busy = time_parts.length(calls, request.started, request.ended)
        split = time_parts.split(request.duration, told, busy)
        whole.timed.append((request.duration, split, known[id(request)].place or ""))
    for node, part, counted, _ in below:
        operation = known[id(node)].operation
        whole.parts[part] += node.critical
        whole.alone[operation] += node.critical
        whole.ran[operation] += 1
        if counted:
            times[operation] += 1
            inner = whole.inner.setdefault(operation, Within())
            inner.calls += 1
            inner.total += node.duration
    for operation, count in times.items():
        inner = whole.inner[operation]
        inner.most = max(inner.most, count)
        inner.requests += 1


class _Below(NamedTuple):
    node: Node
    part: str  # that its time counts for
    counted: bool  # whether it is a statement or call of the request's own, not of one that it called
    waits: bool  # whether that is a wait for something outside of the process


def _below(request: Node, known: dict[int, Piece]) -> Iterator[_Below]:
    """The spans of a request, itself included."""
    waiting = [(_Below(request, "own", False, False), False)]
    while waiting:
        one, inside = waiting.pop()
        yield one
        for child in one.node.children:
            piece = known[id(child)]
            own_part = PARTS.get(piece.category)
            part = "calls" if one.part == "calls" else own_part or "own"
            counted = own_part is not None and not inside
            below = _Below(child, part, counted, counted and time_parts.waits(piece.category, piece.system))
            waiting.append((below, inside or own_part is not None))
