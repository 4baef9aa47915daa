"""tenacity: how each attempt ended, as a counter; retries and giving up also as events on the current span.

It adds 1 to 2 us to a call that goes well at once, for which tenacity itself takes 15 to 20.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, retries
from perfagent.runtime.retries import FAILURE, GAVE_UP, RETRY, SUCCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

NAMED = "_perfagent_name"
"""What a library on top of tenacity leaves on `before_sleep`: its own name, and what it retries."""


class Tenacity(Instrument):
    """Patches the two places where it is decided what follows an attempt, the same for threads and tasks.

    A block of `for attempt in Retrying(): with attempt: return …` never comes there: its success is seen as it ends.
    """

    name = "tenacity"
    distribution = "tenacity"
    versions = ("8.3", "10")
    records = "attempts of retried calls"

    def patch(self, module: ModuleType) -> None:
        """Patches `BaseRetrying`, and the end of blocks."""
        self.replace(module.BaseRetrying, "_post_retry_check_actions", _judging)
        self.replace(module.BaseRetrying, "_post_stop_check_actions", _going_on)
        self.replace(module.AttemptManager, "__exit__", _leaving)


def _judging(check: Callable[..., None]) -> Callable[..., None]:
    def wrapper(retrying: Any, state: Any) -> None:
        check(retrying, state)
        try:
            decided = retrying.iter_state
            if not (decided.is_explicit_retry or decided.retry_run_result or _is_told(state)):
                system, name = _named(retrying, state)
                retries.count(system, name, SUCCESS if _error(state) is None else FAILURE)
        except Exception:
            guard.failed("tenacity")

    return wrapper


def _going_on(check: Callable[..., None]) -> Callable[..., None]:
    def wrapper(retrying: Any, state: Any) -> None:
        check(retrying, state)
        try:
            system, name = _named(retrying, state)
            outcome = GAVE_UP if retrying.iter_state.stop_run_result else RETRY
            if not _is_told(state):
                retries.count(system, name, outcome)
            retries.tell(name, outcome, state.attempt_number, _error(state))
        except Exception:
            guard.failed("tenacity")

    return wrapper


def _leaving(leave: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(attempt: Any, kind: Any, error: Any, traceback: Any) -> Any:
        try:
            if kind is None:
                state = attempt.retry_state
                system, name = _named(state.retry_object, state)
                retries.count(system, name, SUCCESS)
        except Exception:
            guard.failed("tenacity")
        return leave(attempt, kind, error, traceback)

    return wrapper


def _is_told(state: Any) -> bool:
    """Whether it is a block's attempt that ended without an exception: a success, be its result liked or not."""
    return state.fn is None and _error(state) is None


def _error(state: Any) -> BaseException | None:
    """What the attempt ended with; the future's own method takes a lock, and five times as long."""
    return state.outcome._exception  # type: ignore[no-any-return]


def _named(retrying: Any, state: Any) -> tuple[str, str]:
    """Who retries what."""
    function = state.fn
    if function is not None:
        own = getattr(function, "__qualname__", None) or type(function).__qualname__
        return "tenacity", f"{getattr(function, '__module__', '')}.{own}"
    told: tuple[str, str] | None = getattr(retrying.before_sleep, NAMED, None)
    return told or ("tenacity", getattr(retrying, "_name", None) or "block")


instrument = Tenacity()
