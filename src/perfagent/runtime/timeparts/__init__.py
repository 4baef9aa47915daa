"""Where the time of a request or a message went: CPU, garbage collection, pools, locks, queueing on the event loop.

Only what a span's children cannot tell is measured here; what queries and calls take stands in their own spans. A
request in a thread is timed from its begin to its end by the thread's CPU clock. One on an event loop is driven step by
step (`loops`). What a slow one waits for meanwhile is looked at from outside (`looks`), so that a quick one pays
nothing for it. Turning it on puts other methods into the kinds of spans and asks the instruments to do alike
(`http.when_timed`).
"""

from __future__ import annotations

import os

from perfagent.runtime import guard, http, pauses
from perfagent.runtime.clock import now, thread_time_ns
from perfagent.runtime.context import current
from perfagent.runtime.http import ServerSpan
from perfagent.runtime.timeparts.loops import active
from perfagent.runtime.timeparts.parts import SHORT, Parts, encoded, get_ident, in_threads, is_threaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.settings import Settings

installed = False
measured: list[type] = []
"""The kinds of spans that are."""


def install(settings: Settings) -> None:
    """Times every request and message that begins from now on."""
    global installed
    if installed:
        return
    installed = True
    from perfagent.runtime import messaging
    from perfagent.runtime.timeparts import looks

    profiled = http.profile is not None
    if profiled:  # what it puts back when it is turned off must be ours
        from perfagent.runtime import profile

        profile.switch(False, settings.namespace)
    for kind in (ServerSpan, messaging.ProcessSpan):
        measure(kind)
    if profiled:
        profile.switch(True, settings.namespace)
    pauses.listen(_paused)
    os.register_at_fork(after_in_child=_forget)
    looks.start()
    http.time(True)


def _forget() -> None:
    """In a forked child: what is under way is its parent's."""
    in_threads.clear()
    active.clear()


def measure(kind: Any) -> None:
    """Puts what times a span into its class, once; it has the attributes `entry`, `parts`, `slot` and `stepped`."""
    if kind in measured:
        return
    measured.append(kind)
    init, finish, encode_around = kind.__init__, kind.finish, kind.encode_around

    def __init__(span: Any, *args: Any) -> None:  # noqa: N807
        init(span, *args)
        if span.entry is not span or not http.timing:  # within another one, whose time it is
            span.parts = None
            return
        span.parts = parts = Parts()
        parts.began = span.started
        parts.slot = span.slot
        if not span.stepped:
            thread = parts.thread = get_ident()
            if thread in in_threads:
                parts.shared = in_threads[thread].shared = True
            parts.since = thread_time_ns()
            in_threads[thread] = parts

    def finishing(span: Any) -> None:
        if not span.ended:
            close(span)
        finish(span)

    def encoding(span: Any, body: bytes) -> bytes:
        return encode_around(span, body + told(span))  # type: ignore[no-any-return]

    kind.__init__, kind.finish, kind.encode_around = __init__, finishing, encoding


def close(span: Any) -> None:
    """Takes the last figures of a request that is about to end."""
    parts: Parts | None = getattr(span, "parts", None)
    if parts is None:  # it began before
        return
    try:
        if parts.loop is not None:
            parts.loop.close(parts)
        elif parts.thread:  # else none of its steps ran
            _close_in_thread(parts)
    except Exception:
        guard.failed("time parts")


def _close_in_thread(parts: Parts) -> None:
    thread = parts.thread
    if in_threads.get(thread) is parts:
        del in_threads[thread]
    parts.closed = True
    if now() - parts.began >= SHORT and not parts.shared and get_ident() == thread and is_threaded():
        parts.cpu = thread_time_ns() - parts.since


def told(span: Any) -> bytes:
    """The attributes of a span that is sent."""
    parts: Parts | None = getattr(span, "parts", None)
    duration = span.ended - span.started
    if parts is None or duration < SHORT or (parts.cpu < 0 and parts.loop is None):
        return b""
    try:
        return encoded(parts, duration)
    except Exception:
        guard.failed("time parts")
        return b""


def _paused(generation: int, ended: int, pause: int, cpu: int) -> None:
    """A pause of the garbage collector is of whoever it interrupted."""
    span = current.get()
    parts = None if span is None else getattr(span.entry, "parts", None)
    if parts is not None:
        parts.gc += pause
        parts.gc_cpu += cpu
