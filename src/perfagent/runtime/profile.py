"""The profiling of requests: CPU time and memory of each, while somebody wants them and otherwise not there at all.

Turning it on puts other methods into ServerSpan and asks the instruments to do alike (`http.when_profiled`); turning it
off puts the plain ones back. While it is on, a request pays 40 us for it, 30 of them for the memory.

What the CPU time is: in WSGI that of the request's thread from its begin to its end. In ASGI that of the request's own
steps on the event loop, so that of other requests in between is not in it, plus that of the functions that Starlette
and FastAPI run in worker threads for it; tasks and threads that the program itself starts are not counted. Where
greenlets share a thread, nobody can tell whose time it was: then no CPU time is told.
"""

from __future__ import annotations

import os
from _thread import get_native_id

from perfagent.runtime import guard, http, machine
from perfagent.runtime.clock import thread_time_ns
from perfagent.runtime.encoded import MOST
from perfagent.runtime.metric import HISTOGRAM, SECONDS, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any

    from perfagent.runtime.http import ServerSpan
    from perfagent.runtime.metric import Instrument, Series

CPU = "perfagent.request.cpu_time"
"""Span attribute: CPU time in seconds."""
GROWTH = "perfagent.request.memory_growth"
"""Span attribute: by how many bytes the process' memory grew, of requests that had the process to themselves."""
MEGABYTES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)
OVERLAPPED = "perfagent.request.overlapped"
"""Attribute of the memory's metric: whether another request ran in the process meanwhile; then it grew for both."""
KEYS = ("http.request.method", "http.route", "http.response.status_code")

_scope = Scope("perfagent.profile")
_plain = (http.ServerSpan.__init__, http.ServerSpan.finish, http.ServerSpan.measure)


def switch(on: bool, namespace: str) -> None:
    """Turns the profiling of requests on or off; those under way are not profiled, or no longer.

    Args:
        on: which of the two.
        namespace: first word of the metrics' names.
    """
    global _plain
    if on == (http.profile is not None):
        return
    kind: Any = http.ServerSpan
    if on:
        _plain = (kind.__init__, kind.finish, kind.measure)
        http.profile = Profile(namespace)
        kind.__init__, kind.finish, kind.measure = http.profile.methods()
    else:
        http.profile = None
        kind.__init__, kind.finish, kind.measure = _plain
    for tell in http.profiled:
        try:
            tell(http.profile)
        except Exception:
            guard.failed("profiling")


def metrics(namespace: str) -> tuple[Instrument, Instrument]:
    """`<ns>_request_duration_seconds` and `<ns>_request_memory_mb`."""
    return (
        registry.make(
            _scope,
            HISTOGRAM,
            f"{namespace}_request_duration_seconds",
            "s",
            "Duration of HTTP server requests while they are profiled.",
            SECONDS,
            keys=KEYS,
        ),
        registry.make(
            _scope,
            HISTOGRAM,
            f"{namespace}_request_memory_mb",
            "{MB}",
            "Growth of the process' memory during a request, in 10^6 bytes; 0 where it shrank.",
            MEGABYTES,
            keys=(*KEYS, OVERLAPPED),
        ),
    )


class Overlap:
    """Tells whether a request had something to itself: the process, or its thread."""

    __slots__ = ("open", "overlaps")

    def __init__(self) -> None:
        self.open = 0
        self.overlaps = 0

    def enter(self) -> int:
        """Begins a request; returns what `leave` wants."""
        self.overlaps += self.open > 0
        self.open += 1
        return self.overlaps if self.open == 1 else -1

    def leave(self, entered: int) -> bool:
        """Ends one; returns whether there was another one meanwhile."""
        self.open -= 1
        return entered != self.overlaps


class Measurement:
    """What is measured of one request.

    Args:
        profile: that it is measured for.
    """

    __slots__ = (
        "before", "by_steps", "depth", "grown", "in_process", "in_thread", "pieces", "shared", "since", "thread",
    )  # fmt: skip

    def __init__(self, profile: Profile) -> None:
        self.before = resident()
        self.grown: float | None = None  # bytes, once the request has ended
        self.shared = False
        self.thread = get_native_id()
        self.in_process = profile.process.enter()
        self.in_thread = profile.of_thread(self.thread).enter()
        self.by_steps = False
        self.depth = 0  # of steps within steps
        self.pieces: list[int] = []  # CPU time in ns
        self.since = thread_time_ns()

    def begin_steps(self) -> None:
        """Counts the steps of the request's tasks from now on, and nothing in between."""
        self.by_steps = True
        self.since = 0

    def enter(self) -> None:
        """Begins a step."""
        self.depth += 1
        if self.depth == 1:
            self.since = thread_time_ns()

    def leave(self) -> None:
        """Ends a step."""
        self.depth -= 1
        if not self.depth:
            self.pieces.append(thread_time_ns() - self.since)
            self.since = 0

    def elsewhere(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose CPU time in a thread of its own is the request's, too."""

        def timed(*args: Any, **options: Any) -> Any:
            began = thread_time_ns()
            try:
                return function(*args, **options)
            finally:
                self.pieces.append(thread_time_ns() - began)  # atomic: the loop's thread may do so at the same time

        return timed

    def cpu(self, overlapped: bool) -> int | None:
        """CPU time so far in ns, or None where it is not the request's alone.

        Args:
            overlapped: whether another request had the same thread meanwhile.
        """
        here = get_native_id() == self.thread
        if not self.by_steps and (overlapped or not here):
            return None
        return sum(self.pieces) + (thread_time_ns() - self.since if self.since and here else 0)


class Profile:
    """The profiling of requests from its turning on to its turning off.

    Args:
        namespace: first word of the metrics' names.
    """

    def __init__(self, namespace: str) -> None:
        self.duration, self.memory = metrics(namespace)
        self.series: dict[tuple[object, ...], tuple[Series, Series, Series]] = {}
        self.reset()
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """As new, and in a forked child, whose parent's requests are not its own."""
        self.process = Overlap()
        self.threads: dict[int, Overlap] = {}

    def of_thread(self, thread: int) -> Overlap:
        """The overlap of a thread."""
        found = self.threads.get(thread)
        if found is None:
            if len(self.threads) > MOST:  # a server that makes a thread for each request
                self.threads = {known: each for known, each in self.threads.items() if each.open}
            found = self.threads[thread] = Overlap()
        return found

    def methods(self) -> tuple[Callable[..., None], ...]:
        """What stands for `__init__`, `finish` and `measure` of ServerSpan meanwhile."""
        init, finish, measure = _plain

        def __init__(span: ServerSpan, *args: Any, **options: Any) -> None:  # noqa: N807
            init(span, *args, **options)
            try:
                span.profile = Measurement(self)
            except Exception:
                guard.failed("profiling")

        def finishing(span: ServerSpan) -> None:
            if not span.ended:
                try:
                    self.end(span)
                except Exception:
                    guard.failed("profiling")
            finish(span)

        def measuring(span: ServerSpan) -> None:
            measure(span)
            self.record(span)

        return __init__, finishing, measuring

    def end(self, span: ServerSpan) -> None:
        """Takes the figures of a request that is about to end, and sets them as attributes of its span."""
        measured = of(span)
        if measured is None or measured.grown is not None:
            return
        cpu = measured.cpu(self.of_thread(measured.thread).leave(measured.in_thread))
        measured.shared = self.process.leave(measured.in_process)
        measured.grown = resident() - measured.before
        if cpu is not None:
            span.set(CPU, cpu / 1e9)
        if not measured.shared:
            span.set(GROWTH, int(measured.grown))

    def record(self, span: ServerSpan) -> None:
        """Adds a request to the metrics; in the background thread."""
        key = (span.method, span.route, span.status)
        found = self.series.get(key)
        if found is None:
            method = span.method if span.method in http.METHODS else "_OTHER"
            pairs = zip(KEYS, (method, span.route, span.status), strict=True)
            shared = {name: value for name, value in pairs if value}
            alone, overlapped = ({**shared, OVERLAPPED: value} for value in (False, True))
            found = self.duration.of(shared), self.memory.of(alone), self.memory.of(overlapped)
            if len(self.series) >= MOST:
                self.series.clear()
            self.series[key] = found
        found[0].record((span.ended - span.started) / 1e9)
        measured = of(span)
        if measured is not None and measured.grown is not None:
            found[1 + measured.shared].record(max(measured.grown, 0.0) / 1e6)


def of(span: object) -> Measurement | None:
    """What is measured of a request; None of one that began while nothing was."""
    return getattr(span, "profile", None)


def resident() -> float:
    """Bytes of physical memory of the process, 15 us; elsewhere than on Linux the most that they have been."""
    now = machine.resident()
    if now:
        return float(now)
    from resource import RUSAGE_SELF, getrusage

    return float(getrusage(RUSAGE_SELF).ru_maxrss)  # macOS: in bytes


class Steps:
    """An awaitable whose steps are measured, however often it waits in between.

    Args:
        measured: of the request.
        awaitable: what the request's task, or one that it has started, awaits.
    """

    __slots__ = ("measured", "steps")

    def __init__(self, measured: Measurement, awaitable: Awaitable[Any]) -> None:
        self.measured = measured
        self.steps: Generator[Any, Any, Any] = awaitable.__await__()

    def __await__(self) -> Steps:
        return self

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Any:
        measured = self.measured
        measured.enter()
        try:
            return next(self.steps)
        finally:
            measured.leave()

    def send(self, value: Any) -> Any:
        """As a generator's."""
        measured = self.measured
        measured.enter()
        try:
            return next(self.steps) if value is None else self.steps.send(value)
        finally:
            measured.leave()

    def throw(self, *error: Any) -> Any:
        """As a generator's: how a task is cancelled."""
        measured = self.measured
        measured.enter()
        try:
            throw = getattr(self.steps, "throw", None)
            if throw is None:
                raise error[1] if len(error) > 1 and error[1] is not None else error[0]
            return throw(*error)
        finally:
            measured.leave()

    def close(self) -> None:
        """As a generator's."""
        close = getattr(self.steps, "close", None)
        if close is not None:
            close()
