"""One source at work: in a thread of its own, with a limit of time, and less often while it fails."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from perfagent.hub.sources import addresses, kinds
from perfagent.hub.sources.source import Collected, SourceError, Unavailable
from perfagent.hub.sources.state import State

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan, Source
    from perfagent.hub.sources.zones import Zone

    Outcome = Collected | Exception

JITTER = 0.05
"""Of the interval: sources that were declared together do not stay together."""
FIRST = 2.0
"""Seconds within which a source first collects."""
LATER = 10.0
"""Seconds after which what looks at the store first does: a hub that begins answers programs first."""
log = logging.getLogger("perfagent.hub")


class Collecting:
    """A source, and when it collects.

    Args:
        plan: what it is.
        hub: for whom.
        now: seconds of the event loop's clock.
    """

    def __init__(self, plan: Plan, hub: Hub, now: float) -> None:
        self.state = State(plan, time.time())
        self._hub = hub
        self._source: Source | None = None
        later = min(LATER, plan.interval) if plan.kind in kinds.STORED else 0.0
        self._next = now + later + random.uniform(0, min(FIRST, plan.interval))  # noqa: S311 - no secret
        self._begun = now
        self._ended = False
        self._lock = threading.Lock()  # of the source: one thread at a time
        self._hidden = addresses.secrets(plan.address) if plan.address else []

    def due(self, now: float, factor: float | None, zone: Zone) -> bool:
        """Whether it shall collect now.

        Args:
            now: seconds of the event loop's clock.
            factor: how much longer its interval is in this zone; None where it is off in it.
            zone: for what it tells of itself.
        """
        state = self.state
        if factor is None:
            state.paused = f"off while the machine's zone is {zone}: its priority is {state.plan.priority}"
            return False
        state.factor = factor
        if state.paused:
            state.paused = ""
            self._next = now
        if state.off or now < max(
            self._next, self._begun + state.pause() * factor * (1 - JITTER) if state.collections else 0
        ):
            return False
        if state.busy:
            state.skipped += 1
            self._plan_next(now, factor)
            return False
        self._begun = now
        self._plan_next(now, factor)
        return True

    def _plan_next(self, now: float, factor: float) -> None:
        self._next = now + self.state.pause() * factor * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311

    async def collect(self) -> Collected | None:
        """One collection; None where it failed."""
        state, loop = self.state, asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        state.busy = True
        began = time.monotonic()

        def told(found: Outcome) -> None:
            state.busy = False
            if not outcome.done():
                outcome.set_result(found)

        def work() -> None:
            found = self._collected()
            try:
                loop.call_soon_threadsafe(told, found)
            except RuntimeError:  # the hub has ended meanwhile
                pass

        threading.Thread(target=work, name=f"source-{state.plan.name}", daemon=True).start()
        done, _ = await asyncio.wait([outcome], timeout=state.plan.timeout)
        if not done:
            outcome.cancel()
            error = (
                f"no answer within {state.plan.timeout:g} s; is it overloaded or unreachable? raise timeout otherwise"
            )
            self._failed(error, time.monotonic() - began)
            return None
        found = outcome.result()
        if isinstance(found, Exception):
            self._failed(self._told(found), time.monotonic() - began)
            if isinstance(found, Unavailable):
                state.off = state.error
            return None
        if state.failed_in_a_row:
            log.info("the source %s answers again", state.plan.name)
        state.succeeded(time.time(), time.monotonic() - began)
        state.points += len(found.points)
        state.facts += len(found.seen)
        state.notes = [addresses.without(note, self._hidden) for note in found.notes]
        state.attributes = dict(found.attributes)
        return found

    def _collected(self) -> Outcome:
        try:
            with self._lock:
                if self._ended:
                    return SourceError("it is no longer declared")
                if self._source is None:
                    self._source = kinds.make(self.state.plan, self._hub)
                return self._source.collect()
        except Exception as error:  # whatever a driver or a user's own code raises
            return error

    def _told(self, error: Exception) -> str:
        text = str(error) if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"
        return addresses.without(text, self._hidden)

    def _failed(self, error: str, duration: float) -> None:
        if self.state.failed(time.time(), duration, error):
            log.warning("the source %s: %s", self.state.plan.name, error)

    def end(self, wait: float) -> None:
        """Gives back what the source holds; what a collection still holds after `wait` seconds ends with its thread."""
        self._ended = True
        if self._lock.acquire(timeout=wait):
            try:
                if self._source is not None:
                    self._source.close()
            except Exception as error:
                log.info("the source %s could not be closed: %s", self.state.plan.name, self._told(error))
            finally:
                self._lock.release()
