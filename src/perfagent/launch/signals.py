"""Signals that nobody handles: the last spans are sent, then the process dies of the signal as it would have at once.

The program sees the default disposition all the same. Where it asks for the default anew, as gunicorn's workers and a
uvicorn that has shut down do, it gets ours again.
"""

from __future__ import annotations

import _signal  # the C module below `signal`: without the enums that make importing `signal` cost 3 ms
import os

from perfagent.instruments import hook
from perfagent.instruments.base import disguise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

    from perfagent.launch.lifecycle import Leaving

ASKED = (_signal.SIGTERM, _signal.SIGINT)
"""The signals somebody sends to end a program. Python itself handles SIGINT, until a program asks for the default."""


def install(leave: Leaving) -> None:
    """Calls `leave` before this process or a forked child dies of SIGTERM, or of SIGINT by its default disposition."""

    def terminated(number: int, frame: FrameType | None) -> None:
        if leave.begun:  # without us it would be gone by now, with a status of its own: multiprocessing.Pool sees it
            return
        leave()
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def arm() -> None:
        leave.begun = False
        if _kills() and _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
            try:
                _signal.signal(_signal.SIGTERM, terminated)
            except ValueError:  # in another thread than the main one: the exit handlers have to do
                pass

    arm()
    os.register_at_fork(after_in_child=arm)
    hook.install()
    hook.when_imported("signal", lambda module: _hide(module, terminated))


def _kills() -> bool:
    """Whether a signal kills by default: not the first process of a container, which the kernel protects from that."""
    return os.getpid() != 1


def _hide(module: ModuleType, terminated: Callable[[int, FrameType | None], None]) -> None:
    set_handler, get_handler, default = module.signal, module.getsignal, module.SIG_DFL

    def signal(signalnum: Any, handler: Any) -> Any:
        if isinstance(handler, int) and handler == _signal.SIG_DFL and signalnum in ASKED and _kills():
            handler = terminated
        previous = set_handler(signalnum, handler)
        return default if previous is terminated else previous

    def getsignal(signalnum: Any) -> Any:
        handler = get_handler(signalnum)
        return default if handler is terminated else handler

    module.signal = disguise(signal, set_handler)  # type: ignore[attr-defined]
    module.getsignal = disguise(getsignal, get_handler)  # type: ignore[attr-defined]
