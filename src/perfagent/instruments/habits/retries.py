"""Retries that never give up: those that are set up so, seen once they have gone on for a while."""

from __future__ import annotations

from _thread import get_ident
from sys import _getframe

from perfagent.instruments.habits.telling import tell, tell_of
from perfagent.runtime import callers, guard
from perfagent.runtime.clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument
    from perfagent.runtime.callers import Caller

KIND = "endless_retries"
ENOUGH = 5  # attempts
MOST = 200  # calls that fail at a time
SEEN = frozenset(("perfagent.requests", "perfagent.httpx", "perfagent.urllib"))
"""Whose calls are seen to go well, too."""
BASE = (GeneratorExit, KeyboardInterrupt, SystemExit)

_failing: dict[tuple[Caller, object, int], Failing] = {}


def of_tenacity(habit: Instrument, module: ModuleType) -> None:
    """`Retrying` that nothing stops, and so stamina's with neither attempts nor timeout."""
    never = module.stop_never

    def looking(check: Callable[..., None]) -> Callable[..., None]:
        def wrapper(retrying: Any, state: Any) -> None:
            check(retrying, state)
            try:
                if retrying.stop is never and state.attempt_number >= ENOUGH:
                    _tell_tenacity(retrying, state)
            except Exception:
                guard.failed("habits")

        return wrapper

    def _tell_tenacity(retrying: Any, state: Any) -> None:
        attempts = state.attempt_number
        pauses = type(retrying.wait).__name__ != "wait_none"
        text = f"tenacity tries {attempts} times and has no stop" + ("" if pauses else ", without a pause")
        more = {"attempts": attempts, "pauses": pauses}
        code = getattr(state.fn, "__code__", None)
        if code is not None and callers.whose(code.co_filename) != callers.NOT_OWN:
            tell_of(KIND, "tenacity", (code, 0), text, more)
        else:
            tell(KIND, "tenacity", _getframe(1), text, more)

    habit.replace(module.BaseRetrying, "_post_stop_check_actions", looking)


def of_urllib3(habit: Instrument, module: ModuleType) -> None:
    """`Retry` without any total."""

    def looking(increment: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(retry: Any, *args: Any, **options: Any) -> Any:
            attempts = len(getattr(retry, "history", None) or ()) + 1
            if attempts >= ENOUGH and retry.total is None:
                pauses = bool(retry.backoff_factor)
                text = f"urllib3 has tried {attempts} times and has no total" + ("" if pauses else ", without a pause")
                tell(KIND, "urllib3", _getframe(1), text, {"attempts": attempts, "pauses": pauses})
            return increment(retry, *args, **options)

        return wrapper

    habit.replace(module.util.retry.Retry, "increment", looking)


def of_celery(habit: Instrument, module: ModuleType) -> None:
    """`Task.retry` of a task with `max_retries=None`."""

    def looking(retry: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(task: Any, *args: Any, **options: Any) -> Any:
            try:
                attempts = (task.request.retries or 0) + 1
                if attempts >= ENOUGH and options.get("max_retries", task.max_retries) is None:
                    text = f"the task {task.name} is tried {attempts} times and has no max_retries"
                    tell(KIND, "celery", _getframe(1), text, {"attempts": attempts, "pauses": True})
            except Exception:
                guard.failed("habits")
            return retry(task, *args, **options)

        return wrapper

    habit.replace(module.Task, "retry", looking)


class Failing:
    """One line's call of one address that fails again and again.

    Args:
        ended: when it failed first, by `clock.now`.
    """

    __slots__ = ("ended", "failures", "pauses")

    def __init__(self, ended: int) -> None:
        self.ended = ended
        self.failures = 1
        self.pauses: list[int] = []  # ns, the last few

    def again(self, began: int, ended: int) -> None:
        """It was tried again, and failed."""
        self.pauses.append(max(began - self.ended, 0))
        del self.pauses[: -2 * ENOUGH]
        self.ended = ended
        self.failures += 1

    def grows(self) -> bool:
        """Whether the pauses become longer, as a back-off's do."""
        return len(self.pauses) > 1 and self.pauses[-1] > 1.5 * max(self.pauses[0], 1_000_000)


def of_outgoing(habit: Instrument, module: ModuleType) -> None:
    """What the program's own loops do: the same call fails, is made again, and fails, without growing pauses.

    Only a call that fails pays: 4 us. One that goes well forgets what failed before.
    """

    def noting(failed: Callable[..., None]) -> Callable[..., None]:
        def wrapper(span: Any, error: BaseException) -> None:
            failed(span, error)
            try:
                if span is not None and span.scope.name in SEEN and not isinstance(error, BASE):
                    _note(span, _getframe(1))
            except Exception:
                guard.failed("habits")

        return wrapper

    def settling(settle: Callable[..., None]) -> Callable[..., None]:
        def wrapper(request: Any, copy: Any, outcome: Any) -> None:
            settle(request, copy, outcome)
            if _failing and not isinstance(outcome, BaseException):
                _failing.clear()

        return wrapper

    habit.replace(module, "failed", noting)
    habit.replace(module, "settle", settling)


def _note(span: Any, frame: Any) -> None:
    caller = callers.nearest(frame)
    if caller is None:
        return
    ended = now()
    within = span.trace_id if span.parent_id else get_ident()
    key = (caller, within, hash(str(span.url)))
    found = _failing.get(key)
    if found is None:
        if len(_failing) >= MOST:
            _failing.clear()
        _failing[key] = Failing(ended)
        return
    found.again(span.started, ended)
    if found.failures >= (ENOUGH if span.parent_id else 2 * ENOUGH) and not found.grows():
        longest = max(found.pauses) / 1e9
        where = " within one request" if span.parent_id else ""
        text = (
            f"the same call has failed {found.failures} times in a row{where}, with pauses of {longest:.1f} s at most"
        )
        more = {"attempts": found.failures, "pauses": longest > 0.05, "longest_pause": round(longest, 3)}
        tell_of(KIND, "loop", caller, text, more)
