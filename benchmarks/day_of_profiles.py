"""A day of what a sampling profiler tells of some processes, the same for the same seed.

3,000 stacks of 3 to 40 calls below eight endpoints; each minute of a process has samples of 200 of them, some often
and most seldom: 0.9 million rows of three processes.
"""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from perfagent.hub.store.profiles import frame_of, path_of
from perfagent.hub.store.rows import Batch, Context, SampleRow, identity

from .day import ENDPOINTS, MS, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfagent.hub.store.rows import Frame, Path, Resource
    from perfagent.hub.store.store import Store

STACKS, FUNCTIONS, A_MINUTE = 3_000, 1_500, 200
WINDOW = 60 * SECOND


def batches(resources: Mapping[int, Resource], begin: int, end: int, seed: int = 1) -> Iterator[Batch]:
    """All of it, in the order of time, a quarter of an hour at once.

    Args:
        resources: the processes.
        begin, end: ns since the epoch.
        seed: of what happens.
    """
    random = Random(seed)
    stacks, contexts = _stacks(random), [_context(kind, one.name) for kind in ("wall", "cpu") for one in ENDPOINTS]
    weights = [1 / (1 + place) for place in range(STACKS)]
    batch = Batch()
    for minute in range(begin, end, WINDOW):
        if not batch.profiles:
            batch = Batch(resources=dict(resources), contexts={one.id: one for one in contexts})
        for resource in resources:
            for stack in random.choices(stacks, weights, k=A_MINUTE):
                batch.stacks[stack.stack.id] = stack
                context = random.choice(contexts).id
                value, samples = random.randrange(10 * MS, 400 * MS), random.randrange(1, 10)
                batch.profiles.append(
                    SampleRow(minute, WINDOW, resource, context, stack.stack.id, None, None, value, samples, None)
                )
        if minute // WINDOW % 15 == 0:
            yield batch
            batch = Batch()
    yield batch


def fill(resources: Mapping[int, Resource], store: Store, hours: float = 24) -> int:
    """Puts a day that ends now into a store; returns how many rows that are."""
    end, rows = time.time_ns(), 0
    for batch in batches(resources, end - int(hours * 3600 * SECOND), end):
        rows += len(batch.profiles)
        store.append([batch])
    return rows


def _stacks(random: Random) -> list[Path]:
    functions = [
        frame_of(f"function_{number}", f"/srv/shop/part_{number % 40}.py", 10 * number) for number in range(FUNCTIONS)
    ]
    found: list[list[tuple[Frame, int]]] = [[(functions[0], 1)]]
    while len(found) < STACKS + 1:
        calls = list(random.choice(found))[: random.randrange(1, 30)]
        for _ in range(random.randrange(3, 12)):
            function = random.choice(functions)
            calls.append((function, function.line + random.randrange(1, 9)))
        found.append(calls)
    return [path_of(calls) for calls in found[1:]]


def _context(kind: str, endpoint: str) -> Context:
    parts = (kind, "nanoseconds", endpoint, "MainThread", "", "running" if kind == "wall" else "")
    return Context(identity("context", *parts), *parts)
