"""One circuit breaker: purgatory's state machine, made safe for threads and tasks, with one call at a time on trial.

purgatory 3.0.1 alone counts without a lock, lets every call through while it is half open, and lets a slow call that
began long ago decide. Here the calls are counted under a lock, one call tries, and the result of a call counts only
for the state that it was let through in. A call through a closed breaker costs 0.2 us; purgatory's own decorator
takes 2.3 (`python -m benchmarks.micro`), for it looks the breaker up and makes an object each time.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from contextvars import ContextVar
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from purgatory import ContextChanged
from purgatory.domain.model import Context, OpenedState

from perfagent.runtime import breaker as counted
from perfagent.runtime.breaker import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType

    from perfagent.resilience.breakers.configuration import Rules
    from perfagent.resilience.breakers.storage import Repository

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
NAMES = {"closed": CLOSED, "opened": OPEN, "half-opened": HALF_OPEN}
LOOK = 1.0  # seconds between two looks at what other processes' breakers do
_trials: ContextVar[dict[str, int]] = ContextVar("perfagent_breaker_trials")


class CircuitOpenError(RuntimeError):
    """A call was not let through, because the circuit breaker is open.

    Args:
        name: the breaker's.
        retry_after: seconds until a call is let through to try; 0 where one tries just now.
    """

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after

    def __str__(self) -> str:
        wait = f"in {self.retry_after:.1f} s" if self.retry_after > 0 else "under way"
        return f"circuit breaker {self.name!r} is open, the call was not made; the next try is {wait}"


class Breaker:
    """Stands between the program and something that may fail: a decorator and a context manager, sync and async.

    After `failure_threshold` failures in a row it opens, and calls fail at once by `CircuitOpenError`. After
    `recovery_time` seconds one call is let through: where it goes well the breaker closes, else it opens again. Only
    an `Exception` is a failure: a cancelled task or Ctrl-C is none.

    Args:
        name: the breaker's.
        rules: when it opens, and for how long.
        inner: purgatory's breaker.
        shared: what other processes do; None where nobody shares it.
    """

    def __init__(self, name: str, rules: Rules, inner: Any, shared: Repository | None = None) -> None:
        self.name = name
        self.rules = rules
        self._inner = inner
        self._context: Context = inner.context
        self._shared = shared
        self._lock = threading.Lock()
        self._states = counted.of(name)
        self._trial = 0
        self._trial_until = 0.0
        self._next_look = 0.0
        self._quiet = self._calm = False  # closed without a failure; and nobody shares it
        self.fallback: Callable[..., Any] | None = None
        """Answers calls of decorated functions that are not let through, where the file names one."""
        self._settle()

    def renew(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._trial_until = 0.0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`; an open one stays so until a call comes that may try."""
        with self._lock:
            self._look()
            return NAMES[self._context.state]

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Has every call of `function`, of whatever kind, go through this breaker."""
        return guard(self, function, self.fallback)  # type: ignore[no-any-return]

    def __enter__(self) -> Breaker:
        if not self._idle():
            self._remember(self.admit())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._idle():
            return
        self.done(self._recall(), error)

    async def __aenter__(self) -> Breaker:
        if not self._idle():
            self._remember(await self.admit_async())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._idle():
            return
        await self.done_async(self._recall(), error)

    def _remember(self, trial: int) -> None:
        if trial:
            _trials.set({**_trials.get({}), self.name: trial})

    def _recall(self) -> int:
        found = _trials.get({})
        if self.name not in found:
            return 0
        _trials.set({name: trial for name, trial in found.items() if name != self.name})
        return found[self.name]

    def _idle(self) -> bool:
        """Whether there is nothing to do around a call that goes well."""
        return self._quiet and (self._shared is None or monotonic() < self._next_look)

    def admit(self) -> int:
        """Lets a call through: 0 for an ordinary one, else the number of the one that tries.

        Raises:
            CircuitOpenError: it must not be made.
        """
        with self._lock:
            self._look()
            if self._context.state == "closed":
                return 0
            if self._may_try():
                try:
                    self._context.handle_new_request()
                except OpenedState:
                    pass
                else:
                    self._settle()
                    self._trial += 1
                    self._trial_until = monotonic() + self.rules.recovery_time
                    return self._trial
            wait = (self._context.opened_at or 0) + self.rules.recovery_time - time()
        self._states.reject()
        raise CircuitOpenError(self.name, max(wait, 0.0))

    def _may_try(self) -> bool:
        """Whether it is time and nobody else tries; one that takes longer than the recovery time is given up."""
        if self._context.state == "opened" and time() <= (self._context.opened_at or 0) + self.rules.recovery_time:
            return False
        if monotonic() < self._trial_until:
            return False
        return self._shared is None or self._shared.may_try(self.name, self.rules.recovery_time)

    def done(self, trial: int, error: BaseException | None) -> None:
        """Counts how a call ended that `admit` let through.

        Args:
            trial: what `admit` returned.
            error: what it raised, or None.
        """
        with self._lock:
            state = self._context.state
            counts = state == "half-opened" and trial == self._trial if trial else state == "closed"
            if not counts:  # the breaker has moved on since
                return
            if trial:
                self._trial_until = 0.0
                if self._shared is not None:
                    self._shared.end_trial(self.name)
            if error is None:
                self._context.handle_end_request()
            elif isinstance(error, Exception):
                self._context.handle_exception(error)
            self._settle()

    async def admit_async(self) -> int:
        """As `admit`; whoever waits for Redis does not hold up the event loop."""
        return self.admit() if self._shared is None else await asyncio.to_thread(self.admit)

    async def done_async(self, trial: int, error: BaseException | None) -> None:
        """As `done`."""
        if self._shared is None or (error is not None and not isinstance(error, Exception)):
            self.done(trial, error)
            return
        await asyncio.to_thread(self.done, trial, error)

    def _settle(self) -> None:
        """Hands on what has changed: to the counters, and to the other processes."""
        context = self._context
        failed_before = self._shared is not None and bool(context.messages)
        self._hand_on()
        if failed_before and context.state == "closed" and context.failure_count:
            assert self._shared is not None
            if self._shared.failures.get(self.name, 0) >= self.rules.failure_threshold:  # those of the others count too
                context.set_state(OpenedState(self.name))
                self._hand_on()
        self._quiet = context.state == "closed" and not context.failure_count
        self._calm = self._quiet and self._shared is None

    def _hand_on(self) -> None:
        messages = self._context.messages
        while messages:
            message = messages.pop(0)
            if isinstance(message, ContextChanged):
                self._states.enter(NAMES[message.state])
            self._inner.messagebus.handle(message, self._inner.uow)

    def _look(self) -> None:
        """Takes over what another process' breaker of this name did."""
        shared = self._shared
        if shared is None or monotonic() < self._next_look:
            return
        self._next_look = monotonic() + LOOK
        found = shared.shared(self.name)
        if found is None or monotonic() < self._trial_until:
            return
        state, opened_at, failures = found
        context = self._context
        if (state, opened_at, failures) == (context.state, context.opened_at, context.failure_count or 0):
            return
        if state not in NAMES:
            return
        self._context = self._inner.context = Context(
            self.name, context.threshold, context.ttl, state, failures, opened_at, context.exclude_list
        )
        shared.register(self._context)
        self._states.show(NAMES[state])
        self._quiet = state == "closed" and not failures


def guard(breaker: Breaker, function: Callable[..., Any], fallback: Callable[..., Any] | None) -> Any:
    """`function`, each call of which goes through `breaker`; `fallback` answers those that are not let through."""
    if inspect.isasyncgenfunction(function):
        return _stream(breaker, function)
    if inspect.iscoroutinefunction(function):
        return _coroutine(breaker, function, fallback)
    if inspect.isgeneratorfunction(function):
        return _generator(breaker, function)
    return _plain(breaker, function, fallback)


def _plain(breaker: Breaker, function: Callable[..., Any], fallback: Callable[..., Any] | None) -> Any:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        trial = 0
        if not breaker._calm and not breaker._idle():
            try:
                trial = breaker.admit()
            except CircuitOpenError:
                if fallback is None:
                    raise
                return fallback(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            breaker.done(trial, error)
            raise
        if trial or not breaker._quiet:
            breaker.done(trial, None)
        return result

    return guarded


def _coroutine(breaker: Breaker, function: Callable[..., Any], fallback: Callable[..., Any] | None) -> Any:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        trial = 0
        if not breaker._idle():
            try:
                trial = await breaker.admit_async()
            except CircuitOpenError:
                if fallback is None:
                    raise
                answer = fallback(*args, **kwargs)
                return await answer if inspect.isawaitable(answer) else answer
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            await breaker.done_async(trial, error)
            raise
        if trial or not breaker._quiet:
            await breaker.done_async(trial, None)
        return result

    return guarded


def _generator(breaker: Breaker, function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        trial = breaker.admit()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            breaker.done(trial, error)
            raise
        breaker.done(trial, None)
        return result

    return guarded


def _stream(breaker: Breaker, function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        trial = await breaker.admit_async()
        stream = function(*args, **kwargs)
        try:
            async for item in stream:
                yield item
        except BaseException as error:
            await stream.aclose()
            await breaker.done_async(trial, error)
            raise
        await breaker.done_async(trial, None)

    return guarded
