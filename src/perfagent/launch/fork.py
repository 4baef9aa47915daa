"""Forks: our threads end before and start again after, and a child begins with nothing of its parent's."""

from __future__ import annotations

import _signal
import os
import sys
from _thread import get_ident

from perfagent.instruments import hook
from perfagent.instruments.base import disguise
from perfagent.runtime import companions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Step = Callable[[], object]

WARNS = sys.version_info >= (3, 12)
"""Whether Python warns of a fork in a process that has more than one thread."""

_steps: list[tuple[Step, Step, Step]] = []
_postponing: set[int] = set()  # threads in a fork after which they resume by themselves
_unblocked: set[int] = set()  # threads for which SIGTERM waits while they fork
_holding = 0  # the process that has no thread of ours because it forks without a word to Python


def around(halt: Step, resume: Step, in_child: Step) -> None:
    """Has something done around every fork of this process and of its forked children.

    Args:
        halt: before; ends a thread.
        resume: after, in the parent; starts it again.
        in_child: after, in the child.
    """
    _steps.append((halt, resume, in_child))
    if len(_steps) > 1:
        return
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    if WARNS:
        os.fork = _resuming_later(os.fork)
        os.forkpty = _resuming_later(os.forkpty)
    hook.install()
    for module in ("gevent.monkey", "eventlet.patcher"):
        hook.when_imported(module, _changes_threads)


def _changes_threads(module: ModuleType) -> None:
    from perfagent.launch import green

    green.arrived(module)


def is_held() -> bool:
    """Whether there is no thread of ours now, because of `hold`."""
    return bool(_holding)


def hold() -> None:
    """As before a fork, for a program in C that will fork without a word to Python; until `release`."""
    global _holding
    _holding = os.getpid()
    _halt()


def release() -> None:
    """As after a fork, or in the same process where the program has not forked after all; once for each `hold`."""
    global _holding
    held, _holding = _holding, 0
    for _, resume, begin in _steps if held else ():
        if held == os.getpid():
            resume()
        else:
            begin()


def _before() -> None:
    # A SIGTERM to the child must not arrive before the child has a pipe of its own to hear it by.
    if _signal.SIGTERM not in _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,)):
        _unblocked.add(get_ident())
    _halt()


def _halt() -> None:
    for halt, _, _ in _steps:
        halt()
    companions.finish_imports()  # of a thread that has not ended in time


def _in_parent() -> None:
    if get_ident() not in _postponing:
        _resume()


def _resume() -> None:
    try:
        for _, resume, _ in _steps:
            resume()
    finally:
        _unblock()


def _in_child() -> None:
    global _holding
    _holding = 0
    _postponing.clear()
    try:
        for _, _, begin in _steps:
            begin()
    finally:
        _unblock()
        _unblocked.clear()


def _unblock() -> None:
    if get_ident() in _unblocked:
        _unblocked.discard(get_ident())
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))


def _resuming_later(fork: Callable[[], Any]) -> Callable[[], Any]:
    """From 3.13 on, Python counts the threads only after `after_in_parent` has run: too late to have none."""

    def wrapper() -> Any:
        thread = get_ident()
        _postponing.add(thread)
        try:
            return fork()
        finally:
            if thread in _postponing:  # else this is the child
                _postponing.discard(thread)
                _resume()

    return disguise(wrapper, fork)  # type: ignore[no-any-return]
