"""From the bytes of an OTLP request to stored rows, whatever carried them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from perfagent.hub.receive import logs, metrics, profiles, traces, wire
from perfagent.hub.receive.body import Room
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import Limits, Malformed
from perfagent.hub.store.rows import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.hub import Hub
    from perfagent.hub.receive.limits import Receipt
    from perfagent.hub.receive.wire import Part

PAUSE = 0.002
"""Seconds that decoding takes before the event loop's other tasks run. In turns, and not in a thread, for one would
wait for the interpreter's lock just as the loop does. What keeps the loop longest is 0.1 s for a request of 40 MiB,
100,000 spans, and 10 ms for one of 2,000 spans."""
RECENT = 2_048
"""Requests whose sender may come with them again."""
LARGE = 262_144
"""Bytes from which bodies are decoded one after the other, so that ten of them pause as often as one."""


class Signal(NamedTuple):
    """One of OTLP's signals."""

    name: str  # such as traces
    path: str  # of its route
    noun: str  # what its items are called
    rejected: str  # the field of a partial success in JSON
    service: str  # of gRPC
    steps: Callable[[Any, Known, Receipt], Iterator[None]]


_SERVICE = "opentelemetry.proto.collector.{0}.v1.{1}Service"
SIGNALS = (
    Signal("traces", "/v1/traces", "spans", "rejectedSpans", _SERVICE.format("trace", "Trace"), traces.steps),
    Signal(
        "metrics", "/v1/metrics", "points", "rejectedDataPoints", _SERVICE.format("metrics", "Metrics"), metrics.steps
    ),
    Signal("logs", "/v1/logs", "log records", "rejectedLogRecords", _SERVICE.format("logs", "Logs"), logs.steps),
    Signal(
        "profiles",
        "/v1development/profiles",
        "samples",
        "rejectedProfiles",
        "opentelemetry.proto.collector.profiles.v1development.ProfilesService",
        profiles.steps,
    ),
)


class Receiver:
    """What the routes and gRPC have in common: the memory of the decoders, and the way to the store.

    Args:
        hub: where it goes.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        limits = Limits.of(hub.settings)
        self.room = Room(hub.settings.hub_queue, limits.body)
        self._known = Known(limits)
        self._turn = asyncio.Lock()
        self._recent: OrderedDict[bytes, Batch] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Batch]] = {}

    async def take(self, signal: Signal, body: bytes, json: bool = False) -> Batch:
        """Decodes and stores a request; returns when it is committed.

        One of spans or points that came before is not stored again: a sender whose patience of 10 s is over while a
        disk stalls or a laptop sleeps sends it anew, and all of it counted twice. 0.7 us a KiB.

        Args:
            signal: what it holds.
            body: unpacked.
            json: whether it is JSON instead of protobuf.

        Raises:
            Malformed: it cannot be read; nothing of it is stored.
            Overloaded, StoreFailed: as `Intake.put`; nothing of it is stored, and the sender should try again.
        """
        self.hub.last_activity = time()
        if signal.name == "logs":  # two records without a time may well be equal
            return await self._store(signal, body, json)
        digest = blake2b(body, digest_size=16).digest()
        if digest in self._recent:
            return self._recent[digest]
        task = self._under_way.get(digest)
        if task is None:
            # A task, for a sender that gives up must not leave its next attempt without an answer.
            task = self._under_way[digest] = asyncio.create_task(self._store(signal, body, json))
            task.add_done_callback(lambda stored: self._settle(digest, stored))
        return await asyncio.shield(task)

    def _settle(self, digest: bytes, stored: asyncio.Task[Batch]) -> None:
        """Remembers what was answered to a request that is stored; one that is not shall come again."""
        del self._under_way[digest]
        if stored.cancelled() or stored.exception() is not None:
            return
        batch = stored.result()
        if batch.items:
            told = Batch(resources=batch.resources, rejected=batch.rejected, reason=batch.reason)
            self._recent[digest] = told
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    async def _store(self, signal: Signal, body: bytes, json: bool) -> Batch:
        receipt = self._known.receipt(signal.noun, len(body))
        try:
            await self._decode(self._steps(signal, body, json, receipt), len(body))
            batch = receipt.close()
            if batch.items or batch.rejected:
                await self.hub.intake.put(batch)
        except BaseException:
            receipt.undo()
            raise
        return batch

    def _steps(self, signal: Signal, body: bytes, json: bool, receipt: Receipt) -> Iterator[None]:
        """What is left to be done; a body that is none raises at the first step."""
        yield from signal.steps(self._parts(signal, body, json), self._known, receipt)

    def _parts(self, signal: Signal, body: bytes, json: bool) -> Iterator[Part] | tuple[bytes, list[Part]]:
        profiled = signal.name == "profiles"  # whose items share a dictionary
        if not json:
            return wire.profile_parts(body) if profiled else wire.parts(body)
        from perfagent.hub.receive import json as reader  # 30 ms of opentelemetry-proto, for those alone who send JSON

        return reader.profile_parts(body) if profiled else reader.parts(signal.name, body)

    async def _decode(self, steps: Iterator[None], size: int) -> None:
        try:
            if size < LARGE:
                await _in_turns(steps)
            else:
                async with self._turn:
                    await _in_turns(steps)
        except DecodeError:
            raise Malformed("the body is no OTLP message in protobuf, or not all of it arrived") from None

    def waiting(self, batch: Batch) -> int:
        """How many commands wait for the processes that sent this."""
        return self.hub.commands.waiting([resource.instance for resource in batch.resources.values()])


async def _in_turns(steps: Iterator[None]) -> None:
    until = perf_counter() + PAUSE
    for _ in steps:
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + PAUSE
