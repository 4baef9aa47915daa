"""A coroutine that is driven step by step sees, does and leaves what it would without."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.runtime.clock import now
from perfagent.runtime.timeparts.loops import driven
from perfagent.runtime.timeparts.parts import Parts, encoded, union
from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def plain(awaitable: Awaitable[Any]) -> Awaitable[Any]:
    """As it is."""
    return awaitable


def timed(awaitable: Awaitable[Any]) -> Awaitable[Any]:
    """Driven for a request."""
    parts = Parts()
    parts.began = now()
    return driven(parts, awaitable)


async def answering() -> list[object]:
    """Returns, awaits, sets a context variable."""
    variable.set(variable.get() + 1)
    await asyncio.sleep(0)
    return [variable.get(), await asyncio.sleep(0.001, "slept")]


async def failing() -> None:
    """Fails after a wait."""
    await asyncio.sleep(0)
    raise LookupError("no such thing")


async def recovering() -> list[object]:
    """Is cancelled, and fails in the course of cleaning up; the failure has no context of ours."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        pass
    seen: list[object] = [sys.exc_info()[0]]
    try:
        raise ValueError("own")
    except ValueError as error:
        seen.append(error.__context__)
    return seen


async def timing_out() -> str:
    """A time-out within it."""
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except asyncio.TimeoutError:
        return "too late"
    return "in time"


async def gathering() -> list[int]:
    """Tasks of its own."""

    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return number

    return await asyncio.gather(*(one(number) for number in range(5)))


@pytest.mark.parametrize("work", [answering, failing, recovering, timing_out, gathering])
def test_a_driven_coroutine_does_what_it_did(work: Callable[[], Awaitable[Any]]) -> None:
    def outcome(way: Callable[[Awaitable[Any]], Awaitable[Any]]) -> object:
        async def whole() -> object:
            try:
                return await way(work()), variable.get()
            except Exception as error:
                return type(error), error.args, error.__context__, error.__cause__

        return asyncio.run(whole())

    assert outcome(timed) == outcome(plain)


def test_a_cancelled_one_ends_as_cancelled_and_runs_its_finally() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("finally")

    async def whole() -> None:
        task = asyncio.ensure_future(_awaiting(timed(work())))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(whole())
    assert ended == ["finally"]


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def test_one_that_is_never_finished_is_closed() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(sys.exc_info()[0])

    async def whole() -> None:
        coroutine = _awaiting(timed(work()))
        coroutine.send(None)
        coroutine.close()

    asyncio.run(whole())
    assert ended == [GeneratorExit]


def test_nothing_that_it_waited_for_is_kept() -> None:
    class Thing(asyncio.Future[None]):
        pass

    async def work() -> bool:
        thing = Thing()
        asyncio.get_running_loop().call_soon(thing.set_result, None)
        await thing
        known = weakref.ref(thing)
        del thing
        await asyncio.sleep(0)
        gc.collect()
        return known() is None

    assert asyncio.run(_awaiting(timed(work())))


def test_an_awaitable_that_is_no_coroutine_is_driven_too() -> None:
    class Answer:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 5

    assert asyncio.run(_awaiting(timed(Answer()))) == 5


def test_waits_side_by_side_count_once() -> None:
    assert union([(0, 10), (5, 20), (30, 40), (32, 35)]) == 30
    parts = Parts()
    parts.cpu = 100
    parts.pools = [(0, 400), (100, 500)]
    parts.waits = {"lock": 900}
    told = encoded(parts, 1000)
    assert b"perfagent.time.pool" in told
    assert b"perfagent.time.lock" in told


JOB = """
import time
from perfagent.runtime.messaging import Client, ProcessSpan
from perfagent.runtime.span import CONSUMER, Scope

deadline = time.monotonic() + 20
client = Client("jobs")
while time.monotonic() < deadline:
    span = ProcessSpan(Scope("test"), CONSUMER, None, client, "queue")
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
    span.finish()
    if time.monotonic() > deadline - 16:
        break
"""


@pytest.mark.slow
def test_a_message_is_timed_as_a_request_is(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    env = agent_env(receiver, PERFAGENT_TIME_PARTS="true")
    run_program("perfagent", "run", sys.executable, str(tmp_path / "job.py"), env=env).check()
    told = [one.attributes["perfagent.time.cpu"] for one in receiver.spans if "perfagent.time.cpu" in one.attributes]
    assert told
    assert min(told) == pytest.approx(200e6, rel=0.1)
