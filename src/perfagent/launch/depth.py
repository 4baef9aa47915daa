"""Starts what looks deeper than spans: each feature is a module with `install(settings)`, loaded where it is on."""

from __future__ import annotations

import sys

from perfagent.runtime import frames, guard, outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.settings import Settings

FEATURES: tuple[tuple[str, str], ...] = (
    ("habits", "perfagent.instruments.habits"),
    ("explain", "perfagent.explain"),
)
"""The option of `Settings` that a feature hangs on, and its module: what must see the program from its beginning on."""
LATER: tuple[tuple[str, str], ...] = (
    ("max_overhead", "perfagent.runtime.governor"),
    ("profiler", "perfagent.profiler.sampling"),
    ("blocked_loop", "perfagent.vitals.blocked"),
    ("leaks", "perfagent.profiler.leaks"),
    ("time_parts", "perfagent.instruments.timeparts"),
)
"""What may begin when the program has run for a while, in the background: it adds nothing to a start."""
OUTSIDE = {"profiler": "perfagent.profiler.sampling", "blocked_loop": "perfagent.vitals.blocked"}
"""What is nothing but looks at threads that run."""
BLIND = (
    "this Python runs without the interpreter's lock, so nobody can look at a thread that runs: the profiler and the "
    "search for blocked event loops are off; PYTHON_GIL=1 turns the lock on"
)


def install(settings: Settings) -> None:
    """Starts the features that are on; one that fails leaves the others and the program alone."""
    for option, module in FEATURES:
        if getattr(settings, option):
            _start(module, settings)
    if not sys.orig_argv and not _is_uwsgi():  # embedded in a program that nobody has tried these in
        return
    for option, module in LATER:
        if option == "profiler" and settings.profiler and settings.profiler_at_once:
            _start(module, settings)
        elif getattr(settings, option):
            outbox.deferred.append(_starting(module, settings))


def _is_uwsgi() -> bool:
    from perfagent.launch import uwsgi

    return uwsgi.is_here()


def _starting(module: str, settings: Settings) -> Callable[[], None]:
    return lambda: _start(module, settings)


def left_out(settings: Settings) -> list[str]:
    """What is on and cannot work here, for people."""
    return [] if frames.has_lock() or not any(getattr(settings, option) for option in OUTSIDE) else [BLIND]


def _refuse(_: object) -> object:
    raise ValueError(BLIND)


def _start(module: str, settings: Settings) -> None:
    if module in OUTSIDE.values() and not frames.has_lock():
        if module == OUTSIDE["profiler"]:
            outbox.commands["profiler"] = _refuse
        return
    try:
        __import__(module)
        sys.modules[module].install(settings)
    except Exception:
        guard.failed(module.rpartition(".")[2])
