"""gevent and eventlet change what a thread and a lock is: no thread of ours runs meanwhile.

The locks of Python's imports tell by a thread's number who holds them. A thread of ours that was importing something
when the numbers became others would wait for itself for good.
"""

from __future__ import annotations

from perfagent.instruments.base import disguise
from perfagent.launch import fork
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

PATCH = {"gevent.monkey": "patch_thread", "eventlet.patcher": "monkey_patch"}
OF_A_HUB = ("loop", "format_context")
"""Settings of gevent that import something when a hub is made: whoever waits for a lock makes one."""


def arrived(module: ModuleType) -> None:
    """Wraps the function of a module that was just imported, one of PATCH."""
    name = PATCH[module.__name__]
    original = getattr(module, name)

    def wrapper(*args: Any, **options: Any) -> Any:
        if fork.is_held():
            return original(*args, **options)
        try:
            fork.hold()
        except Exception:
            guard.failed("threads")
        try:
            done = original(*args, **options)
            if module.__name__ == "gevent.monkey":
                _import_hub()
            return done
        finally:
            fork.release()

    setattr(module, name, disguise(wrapper, original))


def _import_hub() -> None:
    """Imports what gevent's hubs are made of while nobody else imports.

    Two threads that wait for each other's imports, and import this to do so, would wait for good.
    """
    try:
        from gevent import config

        for setting in OF_A_HUB:
            getattr(config, setting)
    except Exception:  # a setting that gevent does not accept: it says so when the program needs it
        return
