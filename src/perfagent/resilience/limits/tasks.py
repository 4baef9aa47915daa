"""Background tasks: work that waits while memory or CPU is short."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from perfagent.resilience.limits import get_resource_limits
from perfagent.runtime.pressure import EXCEEDED, FINE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from perfagent.resilience.limits import ResourceLimits

Function = TypeVar("Function", bound="Callable[..., Any]")

LONGEST = 30.0  # seconds that a task waits at most where a limit is exceeded; then it takes one step
LOOK = 0.5  # seconds between two looks meanwhile
PAUSE = 2.0  # seconds that it is slowed down by at most where it is tight
SHORTEST = 0.01  # seconds

_limits: ResourceLimits | None = None
_last: dict[str, float] = {}  # by task: when it last went on


def throttle(task: str = "", longest: float = LONGEST) -> Waiting:
    """Waits while memory or CPU is short: call it between two steps of background work, as `await throttle()` in a
    coroutine and as `throttle()` elsewhere.

    Where a warning threshold is passed, it waits as long as the step before took, up to four times that nearer to the
    limit, and 2 s at most. Beyond the limit it waits until that is over. Otherwise it returns
    at once: in 0.1 us without a limit, in 7 with one.

    Args:
        task: what works, for the metric of how long it waited; "background" when left out.
        longest: seconds that it waits at most; then the work goes on by one step.

    Returns:
        Something to await in a coroutine, where calling alone does not wait; `seconds` tells how long it waited.

    Raises:
        ValueError: `longest` is negative.
    """
    global _limits
    limits = _limits
    if limits is None:
        limits = _limits = get_resource_limits()
    if not limits.resources:
        return NONE
    if longest < 0:
        raise ValueError(f"longest={longest!r} is not accepted: seconds from 0, such as 30.0")
    waiting = Waiting(limits, task or "background", longest)
    if not _in_event_loop():
        waiting.block()
    return waiting


def _in_event_loop() -> bool:
    events = sys.modules.get("asyncio")
    return events is not None and events._get_running_loop() is not None


class Waiting:
    """A wait of one task; awaitable.

    Args:
        limits: what it waits for; None for nothing.
        task: its name.
        longest: seconds.
    """

    __slots__ = ("_limits", "_longest", "_task", "seconds")

    def __init__(self, limits: ResourceLimits | None, task: str, longest: float) -> None:
        self._limits = limits
        self._task = task
        self._longest = longest
        self.seconds = 0.0
        """How long it waited."""

    def _pauses(self) -> Generator[float, None, None]:
        """The seconds to sleep, one after the other."""
        limits = self._limits
        if limits is None:
            return
        begin = time.monotonic()
        if limits.look() != FINE:
            yield min(self._pause(limits, begin), self._longest)
            until = begin + self._longest
            while limits.look() == EXCEEDED and time.monotonic() < until:
                yield min(LOOK, until - time.monotonic())
            self.seconds = time.monotonic() - begin
            limits.waited(self._task, self.seconds)
        self._limits = None  # awaited twice, it waits once
        if len(_last) > 1000:
            _last.clear()
        _last[self._task] = time.monotonic()

    def _pause(self, limits: ResourceLimits, now: float) -> float:
        worked = max(now - _last.get(self._task, now), SHORTEST)
        return min(worked * (1 + 3 * limits.excess), PAUSE)

    def block(self) -> None:
        """Waits in this thread."""
        for pause in self._pauses():
            time.sleep(max(pause, 0))

    def __await__(self) -> Generator[Any, None, Waiting]:
        for pause in self._pauses():
            import asyncio

            yield from asyncio.sleep(max(pause, 0)).__await__()
        return self


NONE = Waiting(None, "", 0)


@overload
def background_task(function: Function) -> Function: ...


@overload
def background_task(*, name: str = "", longest: float = LONGEST) -> Callable[[Function], Function]: ...


def background_task(function: Any = None, *, name: str = "", longest: float = LONGEST) -> Any:
    """A decorator for a function that works in the background: it is throttled before each call.

    A generator, also an asynchronous one, is throttled before each of its steps.

    Args:
        function: the function, where the decorator has no arguments.
        name: of the task in metrics; the function's when left out.
        longest: seconds that a call waits at most where a limit is exceeded.

    Returns:
        The function, with the same signature.

    Raises:
        TypeError: it is no function.
        ValueError: `longest` is negative.
    """
    if longest < 0:
        raise ValueError(f"longest={longest!r} is not accepted: seconds from 0, such as 30.0")
    if function is None:
        return functools.partial(background_task, name=name, longest=longest)
    if not callable(function):
        raise TypeError(f"background_task takes a function, not {function!r}: write @background_task above one")
    return _wrapped(function, name or getattr(function, "__qualname__", "background"), longest)


def _wrapped(function: Callable[..., Any], task: str, longest: float) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **options: Any) -> Any:
            await throttle(task, longest)
            return await function(*args, **options)

    elif inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **options: Any) -> Any:
            steps = function(*args, **options)
            try:
                await throttle(task, longest)
                async for item in steps:
                    yield item
                    await throttle(task, longest)
            finally:
                await steps.aclose()

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def wrapper(*args: Any, **options: Any) -> Any:
            return (yield from _slowed(function(*args, **options), task, longest))

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **options: Any) -> Any:
            throttle(task, longest)
            return function(*args, **options)

    return wrapper


def _slowed(steps: Generator[Any, Any, Any], task: str, longest: float) -> Generator[Any, Any, Any]:
    step: Callable[[Any], Any] = steps.send
    value: Any = None
    while True:
        throttle(task, longest)
        try:
            item = step(value)
        except StopIteration as end:
            return end.value
        try:
            value, step = (yield item), steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            value, step = error, steps.throw
