"""What is measured of one request, and how it is told: attributes of its span, in nanoseconds."""

from __future__ import annotations

import sys
from _thread import get_ident

from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.timeparts.loops import LoopTime

__all__ = ["SHORT", "Parts", "encoded", "get_ident", "in_threads", "is_threaded", "waited"]

SHORT = 1_000_000
"""Nanoseconds; of what is over sooner nothing is told: nobody asks where a millisecond went."""
BRIEF = 200_000  # ns; a pool that answers within this was not waited for
ORDER = ("gc", "cpu", "pool", "loop", "lock", "sleep", "network", "processor", "gil")
"""The parts, the surest first: together they are never longer than the request, and the last ones give way."""
_keys = {name: wire.text(1, f"perfagent.time.{name}") for name in (*ORDER, "on_loop")}


class Parts:
    """One request, or the part of one that a worker thread does for it.

    Args:
        began: when, by `clock.now`.
        slot: of the request in the flight recorder, which knows what runs within it.
    """

    __slots__ = (
        "asking", "at", "awaited", "began", "closed", "cpu", "gc", "gc_cpu", "held", "last", "loop", "pieces", "pools",
        "queued", "seen", "seen_cpu", "shared", "since", "slot", "thread", "waits",
    )  # fmt: skip

    def __init__(self, began: int, slot: int) -> None:
        self.began = began
        self.slot = slot
        self.cpu = -1
        """CPU time, ns; below 0 where nobody knows whose it was."""
        self.gc = self.gc_cpu = 0
        self.pools: list[tuple[int, int]] | None = None
        """When it waited for a connection or a worker."""
        self.waits: dict[str, int] | None = None
        """What was seen from outside, ns by kind."""
        self.pieces: list[Parts] | None = None
        self.asking = 0
        """How many pools it waits for now."""
        self.loop: LoopTime | None = None
        self.shared = self.closed = False
        self.thread = self.seen = 0
        # Set where they are needed: since, in a thread; at, awaited, held, last, queued, on a loop; seen_cpu.

    since: int
    seen_cpu: int
    at: int
    held: int
    last: int
    queued: int
    awaited: Any


in_threads: dict[int, Parts] = {}
"""What is under way in threads, by the thread's identity."""


def waited(began: int, ended: int) -> None:
    """Tells that the current request has waited for a connection of a pool."""
    if ended - began < BRIEF:
        return
    from perfagent.runtime.context import current

    span = current.get()
    parts = None if span is None else getattr(span.entry, "parts", None)
    if parts is not None:
        if parts.pools is None:
            parts.pools = []
        parts.pools.append((began, ended))


def is_threaded() -> bool:
    """Whether this thread runs no event loop: there the thread's CPU time is that of many requests."""
    running = sys.modules.get("asyncio.events")
    return running is None or running._get_running_loop() is None


def encoded(parts: Parts, duration: int) -> bytes:
    """The attributes of a span that took `duration`; in the background thread."""
    figures: dict[str, int] = dict(parts.waits or ())
    cpu = parts.cpu
    pools = list(parts.pools or ())
    for piece in list(parts.pieces or ()):
        cpu += max(piece.cpu, 0)
        for name, time in dict(piece.waits or ()).items():
            figures[name] = figures.get(name, 0) + time
    figures["gc"] = parts.gc
    figures["cpu"] = cpu - parts.gc_cpu
    figures["pool"] = max(union(pools), figures.get("pool", 0))
    figures["loop"] = 0 if parts.loop is None else parts.queued
    left = duration
    told = []
    for name in ORDER:
        time = min(figures.get(name, 0), left)
        if time > 0 or name == "cpu":
            told.append(_attribute(name, max(time, 0)))
            left -= max(time, 0)
    if parts.loop is not None:
        told.append(_attribute("on_loop", min(parts.held, duration)))
    return b"".join(told)


def _attribute(name: str, value: int) -> bytes:
    return wire.message(9, _keys[name] + wire.message(2, wire.integer(3, value)))


def union(times: list[tuple[int, int]]) -> int:
    """How long at least one of several spells lasted."""
    whole = reached = 0
    for began, ended in sorted(times):
        if ended > reached:
            whole += ended - max(began, reached)
            reached = ended
    return whole
