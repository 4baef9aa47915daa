"""What a cache does, written once for threads and for tasks: generators that yield what may wait, and who runs them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Effect(Protocol):
    """Something that may wait."""

    def now(self) -> Any:
        """Does it, blocking this thread."""

    async def later(self) -> Any:
        """Does it, leaving the event loop free."""


Steps = Generator[Effect, Any, Result]


def run(steps: Steps[Result]) -> Result:
    """Runs steps to their end in this thread and returns their result."""
    try:
        effect = next(steps)
        while True:
            try:
                result = effect.now()
            except BaseException as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def run_async(steps: Steps[Result]) -> Result:
    """The same in a task; a cancelled one still does what its steps do on their way out."""
    try:
        effect = next(steps)
        while True:
            try:
                result = await effect.later()
            except GeneratorExit:  # the task is thrown away, its loop may be closed: nothing can be awaited any more
                _abandon(steps)
                raise
            except BaseException as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _abandon(steps: Steps[Any]) -> None:
    """Ends steps without doing what they still want to."""
    try:
        while True:
            steps.throw(GeneratorExit)
    except (GeneratorExit, StopIteration):
        pass


@dataclass(frozen=True, slots=True)
class Blocking:
    """A call that waits for a disk: in a task, made by a thread."""

    call: Callable[[], Any]

    def now(self) -> Any:
        """Makes it."""
        return self.call()

    async def later(self) -> Any:
        """Has a thread make it."""
        return await asyncio.to_thread(self.call)


@dataclass(frozen=True, slots=True)
class Pause:
    """A number of seconds."""

    seconds: float

    def now(self) -> None:
        """Sleeps."""
        time.sleep(self.seconds)

    async def later(self) -> None:
        """Sleeps, too."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a computation came to: a value, or the exception that it raised.

    `spoiled` where it was invalidated meanwhile: who asked before may have it, who asked after may not.
    """

    value: Any
    error: Exception | None = None
    spoiled: bool = False

    def result(self) -> Any:
        """The value; raises the exception."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class Computation:
    """The program's own function, with its arguments in it; gives an Outcome.

    A StopIteration cannot be thrown into a generator, so exceptions are handed over as values. What ends a thread or a
    task, as a cancellation does, goes through.
    """

    call: Callable[[], Any]

    def now(self) -> Outcome:
        """Calls it."""
        try:
            return Outcome(self.call())
        except Exception as error:
            return Outcome(None, error)

    async def later(self) -> Outcome:
        """Calls it and awaits what it returns."""
        try:
            value = self.call()
            return Outcome(await value if isawaitable(value) else value)
        except Exception as error:
            return Outcome(None, error)


def worker() -> tuple[int, object]:
    """Who runs: this thread, and the task in it."""
    try:
        return threading.get_ident(), asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return threading.get_ident(), None
