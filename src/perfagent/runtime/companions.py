"""Further background threads than the pipeline's: they end around a fork as it does, and with it.

This module is imported before the program: what others take of `_thread` from here is Python's own, where theirs would
be gevent's once that has patched it, which has a hub of its own in each thread that waits for a lock.
"""

from __future__ import annotations

import _frozen_importlib
import _signal
import os
from _thread import allocate_lock as allocate_lock
from _thread import get_ident as get_ident
from _thread import get_native_id as get_native_id
from _thread import start_new_thread

from perfagent.runtime.clock import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Any

GONE_WAIT = 0.05  # seconds; a thread that has nothing left to do is gone after some us
IMPORT_WAIT = 2.0  # seconds that a fork waits at most for an import; http.client takes 0.03 on an idle machine


class Companion:
    """What has a thread, or anything else that a fork or the end of the process must find in order."""

    def halt(self) -> int:
        """Before a fork: lets the thread end; returns its native id where it has nothing left to do but end, else 0."""
        return 0

    def resume(self) -> None:
        """After a fork: starts the thread again."""

    def reset(self) -> None:
        """In a forked child, before `resume`: nothing of the parent's is ours."""

    def stop(self) -> None:
        """At the end of the process, when everything is sent."""


class Worker(Companion):
    """A companion with a thread of its own, which sleeps on a lock between two pieces of work.

    A subclass has `_work`, what the thread does, and `_is_wanted`.
    """

    def __init__(self) -> None:
        self._halted = False
        self.reset()

    def reset(self) -> None:
        """In a forked child: the thread is the parent's."""
        self._wake = allocate_lock()
        self._wake.acquire()
        self._done = allocate_lock()
        self._switch = allocate_lock()  # around the thread's decision to end
        self._running = False
        self.thread = self._native = 0
        """Python's and the kernel's number of the thread."""

    def _is_wanted(self) -> bool:
        """Whether there is to be a thread."""
        raise NotImplementedError

    def _work(self, wake: LockType) -> None:
        """What the thread does until `_is_over`; it sleeps by acquiring `wake`."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Starts the thread unless it runs, a fork is under way, or it is not wanted.

        Raises:
            RuntimeError: there is no thread to be had.
        """
        with self._switch:
            if self._running or self._halted or not self._is_wanted():
                return
            self._running = True
            wake, done = self._wake, allocate_lock()
            self._done = done
            done.acquire()
        try:
            start_thread(self._run, wake, done)
        except RuntimeError:
            self._running = False
            raise

    def start(self) -> None:
        """Starts the thread unless it runs; where there is none to be had, its work is left out."""
        try:
            self._begin()
        except RuntimeError:
            pass

    def resume(self) -> None:
        """After a fork; see Companion."""
        self._halted = False
        self.start()

    def stop(self) -> None:
        """At the end of the process; see Companion."""
        self.halt()

    def _is_over(self) -> bool:
        """Whether the thread is to end; then it counts as ended from here on, for who starts the next one."""
        with self._switch:
            over = self._halted or not self._is_wanted()
            if over:
                self._running = False
            return over

    def _nudge(self) -> None:
        """Wakes the thread up."""
        try:
            self._wake.release()
        except RuntimeError:  # it is awake
            pass

    def _end(self, timeout: float) -> bool:
        """Has the thread look whether it is to end; returns whether it has ended by now, unless this is it."""
        if not self._running:
            return False
        self._nudge()
        if get_ident() == self.thread:
            return False
        done = self._done
        ended = done.acquire(timeout=timeout)
        if ended:
            done.release()
        return ended

    def halt(self) -> int:
        """Before a fork; see Companion."""
        self._halted = True
        return self._native if self._end(GONE_WAIT) else 0

    def _run(self, wake: LockType, done: LockType) -> None:
        self.thread, self._native = get_ident(), get_native_id()
        try:
            self._work(wake)
        finally:
            with self._switch:  # where PERFAGENT_STRICT lets a failure through, whoever comes next starts it anew
                if self._done is done:
                    self._running = False
            done.release()


all_of_them: list[Companion] = []
beginning = False
"""Whether the background thread starts a feature just now."""
_ours: dict[int, int] = {}  # the threads that `start_thread` has started: the kernel's number by Python's


def halt() -> None:
    """Before a fork."""
    for companion in all_of_them:
        thread = companion.halt()
        if thread:
            wait_until_gone(thread)


def resume() -> None:
    """After a fork."""
    for companion in all_of_them:
        companion.resume()


def reset() -> None:
    """In a forked child."""
    global beginning
    beginning = False
    _ours.clear()
    for companion in all_of_them:
        companion.reset()


def stop() -> None:
    """At the end of the process."""
    for companion in all_of_them:
        companion.stop()


DEAF_TO = _signal.valid_signals() - {_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL}


def start_thread(run: Callable[..., object], *arguments: Any) -> None:
    """Starts a thread that no signal is delivered to, whatever becomes of the program's own threads.

    A program may block a signal in all of its threads, to wait for it by `sigwait`. In one more thread it would find
    its default action, and that is mostly the end of the process.

    Raises:
        RuntimeError: there is no thread to be had.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, DEAF_TO)
    try:
        start_new_thread(_run, (run, arguments))
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def _run(run: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    thread = get_ident()
    _ours[thread] = get_native_id()
    try:
        run(*arguments)
    finally:
        _ours.pop(thread, None)


def idents() -> set[int]:
    """Our threads that run, by Python's number: whoever looks at all threads leaves these out."""
    return set(_ours)


def native_ids() -> list[int]:
    """Our threads that run, by the kernel's number."""
    return list(_ours.values())


def finish_imports() -> None:
    """Before a fork: waits while a thread of ours imports something, or starts a feature.

    Python leaves a module's lock in the hands of a thread that the child does not have: whoever imported that module
    there would wait for good.
    """
    if not _ours:
        return
    deadline = monotonic() + IMPORT_WAIT
    locks = getattr(_frozen_importlib, "_module_locks", {})
    while monotonic() < deadline:
        held = (getattr(found(), "owner", None) for found in list(locks.values()))
        if not beginning and not any(owner in _ours for owner in held):
            return
        sleep(0.0005)


def wait_until_gone(thread: int) -> None:
    """Waits for the end of a thread that has nothing left to do but end, by its native id.

    Python 3.12 counts the threads of the operating system when it warns of a fork; elsewhere than on Linux nobody does.
    """
    deadline = monotonic() + GONE_WAIT
    while monotonic() < deadline:
        try:
            os.stat(f"/proc/self/task/{thread}")
        except OSError:
            return
        sleep(0)
