"""Who allocates, for a while: a profile of the memory that was allocated and is still held at the end.

`tracemalloc` sees every allocation of Python's: parsing JSON takes 11 times as long with one call of each stack, and
about 50 times with ten. That is no cost to have always; so this is only done where somebody asks for it. A program that
traces by itself already is left as it is.
"""

from __future__ import annotations

import sys

from perfagent.runtime import outbox
from perfagent.runtime.clock import monotonic_ns, time_ns
from perfagent.runtime.otlp import profiles
from perfagent.runtime.span import Scope
from perfagent.runtime.watch import Look, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.pipeline import Payload, Pipeline

FRAMES = 10
MOST = 2_000  # stacks, the largest
scope = Scope("perfagent.profiler")

_running: Look | None = None
_began = _unix = 0
_finished: list[tuple[int, int, list[tuple[tuple[tuple[str, int], ...], int]]]] = []


def begin(seconds: float) -> str:
    """Begins to trace, for so many seconds.

    Raises:
        ValueError: it is being done already, by us or by the program.
    """
    global _running, _began, _unix
    import tracemalloc

    if tracemalloc.is_tracing():
        raise ValueError("allocations of this process are being traced already")
    if _take not in outbox.sources:
        outbox.sources.append(_take)
    tracemalloc.start(FRAMES)
    _began, _unix = monotonic_ns(), time_ns()
    _running = Look("allocations", seconds, end)
    watch.add(_running)
    return f"traced for {seconds:.0f} s"


def end() -> None:
    """Ends it; what is held is sent with the next export."""
    global _running
    look, _running = _running, None
    if look is None:
        return
    watch.remove(look)
    tracemalloc = sys.modules["tracemalloc"]
    if not tracemalloc.is_tracing():
        return
    snapshot = tracemalloc.take_snapshot()
    sizes: dict[tuple[tuple[str, int], ...], int] = {}
    for trace in snapshot.traces._traces:
        frames = tuple((frame[0], frame[1]) for frame in trace[2])
        sizes[frames] = sizes.get(frames, 0) + trace[1]
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:MOST]
    _finished.append((_unix, monotonic_ns() - _began, largest))
    tracemalloc.stop()  # only now: a program that ends when this is over still tells of it
    outbox.wake()


def _take(pipeline: Pipeline) -> list[Payload]:
    if not _finished or "profiles" not in pipeline.destinations:
        return []
    from perfagent.runtime.pipeline import Payload

    began, duration, sizes = _finished.pop()
    dictionary = profiles.Dictionary()
    samples = []
    for frames, size in sizes:
        # The innermost comes first. tracemalloc tells files and lines, but no functions.
        locations = tuple(dictionary.location(_short(file), file, 0, line) for file, line in frames)
        samples.append(profiles.sample(dictionary.stack(locations), (), 0, (size,)))
    if not samples:
        return []
    encoded = profiles.profile(dictionary, ("alloc_space", "bytes"), samples, began, duration, 1)
    body = profiles.encode(pipeline.encoded_resource(), scope, [encoded], dictionary)
    return [Payload("profiles", body, len(samples))]


def _short(file: str) -> str:
    return file.rpartition("/")[2]
