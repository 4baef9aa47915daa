"""What is measured of one request, and how it is told: attributes of its span, in nanoseconds."""

from __future__ import annotations

import sys

from perfagent.runtime import callers
from perfagent.runtime.companions import get_ident
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.timeparts.loops import LoopTime

__all__ = ["SHORT", "Parts", "encoded", "get_ident", "in_threads", "is_threaded", "waited"]

SHORT = 1_000_000
"""Nanoseconds; of what is over sooner nothing is told: nobody asks where a millisecond went."""
ORDER = ("gc", "cpu", "pool", "loop", "lock", "sleep", "network", "processor", "gil")
"""The parts, the surest first: together they are never longer than the request, and the last ones give way."""
AT = "perfagent.time.waits_at"
_keys = {name: wire.text(1, f"perfagent.time.{name}") for name in (*ORDER, "on_loop")}


class Parts:
    """One request, or the part of one that a worker thread does for it.

    Without slots: what most requests never set is an attribute of the class, so that making one takes 0.1 us, not 0.7.
    """

    began = 0
    """When, by `clock.now`."""
    slot = -1
    """Of the request in the flight recorder, which knows what runs within it."""
    cpu = -1
    """CPU time of a thread, ns; below 0 where nobody knows whose it was."""
    gc = gc_cpu = 0
    """Collections within it, and the CPU time that they took."""
    pools: list[tuple[int, int]] | None = None
    """When it waited for a connection or a worker."""
    waits: dict[str, int] | None = None
    """What was seen from outside, ns by kind."""
    places: dict[tuple[int, int], list[Any]] | None = None
    """Where in the program that was: code, offset and ns, by the code's identity and the offset."""
    pieces: list[Parts] | None = None
    """What worker threads did for it."""
    asking = 0
    """How many workers it waits for now."""
    shared = closed = False
    thread = since = 0
    """The thread that it has to itself, and what the thread's CPU clock said at its begin."""
    seen = seen_cpu = 0
    """When it was last looked at from outside, and the CPU clock then."""
    loop: LoopTime | None = None
    at = last = held = off = queued = 0
    """On a loop: when its step began; when its last one ended; for how long they held the loop; how much of that was
    no CPU time; how long it was ready at most before it got its turn."""
    awaited: Any = None


in_threads: dict[int, Parts] = {}
"""What is under way in threads, by the thread's identity."""


def waited(began: int, ended: int) -> None:
    """Tells that the current request has waited for a connection of a pool."""
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
    cpu = parts.cpu if parts.loop is None else parts.held - parts.off
    pools = list(parts.pools or ())
    for piece in list(parts.pieces or ()):
        cpu += max(piece.cpu, 0)
        for name, time in dict(piece.waits or ()).items():
            figures[name] = figures.get(name, 0) + time
    figures["gc"] = parts.gc
    figures["cpu"] = cpu - parts.gc_cpu
    figures["pool"] = max(union(pools), figures.get("pool", 0))
    figures["loop"] = parts.queued
    left = duration
    told = []
    for name in ORDER:
        time = min(figures.get(name, 0), left)
        if time > 0 or name == "cpu":
            told.append(_attribute(name, max(time, 0)))
            left -= max(time, 0)
    if parts.loop is not None:
        told.append(_attribute("on_loop", min(parts.held, duration)))
    place = _longest([parts, *(parts.pieces or ())])
    if place:
        told.append(wire.key_value(9, AT, place))
    return b"".join(told)


def _longest(several: list[Parts]) -> str:
    """Where in the program most of the waiting was, as "file:line function"; "" where nothing of it was seen."""
    found = [place for parts in several for place in list((parts.places or {}).values())]
    if not found:
        return ""
    code, offset, _ = max(found, key=lambda one: one[2])
    told = callers.attributes((code, offset))
    return f"{told['code.file.path']}:{told['code.line.number']} {told['code.function.name']}"


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
