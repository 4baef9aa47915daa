"""The ways out of a process, so that the last spans are sent: exit, SIGTERM, `os._exit`, and what a fork leaves behind."""

from __future__ import annotations

import _signal  # the C module below `signal`: without the enums that make importing `signal` cost 3 ms
import atexit
import os
import sys

from perfagent.runtime import configure, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings


def install(pipeline: Pipeline, settings: Settings) -> None:
    """Makes `pipeline` send what it has on every way out of this process, and start anew in forked children."""
    seconds = settings.exit_timeout / 1000

    def in_child() -> None:
        configure.reset_after_fork(pipeline)
        pipeline.resume()

    on_the_way_out(lambda: pipeline.stop(seconds))
    os.register_at_fork(before=pipeline.halt, after_in_parent=pipeline.resume, after_in_child=in_child)


def on_the_way_out(send: Callable[[], object]) -> None:
    """Calls `send` at the exit, before `os._exit`, and on SIGTERM where the program does not handle it.

    Args:
        send: hands over what waits; must end within its time, and may be called more than once.
    """
    exit_without_cleanup = os._exit

    def leave() -> None:
        try:
            send()
        except Exception:
            guard.failed("exit")
        _keep_interrupted()

    def leave_at_once(status: int) -> NoReturn:
        # multiprocessing, Celery and many servers end their children by os._exit, which runs no atexit handler.
        leave()
        exit_without_cleanup(status)

    def terminated(number: int, frame: FrameType | None) -> None:
        # Nobody handles SIGTERM here: the process would have died at once, and does so as soon as the spans are sent.
        leave()
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)

    atexit.register(leave)
    os._exit = leave_at_once
    if _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
        try:
            _signal.signal(_signal.SIGTERM, terminated)
        except ValueError:  # started in another thread than the main one: the exit handlers have to do
            pass


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
