"""Error budgets: how many errors a service may make within a window, kept across restarts and shared by processes."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from perfagent import exits, settings
from perfagent.hub import lock
from perfagent.resilience.budgets import budget as own
from perfagent.resilience.budgets.budget import Budget, Exhausted
from perfagent.settings.resilience import ResilienceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Exhausted", "alert_if_exhausted", "get_remaining_budget", "on_budget_exhausted", "record_error"]

MOST = 1000  # services; a program that makes up names must not fill memory and disk
OTHERS = "(others)"
EXAMPLE = "ERROR_BUDGETS=api=1000,worker=500"


def record_error(service: str, n: int = 1) -> None:
    """Counts errors of a service against its budget. It takes 0.5 us and touches no file; a thread writes within 1 s.

    Nothing is lost when the program ends by itself or by SIGTERM; SIGKILL loses what it recorded in its last second.

    Args:
        service: such as "api": as in ERROR_BUDGETS, else with the default budget.
        n: how many errors.

    Raises:
        TypeError: `service` is no text, or `n` no whole number.
        ValueError: `service` is empty, or `n` is less than 1.
    """
    if n.__class__ is not int:
        raise TypeError(f"n={n!r} is not accepted: a whole number from 1, e.g. record_error({service!r}, 2)")
    if n < 1:
        raise ValueError(f"n={n!r} is not accepted: a whole number from 1, e.g. record_error({service!r}, 2)")
    (own.budgets.get(service) or _budget(service)).record(n)


def get_remaining_budget(service: str) -> int:
    """How many errors a service may still make within the window, all processes' errors counted; 0 where none.

    Args:
        service: such as "api".

    Raises:
        TypeError: `service` is no text.
        ValueError: it is empty.
    """
    return _budget(service).remaining()


def alert_if_exhausted(service: str) -> bool:
    """Tells subscribers and the log where nothing is left, once until something is left again.

    The same is done within a second of the error that spends the last of a budget; this does it at once.

    Args:
        service: such as "api".

    Returns:
        Whether nothing is left.

    Raises:
        TypeError: `service` is no text.
        ValueError: it is empty.
    """
    return _budget(service).alert()


def on_budget_exhausted(callback: Callable[[Exhausted], object]) -> Callable[[], None]:
    """Has `callback` called when a budget is exhausted, in each process that records errors of that service.

    One that raises is logged once; the others are called all the same.

    Args:
        callback: gets an `Exhausted`; called in the thread that found it out.

    Returns:
        What ends the subscription.

    Raises:
        TypeError: `callback` cannot be called.
    """
    if not callable(callback):
        raise TypeError(f"callback={callback!r} is not accepted: a function that takes what is exhausted")
    own.subscribers.append(callback)

    def end() -> None:
        if callback in own.subscribers:
            own.subscribers.remove(callback)

    return end


def count_answers(service: str) -> bool:
    """Counts this program's own 5xx answers, where ERROR_BUDGETS names its service; the agent calls it.

    Returns:
        Whether it does.
    """
    _start()
    found = own.budgets.get(service)
    if found is None:
        return False
    from perfagent.runtime import http

    record = found.record
    http.failing = lambda: record(1)
    return True


def parse(text: str) -> tuple[dict[str, int], list[str]]:
    """The budgets of a text such as `api=1000,worker=500`, and what is wrong with its other entries, one line each."""
    found: dict[str, int] = {}
    problems = []
    for entry in text.split(","):
        name, equals, number = (part.strip() for part in entry.partition("="))
        if not entry.strip():
            continue
        if name and equals and number.isascii() and number.isdigit() and int(number) >= 1 and name not in found:
            found[name] = int(number)
            continue
        rule = "it stands there twice" if name in found else "service=errors, the errors a whole number from 1"
        problems.append(f"ERROR_BUDGETS: entry {entry.strip()[:100]!r} is not accepted: {rule}; e.g. {EXAMPLE}")
    return found, problems


_making = threading.RLock()
_started = False


def _budget(service: str) -> Budget:
    if not isinstance(service, str):
        raise TypeError(f'service={service!r} is not accepted: a text, e.g. record_error("api")')
    if not service:
        raise ValueError('service="" is not accepted: a name, e.g. record_error("api")')
    with _making:
        _start()
        found = own.budgets.get(service)
        if found is not None:
            return found
        return _make(service if len(own.budgets) < MOST else OTHERS, ResilienceSettings.current().error_budget_default)


def _make(service: str, limit: int) -> Budget:
    found = own.budgets.get(service)
    if found is None:
        table = ResilienceSettings.current()
        folder = table.error_budget_directory or os.path.join(lock.directory(settings.current()), "error-budgets")
        found = own.budgets[service] = Budget(service, limit, table.error_budget_days, os.path.expanduser(folder))
    return found


def _start() -> None:
    """Makes the budgets that the settings name; once."""
    global _started
    with _making:
        if _started:
            return
        _started = True
        own.gauges()
        table = ResilienceSettings.current()
        named, problems = parse(table.error_budgets)
        for problem in problems:
            table.report(problem)
        for service, limit in named.items():
            _make(service, limit)
        exits.on_shutdown(own.write)


def _in_child() -> None:
    global _making
    _making = threading.RLock()
    if _started:
        exits.on_shutdown(own.write)


os.register_at_fork(after_in_child=_in_child)
