"""One computation at a time, among threads and tasks, and stale values that are served meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from perfagent import Cache, cache_with_lock, cached
from perfagent.cache.entry import Entry
from perfagent.cache.flight import Flights
from perfagent.cache.key import Key
from perfagent.cache.memory import Memory
from tests.caches import Counter, in_threads, until

if TYPE_CHECKING:
    pass


@pytest.fixture
def cache() -> Cache:
    return Cache("tested", type="memory")


def test_a_stale_value_is_served_while_one_call_computes_a_new_one(cache: Cache) -> None:
    gate = threading.Event()
    count = Counter(lambda: len(count.calls) == 1 or (gate.wait(60) and len(count.calls)))
    call = cached(ttl=0.02, stale_while_revalidate=60, cache=cache, namespace="swr")(lambda: count())
    assert call() is True
    until(lambda: call() is True and len(count.calls) == 2)
    assert {call() for _ in range(20)} == {True}
    assert len(count.calls) == 2
    gate.set()
    until(lambda: call() == 2)
    assert call.report().stale >= 21


def test_a_refresh_that_fails_is_counted_and_the_stale_value_stays(cache: Cache) -> None:
    calls: list[int] = []

    def once() -> str:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("down")
        return "good"

    call = cached(ttl=0.02, stale_while_revalidate=60, cache=cache, namespace="failing")(once)
    assert call() == "good"
    until(lambda: call() == "good" and call.report().failures.get("refresh", 0) > 1)
    assert call() == "good"


def test_threads_that_ask_together_compute_once_and_all_get_it(cache: Cache) -> None:
    count = Counter(lambda *_: object(), wait=0.05)
    call = cache_with_lock(ttl_seconds=60, namespace="once", cache=cache)(lambda x: count(x))
    found = in_threads(16, lambda: call(1))
    assert len(count.calls) == len(set(found)) == 1
    assert (call.report().hits, call.report().misses) == (15, 1)
    assert len(cache._core.flights) == 0  # no lock is left of a key


def test_an_exception_reaches_all_who_wait_and_the_next_call_tries_again(cache: Cache) -> None:
    count = Counter(lambda: (_ for _ in ()).throw(OSError(str(len(count.calls)))), wait=0.1)
    call = cache_with_lock(ttl_seconds=60, namespace="raises", cache=cache)(lambda: count())
    assert {str(error) for error in in_threads(8, call)} == {"1"}
    with pytest.raises(OSError, match="2"):
        call()


def test_tasks_compute_once_and_a_cancelled_one_leaves_the_work_to_the_next(cache: Cache) -> None:
    begun: list[str] = []
    who = contextvars.ContextVar("who", default="")

    @cache_with_lock(ttl_seconds=60, cache=cache)
    async def slow(x: int) -> int:
        begun.append(who.get())
        await asyncio.sleep(0.05)
        return x * 2

    async def ask(name: str) -> int:
        who.set(name)
        return await slow(4)

    async def main() -> list[Any]:
        first = asyncio.create_task(ask("first"))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(ask(f"other {number}")) for number in range(5)]
        await asyncio.sleep(0.01)
        first.cancel()
        others[4].cancel()
        return await asyncio.gather(first, *others, return_exceptions=True)

    found = asyncio.run(main())
    assert [type(one).__name__ for one in found] == ["CancelledError", "int", "int", "int", "int", "CancelledError"]
    assert begun == ["first", "other 0"]  # each in the context of who asked
    assert asyncio.run(slow(4)) == 8
    assert asyncio.iscoroutinefunction(slow)


def test_tasks_and_threads_share_one_computation(cache: Cache) -> None:
    count = Counter(lambda: 5, wait=0.1)

    def ask() -> int:
        if threading.current_thread().name.endswith("odd"):
            return cache.get_or_compute("k", count)
        return asyncio.run(cache.aget_or_compute("k", count))

    assert in_threads(8, ask) == [5] * 8
    assert len(count.calls) == 1


def test_a_stale_value_is_served_to_tasks_too(cache: Cache) -> None:
    calls: list[int] = []

    @cached(ttl=0.02, stale_while_revalidate=60, cache=cache)
    async def value() -> int:
        calls.append(1)
        return len(calls)

    async def main() -> None:
        assert await value() == 1
        await asyncio.sleep(0.03)
        assert await value() == 1
        deadline = time.monotonic() + 60
        while await value() == 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    asyncio.run(main())


def test_a_function_that_calls_itself_for_the_same_key_does_not_wait_for_itself(cache: Cache) -> None:
    depth: list[int] = []

    @cache_with_lock(ttl_seconds=60, cache=cache)
    def again(x: int) -> int:
        depth.append(x)
        return again(x) + 1 if len(depth) < 3 else 0

    assert again(1) == 2


def test_who_interrupts_a_thread_may_use_the_cache_that_it_is_at_work_in() -> None:
    flights = Flights()

    class Interrupted(dict[Any, Any]):
        """As if a signal's handler ran in the middle of a look."""

        def setdefault(self, local: object, made: object) -> object:
            if local == "one":
                flights.join("another")
            return super().setdefault(local, made)

    flights._flights = Interrupted()
    looking = threading.Thread(target=flights.join, args=("one",), daemon=True)
    looking.start()
    looking.join(60)
    assert not looking.is_alive()
    assert len(flights) == 2

    def put(name: str) -> None:
        memory.write(memory.begin(Key(name, (), "space")), Entry(name, math.inf, math.inf, ()))

    memory = Memory(1, math.inf, lambda _: put("interrupting"))
    put("first")
    put("second")
    assert list(memory.values) == ["second"]
    assert memory.sizes == {"space": 1}
