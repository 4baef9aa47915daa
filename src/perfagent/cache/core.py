"""Finding or computing a value: who computes, who waits, what is served meanwhile, and what is kept."""

from __future__ import annotations

import asyncio
import copy
import os
import random
import threading
from contextvars import copy_context
from dataclasses import replace
from time import monotonic
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from perfagent.cache.cascade import tell
from perfagent.cache.entry import Entry
from perfagent.cache.flight import OWN, Flights
from perfagent.cache.lease import Lease, renewal
from perfagent.cache.steps import Computation, Outcome, Pause, run, run_async, worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.cache.cascade import Cascade
    from perfagent.cache.flight import Flight
    from perfagent.cache.key import Key
    from perfagent.cache.memory import Ticket
    from perfagent.cache.plan import Plan
    from perfagent.cache.space import Space
    from perfagent.cache.steps import Steps

REFRESHING = 8  # threads at most; a value that finds none stays stale until the next look
ONCE = (GeneratorType, CoroutineType, AsyncGeneratorType, map, filter, zip, enumerate, reversed)
"""What gives its values once: the second caller would find it empty."""
TAKEN: Lease = object()  # type: ignore[assignment]
SHORTEST, LONGEST = 0.01, 0.1  # seconds between two looks at what another process computes


class Core:
    """The work of a cache.

    Args:
        tiers: where values are.
    """

    def __init__(self, tiers: Cascade) -> None:
        self.tiers = tiers
        self.flights, self.refreshes = Flights(), Flights()
        self.reset()

    def reset(self) -> None:
        """For a forked child: nobody computes there yet."""
        self.flights.reset()
        self.refreshes.reset()
        self._threads = threading.BoundedSemaphore(REFRESHING)
        self._tasks: set[asyncio.Task[None]] = set()
        if self.tiers.memory is not None:
            self.tiers.memory.reset()
        for store in self.tiers.stores:
            store.reset()

    def values(self, space: Space) -> Any:
        """The memory's values as the short way of a function looks them up; None where there is no memory."""
        return None if self.tiers.memory is None else self.tiers.memory.values

    def find(self, space: Space, key: Key) -> Steps[Entry | None]:
        """The entry of a key, counted as a hit or a miss."""
        ticket = self._ticket(key)
        try:
            found = yield from self.tiers.look(space, key, ticket)
        finally:
            self._end(ticket)
        if found is None:
            space.figures.miss()
            return None
        space.figures.hit(found[1])
        return found[0]

    def obtain(
        self, space: Space, key: Key, compute: Callable[[], Any], plan: Plan, tags: tuple[bytes, ...]
    ) -> Steps[Outcome]:
        """The value of a key: found, waited for, or computed."""
        flight: Flight | None = None
        while True:
            known = yield from self._known(space, key, compute, plan, tags)
            if known is not None:
                return known
            if not plan.single:
                break
            flight, leads = self.flights.join(key.local)
            if leads:
                break
            outcome = yield flight
            if outcome is OWN:
                flight = None
                break
            if outcome is not None:
                space.figures.hit("flight")
                return outcome  # type: ignore[no-any-return]
        outcome = None
        try:
            outcome = yield from self._lead(space, key, compute, plan, tags, flight)
            return outcome
        finally:
            if flight is not None:
                self.flights.leave(key.local, flight)
                # Some of those who wait may have come after an invalidation by another process: they ask again.
                flight.finish(None if outcome is None or outcome.spoiled else outcome)

    def _lead(
        self,
        space: Space,
        key: Key,
        compute: Callable[[], Any],
        plan: Plan,
        tags: tuple[bytes, ...],
        flight: Flight | None,
    ) -> Steps[Outcome]:
        ticket = self._ticket(key)
        lease = None
        try:
            found = None
            if plan.across:
                lease, found = yield from self._locked(space, key, ticket, plan)
            if lease is None and found is None and flight is not None:  # somebody may have landed since we looked
                found = yield from self.tiers.look(space, key, ticket)
            if found is not None:  # it was read at one moment, and who waits may have come after that: they look, too
                return replace(self._hit(space, key, found, compute, plan, tags), spoiled=True)
            space.figures.miss()
            landing = flight if lease is not None else None
            return (yield from self._compute(space, key, ticket, compute, plan, tags, landing))
        finally:
            self._end(ticket)
            yield from self._give_back(lease)

    def _known(
        self, space: Space, key: Key, compute: Callable[[], Any], plan: Plan, tags: tuple[bytes, ...]
    ) -> Steps[Outcome | None]:
        """What some tier has, counted as a hit; None where none has it."""
        ticket = self._ticket(key)
        try:
            found = yield from self.tiers.look(space, key, ticket)
        finally:
            self._end(ticket)
        return None if found is None else self._hit(space, key, found, compute, plan, tags)

    def _hit(
        self,
        space: Space,
        key: Key,
        found: tuple[Entry, str],
        compute: Callable[[], Any],
        plan: Plan,
        tags: tuple[bytes, ...],
    ) -> Outcome:
        entry, tier = found
        space.figures.hit(tier)
        if entry.fresh <= monotonic():
            space.figures.stale.add()
            self.refresh(space, key, compute, plan, tags)
        return outcome_of(entry)

    def _locked(
        self, space: Space, key: Key, ticket: Ticket | None, plan: Plan
    ) -> Steps[tuple[Lease | None, tuple[Entry, str] | None]]:
        """The lock of a key, or the entry that another process computed meanwhile; neither where no store answers."""
        token, wait = os.urandom(16), SHORTEST
        while True:
            lease = yield from self._taken(key, token, plan)
            if lease is None:
                return None, None
            try:
                found = yield from self.tiers.look(space, key, ticket)
            except BaseException:
                yield from self._give_back(lease)
                raise
            if lease is not TAKEN or found is not None:
                return None if lease is TAKEN else lease, found
            yield Pause(wait * (0.5 + random.random()))  # noqa: S311 - spreads those who wait
            wait = min(wait * 1.5, LONGEST)

    def _taken(self, key: Key, token: bytes, plan: Plan) -> Steps[Lease | None]:
        """The lock of a key in the first store that answers: TAKEN where somebody has it, None where none answers."""
        for store in self.tiers.stores:
            lease = Lease(store, key, token, plan.lease)
            try:
                taken = yield from store.lock(key, token, plan.lease)
            except BaseException:  # cancelled, and it may have been given nevertheless
                yield from self._give_back(lease)
                raise
            if taken:
                renewal.add(lease)
                return lease
            if taken is not None:
                return TAKEN
        return None

    def _give_back(self, lease: Lease | None) -> Steps[None]:
        if lease is not None and lease is not TAKEN:
            renewal.discard(lease)
            yield from lease.store.unlock(lease.key, lease.token)

    def _compute(
        self,
        space: Space,
        key: Key,
        ticket: Ticket | None,
        compute: Callable[[], Any],
        plan: Plan,
        tags: tuple[bytes, ...],
        landing: Flight | None = None,
    ) -> Steps[Outcome]:
        stamps = yield from self.tiers.begin(key, tags)
        outcome: Outcome = yield Computation(compute)
        if isinstance(outcome.value, ONCE):
            outcome = Outcome(None, _spent(space, outcome.value))
        if landing is not None:  # who comes from now on waits for the lock, and finds what the store has taken
            self.flights.leave(key.local, landing)
        ttl = plan.time_of(outcome.value, outcome.error)
        if ttl is not None:
            failed = outcome.error is not None
            if not failed and outcome.value is not None:
                ttl *= space.stretch
            now = monotonic()
            stale = 0.0 if failed or outcome.value is None else plan.stale
            value = outcome.error if failed else outcome.value
            entry = Entry(value, now + ttl, now + ttl + stale, tags, failed)
            body = self._body(space, value, failed)
            if not (yield from self.tiers.keep(key, ticket, stamps, entry, body)):
                return replace(outcome, spoiled=True)
        return outcome

    def _body(self, space: Space, value: object, failed: bool) -> bytes | None:
        if not self.tiers.stores:
            return None
        try:
            return self.tiers.written(value, failed)
        except TypeError as error:
            tell(space, "unsupported", self.tiers.stores[0].name, str(error))
        except ValueError as error:
            tell(space, "too_large", self.tiers.stores[0].name, str(error))
        return None

    def put(
        self, space: Space, key: Key, value: object, ttl: float, stale: float, tags: tuple[bytes, ...]
    ) -> Steps[None]:
        """Keeps a value that the program has.

        Raises:
            TypeError: the serializer does not keep its type.
            ValueError: it is too large.
        """
        body = self.tiers.written(value, False) if self.tiers.stores else None
        if self.tiers.memory is not None:
            self.tiers.memory.remove(key.local)  # what is being computed is older than this
        self.flights.forget(key.local)
        kept = False
        for _ in range(3):  # an invalidation may come in between, and this value is newer than that
            ticket = self._ticket(key)
            try:
                stamps = yield from self.tiers.begin(key, tags)
                now = monotonic()
                entry = Entry(value, now + ttl, now + ttl + stale, tags)
                kept = yield from self.tiers.keep(key, ticket, stamps, entry, body)
            finally:
                self._end(ticket)
            if kept:
                break
        for store in self.tiers.stores:
            if store.outage.down:  # it has an older value, maybe, which must not come back with it
                yield from store.remove(key)

    def refresh(self, space: Space, key: Key, compute: Callable[[], Any], plan: Plan, tags: tuple[bytes, ...]) -> None:
        """Has the value of a key computed anew in the background, unless that is under way."""
        flight, leads = self.refreshes.join(key.local)
        if not leads:
            return
        steps = self._refreshing(space, key, compute, plan, tags, flight)
        if plan.asynchronous:
            task = asyncio.get_running_loop().create_task(run_async(steps))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: self.refreshes.leave(key.local, flight))  # it may never have begun
            return
        if not self._threads.acquire(blocking=False):
            self.refreshes.leave(key.local, flight)
            return
        threads, context = self._threads, copy_context()

        def work() -> None:
            try:
                context.run(run, steps)
            finally:
                threads.release()

        try:
            threading.Thread(target=work, name="perfagent-cache-refresh", daemon=True).start()
        except RuntimeError:  # no thread any more: the interpreter is about to end
            threads.release()
            self.refreshes.leave(key.local, flight)

    def _refreshing(
        self,
        space: Space,
        key: Key,
        compute: Callable[[], Any],
        plan: Plan,
        tags: tuple[bytes, ...],
        flight: Flight,
    ) -> Steps[None]:
        flight.owner = worker()
        ticket = self._ticket(key)
        lease = None
        try:
            if plan.across:
                lease = yield from self._taken(key, os.urandom(16), plan)
                if lease is TAKEN:
                    return
            outcome = yield from self._compute(space, key, ticket, compute, plan, tags)
            if outcome.error is not None and not isinstance(outcome.error, plan.errors):
                error = outcome.error
                tell(space, "refresh", "memory", f"a refresh failed, {type(error).__name__}: {error}")
        finally:
            self._end(ticket)
            self.refreshes.leave(key.local, flight)
            yield from self._give_back(lease)

    def invalidate(self, key: Key) -> Steps[int]:
        """Forgets a key; a computation of it that is under way is not kept, and who asks from now on computes anew."""
        removed = yield from self.tiers.remove(key)
        self.flights.forget(key.local)
        return removed

    def invalidate_tags(self, tags: tuple[bytes, ...]) -> Steps[int]:
        """Forgets what has one of some tags, in the same way."""
        removed = yield from self.tiers.remove_tags(tags)
        self.flights.forget_all()
        return removed

    def clear(self, level: str | None, space: str | None) -> Steps[int]:
        """Forgets everything, in the same way."""
        removed = yield from self.tiers.clear(level, space)
        self.flights.forget_all()
        return removed

    def _ticket(self, key: Key) -> Ticket | None:
        return None if self.tiers.memory is None else self.tiers.memory.begin(key)

    def _end(self, ticket: Ticket | None) -> None:
        if ticket is not None and self.tiers.memory is not None:
            self.tiers.memory.end(ticket)


def _spent(space: Space, value: Any) -> TypeError:
    if isinstance(value, (GeneratorType, CoroutineType)):
        value.close()  # else Python warns that nobody awaits it
    return TypeError(
        f"{space.name} gives a value of type {type(value).__name__}, which can be used only once and cannot be kept: "
        "keep a list, or make it a coroutine function"
    )


def outcome_of(entry: Entry) -> Outcome:
    """A kept value, or a kept exception, a copy of it: raising it would add to its traceback for ever."""
    if not entry.failed:
        return Outcome(entry.value)
    error: Any = entry.value
    try:
        error = copy.copy(error)
    except Exception:
        error = error.with_traceback(None)
    return Outcome(None, error)
