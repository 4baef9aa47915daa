"""A measured block or function: a context manager and a decorator, for code of every colour."""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypeVar, cast

from perfagent.monitor.emission import own, scope
from perfagent.runtime.context import current
from perfagent.runtime.span import INTERNAL, Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextvars import Token
    from types import TracebackType

    from perfagent.monitor.window import Track
    from perfagent.runtime.metric import Series

    Function = TypeVar("Function", bound=Callable[..., Any])


class Measured:
    """What `measure` gives: `with` or `async with` it, or put it above a function.

    Args:
        track: the metric that the durations go to.
        traced: whether a block within a trace is a span of it.
    """

    __slots__ = ("began", "span", "token", "traced", "track")
    track: Track
    span: Span
    token: Token[Any]

    def __init__(self, track: Track, traced: bool = False) -> None:
        self.track = track
        self.traced = traced
        self.began = 0

    def __enter__(self) -> Measured:
        if self.began:
            raise RuntimeError(
                f"the block {self.track.name!r} is being measured by this object already; "
                "call measure() anew for each `with`, as in `with monitor.measure(name):`"
            )
        if self.traced:
            self._open()
        self.began = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ended = perf_counter_ns()
        seconds = (ended - self.began) / 1e9
        self.began = 0
        track = self.track
        if kind is None:  # as Track.record, without the call and the second reading of the clock
            pending = track.pending
            pending.append((ended, seconds))
            track.emit(seconds)
            if len(pending) >= track.batch:
                track.fold()
        else:
            _failed(track, seconds, kind)
        if self.traced:
            self._close(seconds, error)

    async def __aenter__(self) -> Measured:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _open(self) -> None:
        parent = current.get()
        if parent is None or parent.nobody:
            self.traced = False
            return
        self.span = Span(scope, self.track.name, INTERNAL, parent)
        self.token = current.set(self.span)

    def _close(self, seconds: float, error: BaseException | None) -> None:
        span = self.span
        try:
            current.reset(self.token)
        except ValueError:  # ended in another context than it began in: that one keeps what it has
            pass
        if error is not None:
            span.fail(error)
        span.finish()
        if span.flags & 1:
            series = getattr(self.track.emit, "__self__", None)
            if series is not None:
                series.exemplify(seconds, perf_counter_ns(), span.trace_id, span.span_id)

    def __call__(self, function: Function) -> Function:
        """The function, measured at each call; a generator from its first value on until it ends or is closed.

        Raises:
            TypeError: that is no function.
        """
        if isinstance(function, (staticmethod, classmethod)):
            return cast("Function", type(function)(self(function.__func__)))
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"measure() goes above a function, not above {function!r}; above a class's __init__, say")
        kinds = (
            (iscoroutinefunction, _coroutine),
            (isasyncgenfunction, _async_generator),
            (isgeneratorfunction, _generator),
        )
        asked = (function, type(function).__call__)  # an object may be called by a coroutine function
        wrap = next((wrap for is_one, wrap in kinds if any(map(is_one, asked))), _plain)
        return cast("Function", wraps(function)(wrap(function, self.track, self.traced)))


def _plain(function: Callable[..., Any], track: Track, traced: bool) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with Measured(track, traced):
            return function(*args, **kwargs)

    return wrapper


def _coroutine(function: Callable[..., Any], track: Track, traced: bool) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with Measured(track, traced):
            return await function(*args, **kwargs)

    return wrapper


def _generator(function: Callable[..., Any], track: Track, traced: bool) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _Silent(track):
            return (yield from function(*args, **kwargs))

    return wrapper


def _async_generator(function: Callable[..., Any], track: Track, traced: bool) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        with _Silent(track):
            try:
                value = await generator.__anext__()
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        value = await generator.athrow(error)
                    else:
                        value = await generator.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await generator.aclose()

    return wrapper


class _Silent(Measured):
    """A generator's: never a span, for its consumer's code would run within it; to be closed is no failure."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:
            kind = error = None
        super().__exit__(kind, error, traceback)


def _failed(track: Track, seconds: float, kind: type[BaseException]) -> None:
    """A block that ended by an exception: its duration counts, and what kind of exception it was."""
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    track.keep(seconds)
    if track.muted:
        return
    track.failures += 1
    block(track.name, track.category, name).record(seconds)


def block(name: str, category: str, error: str = "") -> Series:
    """The series of the blocks of a name in the registry.

    Args:
        name: of the block.
        category: what it belongs to.
        error: the type of the exception that they ended by; "" for those that did not.
    """
    attributes = {"block": name, "category": category}
    if error:
        attributes["error.type"] = error
    return own("block.duration").of(attributes)
