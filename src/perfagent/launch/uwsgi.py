"""uWSGI forks its workers in C, without a word to Python: the agent waits for `uwsgi.post_fork_hook` with its threads.

A thread of ours that the master had would be lost in the workers, and might take the interpreter's lock along: uWSGI
holds none while it forks.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from perfagent.instruments import hook
from perfagent.launch import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.settings import Settings

HOOK = "post_fork_hook"


def is_here() -> bool:
    """Whether this is uWSGI: a program of that name which has Python in it."""
    if sys.orig_argv:
        return False
    try:
        return "uwsgi" in os.path.basename(os.readlink("/proc/self/exe"))
    except OSError:
        return "uwsgi" in os.path.basename(sys.executable or "")


def wait_for_workers(settings: Settings) -> None:
    """Starts no thread before uWSGI calls its hook, which it does in each worker, forked or not."""
    fork.hold()
    held = os.getpid()

    def follow(module: ModuleType) -> None:
        _follow(module, settings)
        if os.getpid() != held:  # a worker that loads the application itself (lazy-apps): the hook has been called
            vars(module)[HOOK]()

    hook.when_imported("uwsgi", follow)
    sys.meta_path.insert(0, Arrival())


class Arrival:
    """A finder that finds nothing: it tells of uWSGI's module, which is there one day without having been imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """None, or what is found of a module that somebody has begun to wait for only now."""
        module = sys.modules.get("uwsgi")
        if module is None or "opt" not in vars(module):
            return None
        sys.meta_path.remove(self)
        hook.finder.arrived(module)
        return hook.finder.find_spec(name, path, target)  # type: ignore[arg-type]


def _follow(module: ModuleType, settings: Settings) -> None:
    theirs: list[Callable[[], object]] = []

    def begin() -> None:
        _tell_of_threads(module, settings)
        fork.release()
        for call in theirs:
            call()

    class Uwsgi(ModuleType):
        """uWSGI reads the hook from the module's dict, where ours stays; the program sets and sees its own."""

        @property
        def post_fork_hook(self) -> Callable[[], object]:
            if not theirs:
                raise AttributeError(f"module 'uwsgi' has no attribute '{HOOK}'")
            return theirs[0]

        @post_fork_hook.setter
        def post_fork_hook(self, call: Callable[[], object]) -> None:
            theirs[:] = [call]

    vars(module)[HOOK] = begin
    module.__class__ = Uwsgi


def _tell_of_threads(module: ModuleType, settings: Settings) -> None:
    if module.worker_id() <= 1 and not {"enable-threads", "threads"} & set(module.opt):
        settings.report(
            "uWSGI runs without threads, so telemetry goes out only while requests run and at the exit; "
            "uwsgi --enable-threads sends it in time"
        )
