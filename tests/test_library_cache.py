"""The decorators and `Cache` in memory: keys, times, exceptions, one computation at a time, what is refused."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import time
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perfagent import Cache, cache_with_lock, cached, get_cache
from tests.caches import Counter, in_threads, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunText


@pytest.fixture
def cache() -> Cache:
    return Cache("tested", type="memory")


def test_a_call_is_known_by_its_arguments_however_they_are_given(cache: Cache) -> None:
    count = Counter()

    @cached(ttl=60, cache=cache)
    def add(a: object, b: int = 2, *, c: object = None) -> Any:
        return count(a, b, c)

    @cached(ttl=60, cache=cache)
    def plain(a: int, b: int = 2) -> Any:
        return count(a, b)

    assert add(1) == add(1, 2) == add(a=1, b=2) == add(b=2, a=1, c=None) == (1, 2, None)
    assert plain(1) == plain(1, 2) == plain(a=1) == plain(b=2, a=1) == (1, 2)
    assert len(count.calls) == 2
    for a in (1.0, True, "1", b"1", [1], (1,), {"x": 1}, {1}, 0.0, -0.0):
        add(a)
        add(a)
    assert len(count.calls) == 12
    assert (add.report().hits, add.report().misses) == (13, 11)
    assert (plain.report().hits, plain.report().misses, plain.report().hit_ratio) == (3, 1, 0.75)


def test_functions_of_one_name_do_not_share_values_unless_they_share_a_namespace(cache: Cache) -> None:
    def make(number: int, **more: Any) -> Any:
        @cached(ttl=60, cache=cache, **more)
        def times(x: int) -> int:
            return x * number

        return times

    assert [make(2)(5), make(3)(5)] == [10, 15]
    assert [make(2, namespace="n")(5), make(3, namespace="n")(5)] == [10, 10]
    assert [make(4, namespace="n", version="2")(5), make(5, namespace="n", version="3")(5)] == [20, 25]


def test_a_method_takes_a_key_and_tells_so_without_one(cache: Cache) -> None:
    class Shop:
        def __init__(self, number: int) -> None:
            self.number = number

        @cached(ttl=60, cache=cache, key=lambda self, x: (self.number, x))
        def price(self, x: int) -> int:
            return self.number * x

        @cached(ttl=60, cache=cache)
        def wrong(self, x: int) -> int:
            return x

    assert [Shop(2).price(3), Shop(2).price(3), Shop(3).price(3)] == [6, 6, 9]
    with pytest.raises(
        TypeError, match=r"Shop\.wrong: a value of type .*Shop cannot be part of a cache's key: give key="
    ):
        Shop(1).wrong(1)


def test_what_a_function_is_called_with_wrongly_is_its_own_error(cache: Cache) -> None:
    @cached(ttl=60, cache=cache)
    def one(a: int) -> int:
        return a

    with pytest.raises(TypeError, match="missing a required argument"):
        one()  # type: ignore[call-arg]


def test_values_end_with_their_time(cache: Cache) -> None:
    count = Counter(lambda: len(count.calls))
    call = cached(ttl=0.05, namespace="short", cache=cache)(lambda: count())
    assert call() == 1
    until(lambda: call() == 2)
    cache.set("a", 1, ttl=timedelta(milliseconds=20))
    cache.set("b", 1, ttl=math.inf)
    until(lambda: cache.get("a") is None)
    assert cache.get("b") == 1
    assert cache.clean() >= 0
    assert cache.report().tiers[0].size is not None


def test_jitter_ends_values_early_and_never_late() -> None:
    cache = Cache("jitter", type="memory", jitter=0.5, ttl=1000)
    for number in range(50):
        cache.set(number, number)
    left = [entry.expires - time.monotonic() for entry in dict(cache._core.tiers.memory.values).values()]  # type: ignore[union-attr]
    assert 499 < min(left) < max(left) <= 1000
    assert max(left) - min(left) > 100


def test_the_least_recently_used_goes_and_is_counted() -> None:
    cache = Cache("small", type="memory", size=3)
    for name in "abc":
        cache.set(name, name)
    cache.get("a")
    cache.set("d", "d")
    assert [cache.get(name) for name in "abcd"] == ["a", None, "c", "d"]
    report = cache.report()
    assert report.evictions == 1
    assert (report.tiers[0].size, report.tiers[0].max_size, report.tiers[0].utilization) == (3, 3, 1.0)


def test_none_is_a_value_and_negative_ttl_says_how_long(cache: Cache) -> None:
    count = Counter(lambda *_: None)
    kept = cached(ttl=60, cache=cache, namespace="kept")(lambda x: count(x))
    never = cached(ttl=60, cache=cache, namespace="never", negative_ttl=0)(lambda x: count(x))
    short = cached(ttl=60, cache=cache, namespace="short", negative_ttl=0.05)(lambda x: count(x))
    for function, calls in ((kept, 1), (never, 2)):
        before = len(count.calls)
        function(1)
        function(1)
        assert len(count.calls) - before == calls
    before = len(count.calls)
    until(lambda: short(1) or len(count.calls) == before + 2)


def test_exceptions_are_kept_only_where_they_are_named(cache: Cache) -> None:
    count = Counter(lambda error: (_ for _ in ()).throw(error))

    @cached(ttl=60, cache=cache, negative_ttl=60, negative_errors=(KeyError,), key=lambda error: repr(error))
    def fail(error: Exception) -> None:
        count(error)

    for _ in range(3):
        with pytest.raises(KeyError, match="gone") as caught:
            fail(KeyError("gone"))
    assert len(caught.traceback) < 12  # raising it again does not add to it
    for _ in range(3):
        with pytest.raises(ValueError, match="other"):
            fail(ValueError("other"))
    assert len(count.calls) == 4


def test_a_function_that_raises_stopiteration_raises_that(cache: Cache) -> None:
    call = cached(ttl=60, cache=cache, namespace="stop")(lambda: next(iter(())))
    with pytest.raises(StopIteration):
        call()


def test_what_is_invalidated_while_it_is_computed_is_not_kept(cache: Cache) -> None:
    for forget in (
        lambda: cache.invalidate("k"), lambda: cache.invalidate_tags("t"), cache.clear, lambda: cache.set("k", "new"),
    ):  # fmt: skip
        cache.clear()
        assert cache.get_or_compute("k", lambda: (forget(), "old")[1], tags=["t"]) == "old"  # noqa: B023
        assert cache.get("k") in (None, "new")


def test_tags_forget_what_has_them_and_nothing_else(cache: Cache) -> None:
    @cached(ttl=60, cache=cache, tags=lambda user, kind: [f"user:{user}", kind])
    def page(user: int, kind: str) -> tuple[int, str]:
        return user, kind

    for user in (1, 2):
        for kind in ("a", "b"):
            page(user, kind)
    cache.set("x", 1, tags=["a", "b"])
    assert cache.invalidate_tags("user:1") == 2
    assert cache.invalidate_tags("b") == 2
    assert cache.get("x") is None
    page(2, "a")
    assert page.report().hits == 1
    assert page.invalidate(2, "a")
    assert not page.invalidate(2, "a")
    page(1, "a")
    assert page.clear() == 1


def test_warming_fills_in_what_is_missing_and_goes_on_after_a_failure(cache: Cache) -> None:
    count = Counter(lambda x: 1 // x)
    share = cached(ttl=60, cache=cache, namespace="share")(lambda x: count(x))
    share(1)
    warmed = share.warm([1, 2, (4,), 0], workers=2)
    assert (warmed.loaded, warmed.present, warmed.failed) == (2, 1, 1)
    assert share.report().failures == {"warming": 1}
    warmed = cache.warm({"a": 1, "b": lambda: 2, "c": lambda: 1 // 0})
    assert (warmed.loaded, warmed.failed, cache.get("a"), cache.get("b")) == (2, 1, 1, 2)

    @cached(ttl=60, cache=cache)
    async def later(x: int) -> int:
        return x

    warmed = asyncio.run(later.awarm(range(5), workers=2))
    assert (warmed.loaded, asyncio.run(later(3)), later.report().hits) == (5, 3, 1)
    with pytest.raises(TypeError, match="awarm"):
        later.warm([1])


def test_a_value_goes_with_its_cache_and_a_cache_with_its_last_reference() -> None:
    class Value:
        pass

    cache = Cache("gone", type="memory")
    value = Value()
    cache.set("a", value)
    assert cache.get("a") is value
    watched, self = weakref.ref(value), weakref.ref(cache)
    del value, cache
    gc.collect()
    assert watched() is None
    assert self() is None


def test_a_value_whose_end_uses_the_cache_does_not_stop_it() -> None:
    cache = Cache("destructor", type="memory", size=1)

    class Value:
        def __del__(self) -> None:
            cache.get("other")

    for number in range(5):
        cache.set(number, Value())
    assert cache.report().evictions == 4


@pytest.mark.slow
def test_many_threads_at_one_small_cache_neither_fail_nor_outgrow_it() -> None:
    cache = Cache("busy", type="memory", size=20)
    call = cached(ttl=0.01, cache=cache, namespace="busy", tags=lambda x: [str(x % 3)], lock=True)(lambda x: x)

    def work() -> int:
        for number in range(3000):
            assert call(number * 7 % 50) == number * 7 % 50
            if number % 50 == 0:
                cache.invalidate_tags(str(number % 3))
        return 1

    assert in_threads(6, work) == [1] * 6
    report = call.report()
    assert report.hits + report.misses == 18_000
    memory = cache._core.tiers.memory
    assert memory is not None
    assert len(memory.values) == len(memory._spaces) == sum(memory.sizes.values()) <= 20
    assert not memory._underway
    assert len(cache._core.flights) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cached(ttl=-1), r"ttl=-1 is not accepted: a number of seconds above 0"),
        (lambda: cached(ttl=0), r"ttl=0 is not accepted"),
        (lambda: cached(ttl=math.nan), r"ttl=nan"),
        (lambda: cached(ttl=True), r"ttl=True"),
        (lambda: cached(ttl="5"), r"ttl='5' is not accepted.* such as ttl=60"),  # type: ignore[call-overload]
        (lambda: cache_with_lock(ttl_seconds=-1), r"ttl_seconds=-1 is not accepted"),
        (lambda: cache_with_lock(lambda: 1), r"with parentheses"),  # type: ignore[arg-type]
        (lambda: cached(tags="prices"), r"tags='prices' is not accepted: several texts"),
        (lambda: cached(tags=[1]), r"tag=1 is not accepted"),  # type: ignore[list-item]
        (lambda: cached(namespace=""), r"namespace='' is not accepted"),
        (lambda: cached(jitter=2), r"jitter=2 is not accepted: a share from 0 to 0.9"),
        (lambda: cached(key="x"), r"key='x' is not accepted"),  # type: ignore[call-overload]
        (lambda: cached(negative_errors=(1,), negative_ttl=1), r"negative_errors"),  # type: ignore[arg-type]
        (lambda: cached(negative_errors=(KeyError,)), r"without negative_ttl"),
        (lambda: cached(cache="x"), r"cache='x' is not accepted: a cache, such as cache=Cache\('prices'\)"),  # type: ignore[call-overload]
        (lambda: Cache("x").warm([1]), r"items=\[1\] is not accepted: values, .* by their keys"),  # type: ignore[arg-type]
        (lambda: Cache("x", type="fast"), r"type='fast' is not accepted: one of memory, redis, disk, intelligent"),
        (lambda: Cache("x", size=0), r"size=0 is not accepted: a whole number from 1"),
        (lambda: Cache("x", size=True), r"size=True"),
        (lambda: Cache("x", serializer="json"), r"serializer='json' is not accepted"),
        (lambda: Cache("x", type="redis", url="http://x"), r"redis://"),
        (lambda: Cache("x").clear("l4"), r"level='l4' is not accepted: one of l1"),
        (lambda: Cache("x").set("a", 1, ttl=-1), r"ttl=-1"),
        (lambda: Cache("x").invalidate_tags(), r"at least one tag"),
        (lambda: Cache("x").warm({}, workers=0), r"workers=0 is not accepted"),
    ],
)
def test_a_wrong_argument_is_told_with_what_is_accepted(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_cannot_be_cached_is_told_when_it_is_decorated() -> None:
    def generator() -> Any:
        yield 1

    for wrong in (generator, staticmethod(lambda: 1), 5):
        with pytest.raises(TypeError, match="cached"):
            cached(ttl=1)(wrong)  # type: ignore[arg-type]


def test_what_can_be_used_only_once_is_refused_and_not_kept(cache: Cache) -> None:
    async def inner() -> int:
        return 5

    for once in (lambda: (x for x in "ab"), lambda: map(str, "ab"), inner):
        plain = cached(ttl=60, cache=cache)(once if once is not inner else lambda: inner())
        for _ in range(2):
            with pytest.raises(TypeError, match="only once and cannot be kept"):
                plain()
    assert cache.get_or_compute("list", lambda: ["a"]) == cache.get_or_compute("list", lambda: ["b"]) == ["a"]


def test_a_forked_child_has_the_values_and_counts_of_its_own(cache: Cache) -> None:
    call = cached(ttl=60, cache=cache, namespace="fork")(lambda x: x)
    call(1)
    call(1)
    pid = os.fork()
    if pid == 0:
        try:
            call(1)
            call(2)
            report = call.report()
            os._exit(0 if (report.hits, report.misses) == (1, 1) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_decorators_use_the_cache_of_the_settings_and_exit_does_not_wait(run_text: RunText) -> None:
    program = run_text(
        """
        from perfagent import cached, get_cache

        @cached
        def f(x):
            return x

        f(1), f(1)
        report = get_cache().report()
        print(report.name, report.system, report.hits, report.misses, report.tiers[0].max_size, get_cache().ttl)
        """,
        bare=True,
        CACHE_NAME="mine",
        CACHE_L1_SIZE="many",
        CACHE_MAX_SIZE="7",
        CACHE_DEFAULT_TTL="-5",
    )
    assert program.stdout == "mine memory 1 1 10000 3600.0\n"
    assert (
        "perfagent: CACHE_L1_SIZE='many' is not accepted: a whole number from 1; going on with 10000" in program.stderr
    )
    assert "perfagent: CACHE_DEFAULT_TTL='-5' is not accepted" in program.stderr
    assert get_cache() is get_cache()
