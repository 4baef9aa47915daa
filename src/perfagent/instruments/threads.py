"""Threads and pools of threads: their work belongs to the span that started it, and no longer than that makes sense.

A pool's thread has a span for one piece of work at a time; whatever it was that made the pool start the thread is not
inherited. A thread of its own inherits, until some time after the end of the span (`runtime.context.Inherited`): a loop
that a request has started does not stay in its trace. Only our own two variables travel, never the program's. Where no
span is current, a `submit` pays 0.2 us; else 0.7 us, and the pool's thread 2.5 us.
"""

from __future__ import annotations

import sys
from contextvars import Context
from operator import itemgetter

from perfagent.instruments.base import Instrument, passed_over
from perfagent.runtime import guard
from perfagent.runtime.carriers import carries
from perfagent.runtime.clock import now
from perfagent.runtime.context import Inherited, baggage, current, lent
from perfagent.runtime.span import CLIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.instruments.executors import Workers
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

SERVING = frozenset((
    "aiosqlite.core", "anyio._backends._asyncio", "anyio._backends._trio", "concurrent.futures.process",
    "concurrent.futures.thread", "logging.handlers", "multiprocessing.managers", "multiprocessing.pool",
    "multiprocessing.queues",
))  # fmt: skip
"""Modules whose threads work off what others hand them, each piece in the context that it came with, if any."""
LOOPS = frozenset(("run_forever", "serve_forever"))
"""What a thread runs that is an event loop, or a server, for everybody."""
COPIES = bool(getattr(sys.flags, "thread_inherit_context", 0))
"""Whether threads inherit all context variables by themselves (free-threaded Python from 3.14 on)."""


class Threads(Instrument):
    """Patches `Thread.start`, `ThreadPoolExecutor.submit` and where a `ThreadPool` takes its work; asks gevent to tell
    of greenlets."""

    name = "threading"
    records = "the work of threads, timers and pools of threads is part of the trace that it was started in"

    _greenlets: Any = None

    def unpatch(self) -> None:
        super().unpatch()
        if self._greenlets is not None:
            self._greenlets.remove_spawn_callback(_spawning)

    def patch(self, module: ModuleType) -> None:
        match module.__name__:
            case "threading":
                self.replace(module.Thread, "start", _starting)
            case "concurrent.futures.thread":
                self.replace(module.ThreadPoolExecutor, "submit", _submitting)
            case "gevent":
                module.Greenlet.add_spawn_callback(_spawning)
                self._greenlets = module.Greenlet
            case _:
                for method in ("apply_async", "_map_async", "imap", "imap_unordered"):
                    self.replace(module.ThreadPool, method, _handing)


class Carried:
    """A piece of work that finds the span in which it was handed over, in whichever thread it runs.

    Args:
        work: what the program wants called.
        lender: the span; None where there is baggage alone.
        header: the baggage.
    """

    __slots__ = ("header", "lender", "work")

    def __init__(self, work: Callable[..., Any], lender: Span | RemoteContext | None, header: str) -> None:
        self.work = work
        self.lender = lender
        self.header = header

    @passed_over
    def __call__(self, *args: Any, **options: Any) -> Any:
        lender = self.lender
        token = current.set(None if lender is None else Inherited(lender))
        carried = baggage.set(self.header)
        try:
            return self.work(*args, **options)
        finally:
            baggage.reset(carried)
            current.reset(token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.work, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, and what another process or interpreter gets, is the work itself: no span of ours lives there."""
        return itemgetter(0), ((self.work,),)


class Queued(Carried):
    """One that a `ThreadPoolExecutor` does when it has a thread for it.

    Args:
        pool: the threads.
    """

    __slots__ = ("asked", "pool")

    def __init__(
        self, work: Callable[..., Any], lender: Span | RemoteContext | None, header: str, pool: Workers
    ) -> None:
        self.work = work
        self.lender = lender
        self.header = header
        self.pool = pool
        self.asked = now()

    @passed_over
    def __call__(self, *args: Any, **options: Any) -> Any:
        began = now()
        try:
            return Carried.__call__(self, *args, **options)
        finally:
            self.pool.done(self.work, self.lender, self.asked, began, now())


def _submitting(submit: Callable[..., Any]) -> Callable[..., Any]:
    workers: Callable[[Any], Workers] | None = None

    def wrapper(executor: Any, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        nonlocal workers
        span, header = current.get(), baggage.get()
        if span is not None or header:
            try:
                if workers is None:
                    from perfagent.instruments import executors

                    workers = executors.of
                fn = Queued(fn, lent(span), header, workers(executor))
            except Exception:  # an executor of another kind
                guard.failed("threading")
                fn = Carried(fn, lent(span), header)
        return submit(executor, fn, *args, **options)

    return wrapper


def _handing(hand: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(pool: Any, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        span, header = current.get(), baggage.get()
        if span is not None or header:
            func = Carried(func, lent(span), header)
        return hand(pool, func, *args, **options)

    return wrapper


def _starting(start: Callable[[Any], None]) -> Callable[[Any], None]:
    def wrapper(thread: Any) -> None:
        span, header = current.get(), baggage.get()
        if span is None and not header:
            return start(thread)
        run = None
        try:
            run = _carry(thread, lent(span), header)
        except Exception:
            guard.failed("threading")
        try:
            return start(thread)
        except BaseException:  # started before, or no thread to be had
            if run is not None and vars(thread).get("run") is run:
                del thread.run
            raise

    return wrapper


def _carry(thread: Any, span: Span | RemoteContext | None, header: str) -> Callable[[], None] | None:
    """Makes a thread begin with the span as its current one; returns what it runs instead of its own `run`.

    That is an attribute of the thread itself, for a subclass has a `run` of its own, and gone when the thread begins.
    What starts threads in the course of a client's call is that client: they are not the call's, and must not keep
    still for ever.
    """
    if _serves_all(thread) or (span is not None and span.kind == CLIENT):
        span, header = None, ""
    if (span is None and not header and not COPIES) or "run" in vars(thread):
        return None
    own: Callable[[], None] = thread.run

    @carries
    def run() -> None:
        del thread.run
        if isinstance(thread, sys.modules["threading"].Timer) and not COPIES:
            thread.function = Carried(thread.function, span, header)  # only now, for it may wait for long
            return own()
        current.set(None if span is None else Inherited(span))
        baggage.set(header)
        return own()

    thread.run = run
    return run


def _spawning(greenlet: Any) -> None:
    """Called by gevent where a greenlet is about to be started: its context, which is empty, gets our variables."""
    span, header = current.get(), baggage.get()
    if span is None and not header:
        return
    try:
        span = lent(span)
        work = getattr(greenlet, "_run", None)  # a thread's, where gevent has patched threads: Thread.start's business
        if getattr(work, "__name__", "") == "_bootstrap" or (span is not None and span.kind == CLIENT):
            return
        context = greenlet.gr_context
        if context is None:
            context = greenlet.gr_context = Context()
        context.run(current.set, None if span is None else Inherited(span))
        context.run(baggage.set, header)
    except Exception:
        guard.failed("threading")


def _serves_all(thread: Any) -> bool:
    """Whether a thread works for whoever comes: a pool's, a queue's, an event loop's."""
    work = getattr(thread, "_target", None)
    while type(work).__name__ == "partial":
        work = work.func  # type: ignore[union-attr]
    if work is None:
        work = type(thread).run
    return getattr(work, "__module__", None) in SERVING or getattr(work, "__name__", "") in LOOPS


carries(Carried.__call__, "lender")
instrument = Threads()
