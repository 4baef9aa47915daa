"""How long work of requests waits in a `ThreadPoolExecutor` until one of its threads has time for it."""

from __future__ import annotations

from perfagent.runtime import guard, poolwaits
from perfagent.runtime.encoded import MOST
from perfagent.runtime.metric import DB_SECONDS, HISTOGRAM, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

_NAME = "perfagent.thread_pool.name"
UNNAMED = "ThreadPoolExecutor"
wait_time = registry.make(
    Scope("perfagent.threading"),
    HISTOGRAM,
    "perfagent.thread_pool.wait_time",
    "s",
    "The time that work of requests waited in a thread pool for a free thread.",
    DB_SECONDS,
    keys=(_NAME,),
)
_known: dict[tuple[str, int], Workers] = {}


class Workers(poolwaits.Pool):
    """The threads of executors of one name and size.

    Args:
        name: as their threads are named.
        most: how many there are.
    """

    __slots__ = ("seconds",)

    def __init__(self, name: str, most: int) -> None:
        super().__init__("concurrent.futures", name, most)
        self.seconds = wait_time.of({_NAME: name})

    def done(self, work: Any, span: Span | RemoteContext | None, asked: int, began: int, ended: int) -> None:
        """Some work is done.

        Args:
            work: what was called.
            span: that it was handed over in.
            asked, began, ended: when it was handed over, begun and done, by `clock.now`.
        """
        try:
            self.seconds.record((began - asked) / 1e9)
            if began - asked > poolwaits.LONG:
                poolwaits.note(self, asked, began, None, span)
                parts = None if span is None else getattr(span.entry, "parts", None)
                if parts is not None and parts.loop is not None and not parts.closed:
                    # A coroutine waits for it; a thread may have done something else meanwhile.
                    if parts.pools is None:
                        parts.pools = []
                    parts.pools.append((asked, began))
            if ended - began > poolwaits.LONG:
                poolwaits.held(self, work, ended - began)
        except Exception:
            guard.failed("threading")


def of(executor: Any) -> Workers:
    """The threads of an executor; one that nobody has named has the name of its class."""
    key = executor._thread_name_prefix, executor._max_workers
    try:
        return _known[key]
    except KeyError:
        given, most = key
        name = UNNAMED if not given or given.startswith(UNNAMED + "-") else str(given)
        found = _known.get((name, most)) or Workers(name, most)
        if len(_known) < MOST:
            _known[key] = _known[name, most] = found
        return found
