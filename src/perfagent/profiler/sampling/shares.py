"""How the time between two looks at a thread is shared between the place where it was and the place where it is.

The kernel knows how long a thread has run, and how long it wanted to and had no core: that much is of a place where it
was seen to run, and the rest of one where it was seen to wait. So where looks are seldomer than what they look at, a
thread that runs for 5 ms and waits for 15 is told of with a quarter of the time running, not with what the one or the
other look happened to see.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.sampling.threads import Interval, Thread
    from perfagent.profiler.sampling.window import Link, Seen, Window

DOUBT = 6.0
"""So many looks should have seen a thread wait, and did not: then it does not wait where it was seen to long ago."""


def still(window: Window, thread: Thread, unix: int, elapsed: int) -> None:
    """A thread is where it was seen."""
    seen = thread.seen
    if seen is None or elapsed <= 0:
        return
    if thread.window is window:
        seen.values[-1] += elapsed
        return
    thread.window = window
    thread.seen = _again(window, seen, unix, elapsed, seen.link)


def settle(window: Window, thread: Thread) -> None:
    """Where a thread that ends, or a window, was not seen to run any more, it ran where it was seen last."""
    seen = thread.running if thread.running_in is window and thread.running is not None else thread.seen
    if seen is None:
        return
    if thread.pending:
        window.add(window.cpu, seen, thread.pending)
        thread.pending = 0
    if thread.unplaced:
        window.add(window.late, seen, thread.unplaced, seen.state)
        thread.unplaced = 0


def here(
    window: Window, thread: Thread, interval: Interval, runs: bool, gil: int, link: Link | None, seldom: bool
) -> tuple[int, int]:
    """From when on (Unix ns), and for how many ns, a thread was where it is now; the rest is told of other places.

    Args:
        window: where it is told.
        thread: as it was until now.
        interval: since the last look.
        runs: whether it runs now, or wants to.
        gil: ns that it was kept from the interpreter.
        link: the span's that it works for now.
        seldom: whether more time has passed than usual.
    """
    unix, elapsed = interval.unix, interval.elapsed
    busy = min(interval.busy, elapsed)
    if thread.seen is None:
        if not thread.is_new:
            return unix, elapsed
        half = elapsed // 2  # as many begin just before a look as just after one
        return unix + half, elapsed - half
    if runs:
        before = elapsed - busy - gil
        if before > 0 and not thread.ran:
            still(window, thread, unix, before)
        elif before > 0 and thread.waiting is not None and thread.doubt < DOUBT:
            thread.doubt += before / elapsed
            waiting = thread.waiting
            _again(window, waiting, unix, before, waiting.link if waiting.link == link else None)
        else:
            before = 0
        return unix + before, elapsed - before
    if thread.ran:
        still(window, thread, unix, busy)
        settle(window, thread)
        return unix + busy, elapsed - busy
    thread.unplaced += busy
    before = (elapsed - busy) // 2 if seldom else 0  # it may have gone on in between
    still(window, thread, unix, before)
    return unix + before, elapsed - busy - before


def _again(window: Window, seen: Seen, unix: int, value: int, link: Link | None) -> Seen | None:
    return window.observe(seen.stack, seen.thread, seen.state, link, seen.endpoint, unix, value)
