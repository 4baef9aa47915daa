"""Filling a cache before it is asked: several computations at a time, one that fails does not stop the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfagent.cache import accepted
from perfagent.cache.cascade import tell
from perfagent.cache.report import Warmed
from perfagent.cache.steps import Outcome, run, run_async

if TYPE_CHECKING:
    from perfagent.cache.core import Core
    from perfagent.cache.key import Key
    from perfagent.cache.plan import Plan
    from perfagent.cache.space import Space

Item = tuple["Key", Callable[[], Any], tuple[bytes, ...]]  # key, computation, tags


def warm(core: Core, space: Space, items: Sequence[Item], plan: Plan, workers: int) -> Warmed:
    """Computes what is not there, in `workers` threads."""
    accepted.whole("workers", workers, 1, 4)

    def one(item: Item) -> str:
        key, compute, tags = item
        called = _Called(compute)
        return called.came_to(space, run(core.obtain(space, key, called, plan, tags)))

    with ThreadPoolExecutor(min(workers, len(items)) or 1, "perfagent-cache-warm") as pool:
        waiting = [pool.submit(copy_context().run, one, item) for item in items]
        return _sum([future.result() for future in waiting])


async def warm_async(core: Core, space: Space, items: Sequence[Item], plan: Plan, workers: int) -> Warmed:
    """Computes what is not there, `workers` tasks at a time."""
    accepted.whole("workers", workers, 1, 4)
    gate = asyncio.Semaphore(workers)

    async def one(item: Item) -> str:
        key, compute, tags = item
        called = _Called(compute)
        async with gate:
            steps = core.obtain(space, key, called, replace(plan, asynchronous=True), tags)
            return called.came_to(space, await run_async(steps))

    return _sum(await asyncio.gather(*map(one, items)))


class _Called:
    """A computation that remembers whether it was needed."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self._called = False

    def __call__(self) -> Any:
        self._called = True
        return self._compute()

    def came_to(self, space: Space, outcome: Outcome) -> str:
        if outcome.error is not None:
            error = outcome.error
            tell(space, "warming", "memory", f"warming failed, {type(error).__name__}: {error}")
            return "failed"
        return "loaded" if self._called else "present"


def _sum(found: list[str]) -> Warmed:
    counts = Counter(found)
    return Warmed(counts["loaded"], counts["present"], counts["failed"])
