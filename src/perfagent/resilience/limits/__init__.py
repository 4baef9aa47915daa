"""Resource limits: warns where memory or CPU use nears a limit, and slows background tasks down until it does not.

A limit is what MAX_MEMORY and MAX_CPU_CORES say, else what the container has; where there is neither, nothing is
looked at and `throttle` costs 0.1 us, else 7. Nobody waits for a look: metrics are collected and background tasks
begin anyway, and at most once a second one of them looks, which takes 50 us.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from perfagent import settings
from perfagent.container import Container
from perfagent.resilience.limits.resource import FULL, Rate, Resource, own_cpu, own_memory
from perfagent.runtime import pressure
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.pressure import EXCEEDED, FINE, TIGHT
from perfagent.runtime.span import Scope
from perfagent.settings.limits import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfagent.runtime.metric import Instrument

NAMES = ("fine", "tight", "exceeded")
EVERY = 1.0  # seconds between two looks
AGAIN = 60.0  # seconds in which the same warning is not logged twice

log = logging.getLogger("perfagent.limits")
_scope = Scope("perfagent.limits")
_lock = threading.Lock()
_current: ResourceLimits | None = None


def get_resource_limits() -> ResourceLimits:
    """The limits of this process, from its settings and its container; made at the first call."""
    global _current
    with _lock:
        if _current is None:
            _current = ResourceLimits(LimitSettings.current())
        return _current


class ResourceLimits:
    """Memory and CPU against their limits.

    Args:
        options: MAX_MEMORY and the like.
        container: what the container gives.
    """

    def __init__(self, options: LimitSettings, container: Container | None = None) -> None:
        self.resources = tuple(_resources(options, container or Container()))
        """Those that have a limit."""
        self.failures = 0
        """How often a subscriber failed."""
        self._subscribers: list[Callable[[Resource], object]] = []
        self._looking = threading.Lock()
        self._due = 0.0
        self._said: dict[tuple[str, int], float] = {}
        self._stop: threading.Event | None = None
        if self.resources:
            self._exceeded, self._waited = metrics(self._observe)
            os.register_at_fork(after_in_child=self._in_child)

    @property
    def level(self) -> int:
        """The worst of the resources, as seen last: 0 fine, 1 tight (beyond a warning), 2 exceeded."""
        return max((one.level for one in self.resources), default=FINE)

    @property
    def excess(self) -> float:
        """Where the worst resource is between its warning (0) and its limit (1)."""
        return max((one.excess for one in self.resources), default=0.0)

    def look(self) -> int:
        """Looks at the resources, once a second at most; returns the level."""
        now = time.monotonic()
        if now < self._due or not self._looking.acquire(False):
            return self.level
        try:
            self._due = now + EVERY
            for one in self.resources:
                before = one.look()
                if one.level != before:
                    self._changed(one, before)
            pressure.level = self.level
        finally:
            self._looking.release()
        return self.level

    def subscribe(self, callback: Callable[[Resource], object]) -> Callable[[], None]:
        """Calls back with a resource whenever its level changes; returns a function that ends this.

        Args:
            callback: gets the resource: `name`, `level`, `used`, `limit`. One that fails is counted in `failures`.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def start(self, interval: float = 5.0) -> None:
        """Looks now, then in a thread of its own: for a program without the agent and without background tasks.

        Args:
            interval: seconds between two looks.

        Raises:
            ValueError: the interval is below 1 s.
        """
        if interval < EVERY:
            raise ValueError(f"interval={interval!r} is not accepted: seconds from 1, such as 5.0")
        if self._stop is None and self.resources:
            self.look()
            self._stop = stop = threading.Event()
            threading.Thread(target=self._watch, args=(stop, interval), name="perfagent-limits", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread that `start` started."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _watch(self, stop: threading.Event, interval: float) -> None:
        while not stop.wait(interval):
            self.look()

    def waited(self, task: str, seconds: float) -> None:
        """Counts the time that a background task was made to wait."""
        self._waited.of({"task": task}).record(seconds)

    def _changed(self, one: Resource, before: int) -> None:
        now = time.monotonic()
        if one.level > before:
            self._exceeded.of({"resource": one.name, "level": NAMES[one.level]}).record(1)
        if now - self._said.get((one.name, one.level), -AGAIN) >= AGAIN:
            self._said[one.name, one.level] = now
            if one.level == FINE:
                log.info("%s: fine again", one)
            else:
                told = "background tasks wait" if one.level == EXCEEDED else "background tasks are slowed down"
                log.warning("%s, %s; %s", one, _passed(one), told)
        for callback in list(self._subscribers):
            try:
                callback(one)
            except Exception:
                self.failures += 1
                if self.failures == 1:
                    log.exception("a subscriber of the resource limits failed; further failures are only counted")

    def _observe(self) -> Iterator[tuple[float, Mapping[str, object]]]:
        self.look()
        for one in self.resources:
            yield one.utilization, {"resource": one.name}

    def _in_child(self) -> None:
        self._looking = threading.Lock()
        self._stop = None
        for one in self.resources:
            one.level = FINE
            if isinstance(one._use, Rate):
                one._use.reset()
        pressure.level = FINE


def _passed(one: Resource) -> str:
    return "beyond the limit" if one.level == EXCEEDED else f"beyond {one.warning / one.limit:.0%}"


def _resources(options: LimitSettings, container: Container) -> Iterator[Resource]:
    memory, warning = container.memory_limit(), options.memory_warning
    assert warning is not None, "it has a default"
    if options.max_memory is not None:
        limit = options.max_memory.of(memory or _machine_memory())
        yield Resource("memory", limit, warning.of(limit), f"MAX_MEMORY={options.max_memory}", own_memory)
    elif memory is not None and container.memory_used() is not None:
        yield Resource(
            "memory", memory, warning.of(memory), "the container's limit", lambda: container.memory_used() or 0
        )
    cores, warning = container.cores(), options.cpu_warning
    assert warning is not None, "it has a default"
    if options.max_cores is not None:
        limit = options.max_cores.of(cores or os.cpu_count() or 1)
        yield Resource("cpu", limit, warning.of(limit), f"MAX_CPU_CORES={options.max_cores}", Rate(own_cpu))
    elif cores is not None and container.cpu_used() is not None:
        rate = Rate(lambda: container.cpu_used() or 0)
        yield Resource("cpu", cores, warning.of(cores), "the container's quota", rate, FULL)


def _machine_memory() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def metrics(
    observe: Callable[[], Iterator[tuple[float, Mapping[str, object]]]] | None = None,
) -> tuple[Instrument, Instrument]:
    """`<ns>.resource.limit_exceeded` and `<ns>.resource.throttled`; with `observe` `<ns>.resource.utilization`, too."""
    namespace = settings.current().namespace
    registry.make(
        _scope,
        GAUGE,
        f"{namespace}.resource.utilization",
        "1",
        "Memory and CPU use as a share of the limit.",
        callback=observe or (lambda: iter(())),
        keys=("resource",),
    )
    return (
        registry.make(
            _scope,
            COUNTER,
            f"{namespace}.resource.limit_exceeded",
            "{time}",
            "How often memory or CPU use passed its limit (level exceeded) or the warning threshold (level tight).",
            keys=("resource", "level"),
        ),
        registry.make(
            _scope,
            COUNTER,
            f"{namespace}.resource.throttled",
            "s",
            "How long background tasks were made to wait because of memory or CPU use.",
            keys=("task",),
        ),
    )


__all__ = ["EXCEEDED", "FINE", "TIGHT", "ResourceLimits", "get_resource_limits"]
