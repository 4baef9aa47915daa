"""The ways out of a process, so that the last spans are sent: exit, `os._exit`, `os.exec*`, a deadly signal."""

from __future__ import annotations

import atexit
import os
import sys

from perfagent.instruments.base import disguise
from perfagent.launch import environment, fork, signals
from perfagent.runtime import configure, flight, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings

HUB_BOOT = 4.5  # seconds; less than signals.LONGEST


def install(pipeline: Pipeline, settings: Settings) -> None:
    """Makes `pipeline` send what it has on every way out of this process, and start anew in forked children."""
    on_the_way_out(lambda: pipeline.stop(_seconds(settings)), lambda: pipeline.flush_news(_seconds(settings)))

    def in_child() -> None:
        configure.reset_after_fork(pipeline)
        pipeline.resume()

    fork.around(pipeline.halt, pipeline.resume, in_child)


def _seconds(settings: Settings) -> float:
    """How long the exit may take. A program that ends while the hub that was started for it still boots, which takes
    0.9 s on an idle machine and several on a busy one, waits for it: that once, and no longer than HUB_BOOT after its
    start.
    """
    seconds = settings.exit_timeout / 1000
    started = settings.environ.get("PERFAGENT_HUB_STARTED", "")
    if started.isdecimal():
        from time import time

        seconds = max(seconds, min(int(started) + HUB_BOOT - time(), HUB_BOOT))
    return seconds


def on_the_way_out(send: Callable[[], object], send_and_stay: Callable[[], object] | None = None) -> None:
    """Calls `send` at the exit, before `os._exit`, and on a signal that ends the process because nobody handles it.

    Args:
        send: hands over what waits; must end within its time, and may be called more than once.
        send_and_stay: does so before `os.exec*`, which fails where there is no such program; `send` when left out.
    """
    leave = Leaving(send)
    exit_without_cleanup = os._exit

    def _exit(status: int) -> NoReturn:
        # multiprocessing, Celery and many servers end their children by os._exit, which runs no atexit handler.
        if flight.recorder is not None:
            flight.recorder.exit_status = status
        leave()
        exit_without_cleanup(status)

    atexit.register(leave)
    os._exit = disguise(_exit, exit_without_cleanup)
    os.execv = _executing(os.execv, send_and_stay or send)
    os.execve = _executing(os.execve, send_and_stay or send)
    os.waitpid = disguise(_noticing(os.waitpid), os.waitpid)
    signals.install(leave)


class Leaving:
    """What is done before the process ends.

    Args:
        send: hands over what waits.
    """

    def __init__(self, send: Callable[[], object]) -> None:
        self.send = send
        self.begun = False

    def __call__(self) -> None:
        """Does it."""
        self.begun = True
        _guarded(self.send)
        _keep_interrupted()


def _executing(execute: Callable[..., NoReturn], send: Callable[[], object]) -> Any:
    """Sends before the program replaces itself; all of `os.exec*` end in these two."""

    def wrapper(*arguments: Any, **options: Any) -> NoReturn:
        _guarded(send)
        try:
            if len(arguments) > 2:
                arguments = (*arguments[:2], environment.with_us_first(arguments[2]))
            elif "env" not in options:
                environment.stay_first(os.environ)
        except Exception:
            guard.failed("environment")
        recorder = flight.recorder
        if recorder is None:
            execute(*arguments, **options)
        else:
            recorder.replaced(True)
            try:
                execute(*arguments, **options)
            finally:
                recorder.replaced(False)

    wrapper = disguise(wrapper, execute)
    if execute in os.supports_fd:
        os.supports_fd.add(wrapper)
    return wrapper


def _noticing(wait: Callable[[int, int], tuple[int, int]]) -> Callable[[int, int], tuple[int, int]]:
    """Tells the flight recorder of a child that a signal ended: nobody but its parent knows which one."""

    def wrapper(pid: int, options: int, /) -> tuple[int, int]:
        found = wait(pid, options)
        try:
            if found[1] & 0x7F and flight.recorder is not None:
                flight.recorder.child_ended(*found)
        except Exception:
            guard.failed("flight recorder")
        return found

    return wrapper


def _guarded(send: Callable[[], object]) -> None:
    try:
        send()
    except Exception:
        guard.failed("exit")


def _keep_interrupted() -> None:
    """Keeps the exit status of a program that Ctrl-C ended.

    CPython remembers that the program's code ended by KeyboardInterrupt, so as to end by SIGINT itself, and forgets it
    with the next `eval` of a string, such as the one in `collections.namedtuple` of whatever is imported at exit.
    """
    if getattr(sys, "last_type", None) is KeyboardInterrupt:
        try:
            eval("interrupt()", {"interrupt": _interrupt})  # noqa: S307 - makes CPython remember again
        except KeyboardInterrupt:
            pass


def _interrupt() -> None:
    raise KeyboardInterrupt
