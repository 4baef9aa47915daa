"""Where finished spans wait for the background thread: a bounded queue that the request path only appends to.

`deque.append` is atomic, so a request takes no lock and meets nobody. Everything that costs (attributes, metrics,
encoding, the network) happens when the background thread empties the queue.
"""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from perfagent.runtime.log import LogRecord
    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.span import Span
else:
    from _collections import deque  # the rest of `collections` would add 2 ms to a start

CROWDED = 2048
"""So many waiting spans wake the background thread before its time; a wake-up costs about 15 us of context switches."""

SPAN_BYTES = 600
"""What a span that waits takes, about: itself, its identifiers, its share of what it refers to."""

pending: deque[Span] = deque()
limit = 8192
logs: deque[LogRecord] = deque()
log_limit = 8192
sources: list[Callable[[Pipeline], list[Payload]]] = []
"""Other signals than spans and metrics: each gives what it has to send."""
news: list[Callable[[], bool]] = []
"""Each says whether one of the `sources` has something that is worth a connection at the end of the process."""
deferred: list[Callable[[], object]] = []
"""What starts once the program has run for a while: a program that ends at once need not wait for it."""
commands: dict[str, Callable[[object], object]] = {}
"""What a hub may ask for that `control` cannot do by itself: each gets a command's value and returns the answer."""
reports: dict[str, Callable[[], object]] = {}
"""What a report of this process tells beyond that, by its heading."""
taken = requests = 0
"""How many spans the background thread has taken so far, and how many of these were requests."""
shares: Callable[[bool], object] = bool
"""Is told when the background thread begins and ends what it computes beside the program."""
thin: Callable[[Span, bool], bytes | None] | None = None
"""Delivers a span in place of itself, while not every trace is sent; see `perfagent.runtime.governor`."""
SIGNALS = {"traces": "span", "metrics": "metric", "logs": "log", "profiles": "sample"}
"""What one item of a signal is called, by OTLP's name of the signal."""
OPTIONAL = frozenset(("profiles",))
"""Signals that few receivers know yet: one that refuses them gets no more, and nothing is wrong; no disk keeps them."""
drops: dict[tuple[str, str], int] = {}
"""Signals lost, by (signal, reason); exported as `perfagent.telemetry.dropped`."""
_dropped: deque[tuple[tuple[str, str], int]] = deque()
_adding = allocate_lock()


def _nobody() -> None:
    """Stands in until a background thread runs."""


wake: Callable[[], None] = _nobody
"""Starts or wakes the background thread; must not block."""


def size() -> int:
    """Bytes that wait to be sent, about."""
    return len(pending) * SPAN_BYTES + len(logs) * SPAN_BYTES + encoded_bytes()


def _nothing(timeout: float) -> bool:
    return True


encoded_bytes: Callable[[], int] = int
"""What is encoded and not sent yet."""
flush: Callable[[float], bool] = _nothing
"""Sends what is waiting, within a number of seconds; says whether nothing is left."""


def crowded() -> None:
    """What a request does when the queue is long: wakes the thread, and gives up a span where the queue is full.

    The span given up is still measured, so metrics stay whole.
    """
    if len(pending) > limit:
        try:
            span = pending.pop()
        except IndexError:  # the background thread was faster
            return
        if span.flags & 1:
            drop("span", "queue_full", 1)
        span.measure()
    wake()


def drop(signal: str, reason: str, count: int) -> None:
    """Counts `count` lost signals.

    Args:
        signal: "span", "metric", "log" or "sample".
        reason: why, in one word: queue_full, rejected, unreachable (of profiles),
            encode_error, exit_timeout, spool_full, spool_damaged.
        count: how many.
    """
    _dropped.append(((signal, reason), count))
    # Two threads may drop at once, and a garbage collection within this may drop, too: the first one adds all of it.
    while _dropped and _adding.acquire(False):
        try:
            while _dropped:
                key, number = _dropped.popleft()
                drops[key] = drops.get(key, 0) + number
        finally:
            _adding.release()


def forget_drops() -> None:
    """In a forked child, where another thread of its parent may have been at it."""
    global _adding
    drops.clear()
    _dropped.clear()
    _adding = allocate_lock()
