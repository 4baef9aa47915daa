"""SIGTERM that nobody handles: the last spans are sent, then the process dies of it as it would have at once.

Python's own handlers run in the main thread alone, between two of its instructions: one that waits in C does not hear
them, and one that was about to wait does not wake up. A worker of multiprocessing.Pool, told to terminate in the moment
it began to wait for work, hung for good in one run of twelve. `faulthandler` has a handler in C that writes to a
descriptor from whatever thread: here into a pipe, and a thread of ours reads it. The program sees the default
disposition, and what it installs itself replaces ours.
"""

from __future__ import annotations

import _signal  # the C module below `signal`: without the enums that make importing `signal` cost 3 ms
import faulthandler
import os
from _thread import allocate_lock, get_native_id
from time import sleep

from perfagent.instruments import hook
from perfagent.instruments.base import disguise
from perfagent.launch import fork
from perfagent.runtime.companions import GONE_WAIT, start_thread, wait_until_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.launch.lifecycle import Leaving

SIGTERM = _signal.SIGTERM
HIGH = 1000
"""The pipe's descriptors start here: the program gets the low numbers it would get, and hardly ever one of ours for a
file of its own after it has closed them all, as daemons do. The kernel makes room for them at once while there is one
thread; with another it waits for 10 ms, until nobody can be reading the old table.
"""
END = b"\0"
LONGEST = 5.0  # seconds; more than any exit takes, and still an end
PAUSE = 0.05  # seconds; closing all of a million descriptors takes 0.01

_kill = os.kill


def install(leave: Leaving) -> None:
    """Calls `leave` before this process or a forked child dies of SIGTERM by its default disposition."""
    watch = Watch(leave)
    watch.arm()
    fork.around(watch.halt, watch.start, watch.in_child)
    os.kill = disguise(_staying(watch, os.kill, _reaches_us), os.kill)
    os.killpg = disguise(_staying(watch, os.killpg, lambda group: group in (0, os.getpgrp())), os.killpg)
    hook.install()
    hook.when_imported("signal", lambda module: _follow(module, watch))


class Watch:
    """The thread that hears SIGTERM.

    Args:
        leave: sends what waits; ends within its time.
    """

    def __init__(self, leave: Leaving) -> None:
        self.leave = leave
        self.armed = False
        self._reset()

    def _reset(self) -> None:
        self._reader = self._writer = -1
        self._pipe = 0  # its inode
        self._thread = 0
        self._done = allocate_lock()

    def arm(self) -> None:
        """Listens, where SIGTERM kills: not the first process of a container, which the kernel protects from that."""
        if os.getpid() == 1 or _signal.getsignal(SIGTERM) != _signal.SIG_DFL:
            return
        if self._reader < 0:
            self._open()
        if not self.start():
            return
        faulthandler.unregister(SIGTERM)  # one that the program has replaced since still counts as registered
        faulthandler.register(SIGTERM, file=self._writer, all_threads=False)
        self.armed = True

    def _disarm(self) -> None:
        if self.hears():
            faulthandler.unregister(SIGTERM)
        self.armed = False

    def hears(self) -> bool:
        """Whether a SIGTERM would come to us, as far as Python knows."""
        return self.armed and _signal.getsignal(SIGTERM) == _signal.SIG_DFL

    def wait(self) -> None:
        """Waits for the end of the process, where this thread has just sent it a SIGTERM that we hear."""
        if self.hears() and SIGTERM not in _signal.pthread_sigmask(_signal.SIG_BLOCK, ()):
            sleep(LONGEST)

    def start(self) -> bool:
        """Starts the thread unless it runs; says whether there is one."""
        if self._reader < 0:
            return False
        if self._done.locked():
            return True
        done = self._done = allocate_lock()
        done.acquire()
        try:
            start_thread(self._run, done)
        except RuntimeError:
            done.release()
            self._disarm()
            return False
        return True

    def halt(self) -> None:
        """Before a fork: ends the thread."""
        if self._done.locked() and self._is_ours(self._writer):
            os.write(self._writer, END)
            if self._done.acquire(timeout=GONE_WAIT):
                self._done.release()
                wait_until_gone(self._thread)

    def in_child(self) -> None:
        """A pipe of its own for a forked child: a SIGTERM to it must not be heard by its parent."""
        self.leave.begun = False
        if self._reader < 0:
            self.arm()
            return
        for descriptor in (self._reader, self._writer):
            if self._is_ours(descriptor):
                os.close(descriptor)
        self._reset()
        self._open()
        if self.start() and self.armed:
            faulthandler.register(SIGTERM, file=self._writer, all_threads=False)  # only the descriptor changes
        else:
            self._disarm()

    def _open(self) -> None:
        self._reader, self._writer = map(_high, os.pipe())
        os.set_blocking(self._writer, False)
        self._pipe = os.fstat(self._reader).st_ino

    def _run(self, done: Any) -> None:
        self._thread = get_native_id()
        try:
            while True:
                heard = os.read(self._reader, 4096) if self._is_ours(self._reader) else b""
                if heard.strip(END):
                    self._die()
                elif heard:
                    return
                else:
                    self._open_again()
        except OSError:  # no pipe to be had: better deaf than in the way
            self._disarm()
        finally:
            done.release()

    def _open_again(self) -> None:
        """After the program has closed every descriptor. It may be at it still, and the next ones are for its files."""
        armed = self.armed
        self._disarm()
        sleep(PAUSE)
        self._open()
        if armed and _signal.getsignal(SIGTERM) == _signal.SIG_DFL:
            faulthandler.register(SIGTERM, file=self._writer, all_threads=False)
            self.armed = True

    def _is_ours(self, descriptor: int) -> bool:
        try:
            return os.fstat(descriptor).st_ino == self._pipe
        except OSError:
            return False

    def _die(self) -> None:
        if (
            self.leave.begun
        ):  # without us it would be gone by now, with a status of its own: multiprocessing.Pool sees it
            sleep(LONGEST)
        else:
            self.leave()
        if self.hears():
            faulthandler.unregister(SIGTERM)
        _kill(os.getpid(), SIGTERM)


def _high(descriptor: int) -> int:
    """A copy of `descriptor` under a number that nobody uses, and `descriptor` closed."""
    for number in range(HIGH, HIGH + 100):
        try:
            os.fstat(number)
        except OSError:
            break
    try:
        os.dup2(descriptor, number, inheritable=False)
    except OSError:  # beyond the limit of open files
        return descriptor
    os.close(descriptor)
    return number


def _reaches_us(process: int) -> bool:
    return process in (os.getpid(), 0, -os.getpgrp())


def _staying(watch: Watch, send: Callable[..., None], reaches_us: Callable[[int], bool]) -> Callable[..., None]:
    """For who sends SIGTERM to this very process: what comes after must not run, for the signal would have ended it."""

    def wrapper(target: int, signal: int, /) -> None:
        send(target, signal)
        if signal == SIGTERM and reaches_us(target):
            watch.wait()

    return wrapper


def _follow(module: ModuleType, watch: Watch) -> None:
    """Listens again where the program asks for the default disposition, as gunicorn's workers and uvicorn's end do."""
    set_handler, send = module.signal, module.raise_signal

    def signal(signalnum: Any, handler: Any) -> Any:
        previous = set_handler(signalnum, handler)
        if signalnum == SIGTERM:
            watch.arm()
        return previous

    def raise_signal(signalnum: Any, /) -> None:
        send(signalnum)
        if signalnum == SIGTERM:
            watch.wait()

    module.signal = disguise(signal, set_handler)  # type: ignore[attr-defined]
    module.raise_signal = disguise(raise_signal, send)  # type: ignore[attr-defined]
