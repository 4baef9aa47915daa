"""Reads profiles from the store: which samples a question is about, their sums, and what makes two sides comparable."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor
from time import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.api.calls import bounds
from perfagent.hub.api.ranges import HOUR, Range
from perfagent.hub.flame.stacks import Call, Profile, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

RAW_SECONDS = 2 * HOUR
"""Up to which samples are read as they came; the minutes of longer ranges are a tenth of that."""
BY_HOUR = 12 * HOUR
"""From which on whole hours are read in place of their minutes, where one side alone is asked for: half the time."""
MOST_NODES = 5_000
MOST_STACKS = 50_000
NOTHING: dict[str, Any] = {
    "raw_begin": 0, "raw_end": 0, "head_begin": 0, "head_end": 0,
    "minute_begin": 0, "minute_end": 0, "hour_begin": 0, "hour_end": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which samples.

    Args:
        kind: wall, cpu, lock, gil, alloc …
        endpoint, thread, task, state: only with that label; None for all.
        trace_id, span_id: only of that trace, that span.
    """

    kind: str = "wall"
    endpoint: str | None = None
    thread: str | None = None
    task: str | None = None
    state: str | None = None
    trace_id: bytes | None = None
    span_id: bytes | None = None

    def parameters(self) -> dict[str, Any]:
        """For the queries."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Side:
    """A range of time of some processes.

    Args:
        label: for people.
        within: the range.
        resources: the processes.
        service: theirs, where it is one; to count requests.
        whole: whether these are all processes of the service.
    """

    label: str
    within: Range
    resources: list[int]
    service: str | None = None
    whole: bool = True
    seconds: float = 0.0
    total: float = 0.0
    samples: int = 0
    processes: int = 0
    requests: float = 0.0
    versions: list[str] = field(default_factory=list)


class Question:
    """Samples of one side, or of two that are compared.

    Args:
        store: where they are.
        wanted: which.
        now: the side that is asked for.
        before: the one that it is compared with.
        retention: s for which samples are kept as they came.
    """

    def __init__(self, store: Store, wanted: Wanted, now: Side, before: Side | None, retention: float) -> None:
        self._store, self.wanted, self.now, self.before = store, wanted, now, before
        sides = [now, before] if before else [now]
        begin = min(side.within.begin for side in sides)
        end = max(side.within.end for side in sides)
        longest = max(side.within.seconds for side in sides)
        traced = wanted.trace_id is not None
        self.raw = traced or (longest <= RAW_SECONDS and begin > time() - retention)
        by_hour = before is None and longest >= BY_HOUR
        told = spans(store, begin, end, self.raw, by_hour)
        self.parameters = {**wanted.parameters(), **told}
        step = 1 if self.raw else HOUR if told["hour_begin"] < told["hour_end"] and not told["head_end"] else 60
        self._aligned = [self._bounds(side, step) for side in sides]
        for side, (first, last) in zip(sides, self._aligned, strict=True):
            self._cover(side, first, last)
        other = self._aligned[1] if before else (0, 0)
        self.parameters |= {
            "begin_ns": self._aligned[0][0],
            "end_ns": self._aligned[0][1],
            "resources": now.resources,
            "other_begin_ns": other[0],
            "other_end_ns": other[1],
            "other_resources": before.resources if before else [],
        }
        self.per = self._per()
        self.factor = self._factor()
        """By what values of `before` are multiplied, to be those of as many requests, or seconds, as `now` has."""
        self.parameters |= {"scale": 1.0, "other_scale": self.factor}

    @staticmethod
    def _bounds(side: Side, step: int) -> tuple[int, int]:
        begin = side.within.begin_ns if step == 1 else floor(side.within.begin / step) * step * 10**9
        return begin, side.within.end_ns

    def _cover(self, side: Side, first: int, last: int) -> None:
        told = {**self.parameters, "begin_ns": first, "end_ns": last, "resources": side.resources}
        for row in self._store.rows("profiles/covered", **told):
            windows = row["windows"]
            # From the begin of the first window to that of the last one is a window short.
            side.seconds += row["seconds"] * windows / (windows - 1) if windows > 1 else 10.0 if self.raw else 60.0
            side.total += row["value"]
            side.samples += row["samples"]
            side.processes += 1
        side.requests = self._requests(side)

    def _requests(self, side: Side) -> float:
        told: dict[str, Any] = {"endpoint": self.wanted.endpoint, "service": side.service}
        if self.raw:
            told |= {"begin_ns": side.within.begin_ns, "end_ns": side.within.end_ns, "resources": side.resources}
            return float(self._store.rows("profiles/requests_raw", **told)[0]["requests"])
        if not side.whole:
            return 0.0  # minutes do not tell the processes apart
        told |= {"since": floor(side.within.begin / 60) * 60, "until": side.within.end}
        return float(self._store.rows("profiles/requests", **told)[0]["requests"])

    def _per(self) -> str:
        sides = [self.now, self.before] if self.before else [self.now]
        return "request" if all(side.requests >= 1 for side in sides) else "second"

    def _factor(self) -> float:
        if self.before is None:
            return 1.0
        if self.per == "request":
            return self.now.requests / self.before.requests
        return self.now.seconds / self.before.seconds if self.before.seconds else 1.0

    def rows(self, query: str, **more: Any) -> list[Row]:
        """Rows of a query below `profiles/`."""
        return self._store.rows(f"profiles/{query}", **self.parameters, **more)


def spans(store: Store, begin: float, end: float, raw: bool, by_hour: bool = False) -> dict[str, int]:
    """From when to when each of the three tables is read.

    Args:
        begin, end: epoch seconds.
        raw: whether samples are read as they came.
        by_hour: whether whole hours are read as such where their minutes are kept; the minutes before the first one are
            read for themselves.
    """
    found = dict(NOTHING)
    if raw:
        return {**found, "raw_begin": round(begin * 1e9), "raw_end": round(end * 1e9)}
    limits = bounds(store, begin, end)
    since, until = limits["since"], limits["until"]
    first, closed = limits["hours_since"], limits["hours_until"]
    if by_hour and closed == since:
        first = ceil(since / HOUR) * HOUR
        closed = max(first, min(until // HOUR * HOUR, int(store.rows("calls/hours")[0]["until"])))
        found |= {"head_begin": since, "head_end": first}
    minutes = {"minute_begin": max(since, closed), "minute_end": until}
    return {**found, **minutes, "hour_begin": first, "hour_end": closed}


def calls_of(store: Store, stacks: Iterable[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[Call, ...]]:
    """Stacks of frames and lines, as calls."""
    listed = list(stacks)
    ids = list({frame for frames, _ in listed for frame in frames})
    known = {row["id"]: row for row in store.rows("profiles/frames", ids=ids)} if ids else {}
    made: dict[tuple[int, int], Call] = {}

    def call(frame: int, line: int) -> Call:
        found = made.get((frame, line))
        if found is None:
            row = known.get(frame)
            found = Call(row["function"], row["file"], row["line"], line) if row else Call("(forgotten)", "", 0, line)
            made[frame, line] = found
        return found

    return [tuple(map(call, frames, lines)) for frames, lines in listed]


def profile(store: Store, question: Question, name: str) -> Profile:
    """Whole stacks of the side that is asked for, for files."""
    rows = question.rows("stacks", most=MOST_STACKS)
    calls = calls_of(store, ((row["frames"], row["lines"]) for row in rows))
    within = question.now.within
    found = Profile(
        question.wanted.kind,
        rows[0]["unit"] if rows else "nanoseconds",
        time=within.begin_ns,
        duration=within.end_ns - within.begin_ns,
        name=name,
    )
    for row, stack in zip(rows, calls, strict=True):
        labels = tuple((key, row[key]) for key in ("endpoint", "thread", "task", "state") if row[key])
        found.samples.append(Sample(stack, row["value"], row["samples"], labels))
    return found
