"""Caches that processes share, in Redis and on disk: exactly one computation, invalidations, poison, outages."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_client

from perfagent import Cache, cache_with_lock, cached
from perfagent.settings import source
from perfagent.settings.cache import CacheSettings
from tests.caches import in_threads, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunProgram

Make = Any


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answers late on a busy machine: here that is no outage."""
    monkeypatch.setitem(source._current, CacheSettings, CacheSettings({"CACHE_TIMEOUT": "20"}))


@pytest.fixture(params=["redis", "disk", "intelligent"])
def make(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Make]:
    """Makes caches that share their stores, as two processes would have them; the memory is each one's own."""
    made: list[Cache] = []

    def build(**more: Any) -> Cache:
        options = {"type": request.param, "url": redis_url, "path": tmp_path / "values", "prefix": tmp_path.name}
        made.append(Cache("shared", **{**options, **more}))
        return made[-1]

    yield build
    for cache in made:
        cache.close()


def test_what_one_process_keeps_another_has(make: Make) -> None:
    one, other = make(), make()
    value = {"a": (1, 2.0, {3}), 5: [None, b"x" * 5000]}
    one.set(("user", 1), value, ttl=60)
    assert other.get(("user", 1)) == value
    assert other.get(("user", True)) is None
    assert other.get("user") is None
    assert make(version="2").get(("user", 1)) is None
    assert make(prefix="another").get(("user", 1)) is None
    assert other.invalidate(("user", 1))
    other._core.tiers.memory and other._core.tiers.memory.clear()
    assert other.get(("user", 1)) is None
    assert (other.report().hits, other.report().misses) == (1, 3)


def test_values_end_with_their_time_there_too(make: Make) -> None:
    one, other = make(), make()
    one.set("a", 1, ttl=0.1)
    until(lambda: other.get("a") is None)
    assert one.get("a") is None
    one.set("b", 1, ttl=float("inf"))
    assert make().get("b") == 1


def test_a_promoted_value_does_not_live_longer(redis_url: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"type": "intelligent", "url": redis_url, "path": tmp_path, "prefix": tmp_path.name}
    one, other = Cache("p", **options), Cache("p", **options)
    one.set("a", 1, ttl=0.4)
    begun = time.monotonic()
    with redis_client.Redis.from_url(redis_url) as client:
        (entry,) = client.scan_iter(f"*{tmp_path.name}*:e:*")
        client.delete(entry)  # as Redis does when it is full
        assert other.get("a") == 1  # from the disk
        assert client.pttl(entry) <= 400 - (time.monotonic() - begun) * 1000 + 50
        memory = other._core.tiers.memory
        assert memory is not None
        (kept,) = dict(memory.values).values()
        assert kept.expires <= begun + 0.45
    assert [tier.hits for tier in other.report().tiers] == [0, 0, 1]
    until(lambda: other.get("a") is None)


def test_tags_reach_the_other_process(make: Make) -> None:
    one, other = make(), make()
    for number in range(4):
        one.set(number, number, tags=[f"t{number % 2}", "all"])
    one.invalidate_tags("t0")
    assert [other.get(number) for number in range(4)] == [None, 1, None, 3]
    one.set(0, "new", tags=["t0", "all"])
    assert make().get(0) == "new"
    one.invalidate_tags("all")
    assert [make().get(number) for number in range(4)] == [None] * 4


def test_what_another_process_invalidates_while_it_is_computed_is_not_kept(make: Make) -> None:
    one, other = make(), make()
    for forget in (lambda: other.invalidate("k"), lambda: other.invalidate_tags("t"), other.clear):
        assert one.get_or_compute("k", lambda: (forget(), "old")[1], tags=["t"]) == "old"  # noqa: B023
        assert make().get("k") is None
        assert one.get("k") is None
        one.clear()


def test_what_is_set_meanwhile_is_not_overwritten_by_an_older_computation(make: Make) -> None:
    one, other = make(), make()
    assert one.get_or_compute("k", lambda: (other.set("k", "new"), "old")[1]) == "old"
    assert make().get("k") == "new"


def test_another_machines_disk_does_not_bring_back_what_was_invalidated(redis_url: str, tmp_path: Path) -> None:
    def machine(name: str) -> Cache:
        return Cache("m", type="intelligent", url=redis_url, path=tmp_path / name, prefix=tmp_path.name)

    for forget in (
        lambda: machine("a").invalidate("k"), lambda: machine("a").invalidate_tags("t"), lambda: machine("a").clear(),
    ):  # fmt: skip
        machine("b").set("k", "old", tags=["t"])
        assert machine("a").get("k") == "old"
        forget()
        assert machine("b").get("k") is None
        machine("a").set("k", "new")
        assert machine("b").get("k") == "new"


def test_a_type_that_is_not_kept_is_an_error_of_set_and_costs_a_decorated_function_its_cache_only(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make()
    with pytest.raises(TypeError, match=r"builtins\.object cannot be kept by the safe serializer"):
        cache.set("a", object())
    assert cache.get("a") is None
    call = cached(ttl=60, cache=cache, namespace="odd")(lambda x: [object(), x])
    assert call(1)[1] == call(2)[1] - 1 == 1
    assert call.report().failures == {"unsupported": 2}
    assert caplog.text.count("cannot be kept") == 1
    with pytest.raises(ValueError, match="is not accepted in a cache that others see"):
        cached(ttl=60, cache=cache)(lambda x: x)(1)


def test_pickle_is_there_for_who_asks_for_it(make: Make) -> None:
    one, other = make(serializer="pickle"), make(serializer="pickle")
    one.set("a", {1, range(3)})
    assert other.get("a") == {1, range(3)}
    safe = make()
    assert safe.get("a") is None
    assert safe.report().spaces[0].failures["poisoned"] >= 1


def test_a_function_and_a_cache_of_one_name_do_not_share_keys(make: Make) -> None:
    cache = make()
    call = cached(ttl=60, cache=cache, namespace="shared")(lambda x: f"called {x}")
    cache.set("x", "set")
    assert (call("x"), cache.get("x")) == ("called x", "set")
    others = [cached(ttl=60, cache=cache, namespace=name, version=version)(lambda x, v=version, n=name: (n, v))
              for name, version in (("a", "1"), ("a@1", None), ("a", None), ("a:b", None), ("a", "b"))]  # fmt: skip
    assert len({one(1) for one in others}) == len(others)


PROGRAM = """
import os, sys, time
from perfagent import Cache, cache_with_lock

cache = Cache("many", type=sys.argv[1], url=sys.argv[2], path=sys.argv[3], prefix=sys.argv[3])

@cache_with_lock(ttl_seconds=60, cache=cache, namespace="many", lease=1)
def work(x):
    with open(sys.argv[4], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(float(sys.argv[5]))
    return [x, "value"]

print("ready", flush=True)
while not os.path.exists(sys.argv[4] + ".go"):
    time.sleep(0.001)
print(work(7), flush=True)
"""


class Processes:
    """Several processes that call one function at the same time."""

    def __init__(self, run: RunProgram, folder: Path, url: str, type: str, wait: float) -> None:  # noqa: A002
        self.log = folder / "log"
        (folder / "prog.py").write_text(dedent(PROGRAM))
        words = (sys.executable, str(folder / "prog.py"), type, url, str(folder / "values"), str(self.log), str(wait))
        self._start = lambda: run(*words, env={"CACHE_TIMEOUT": "20"})
        self.programs = [self._start()]

    def go(self, number: int) -> None:
        self.programs += [self._start() for _ in range(number - 1)]
        until(lambda: all("ready" in program.stdout for program in self.programs), 60)
        Path(f"{self.log}.go").touch()

    def calls(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "disk", "intelligent"])
def test_processes_that_ask_together_compute_once_even_beyond_the_lease(
    kind: str, run_program: RunProgram, tmp_path: Path, redis_url: str
) -> None:
    processes = Processes(run_program, tmp_path, redis_url, kind, wait=2.5)  # of a lease of 1 s, which is renewed
    processes.go(6)
    for program in processes.programs:
        assert program.check() == "ready\n[7, 'value']\n"
    assert len(processes.calls()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "disk"])
def test_another_process_takes_over_from_one_that_was_killed(
    kind: str, run_program: RunProgram, tmp_path: Path, redis_url: str
) -> None:
    processes = Processes(run_program, tmp_path, redis_url, kind, wait=2)
    processes.go(4)
    until(lambda: processes.calls(), 30)
    (holder,) = processes.calls()
    killed = next(program for program in processes.programs if str(program.pid) == holder)
    killed.process.send_signal(signal.SIGKILL)
    for program in processes.programs:
        if program is not killed:
            assert program.check() == "ready\n[7, 'value']\n"
    assert len(processes.calls()) == 2


def test_tasks_of_several_event_loops_have_connections_of_their_own(make: Make) -> None:
    cache = make()
    call = cache_with_lock(ttl_seconds=60, namespace="loops", cache=cache)(later)

    async def main() -> list[list[int]]:
        return await asyncio.gather(*(call(number % 3) for number in range(9)))

    for _ in range(3):
        assert asyncio.run(main()) == [[number % 3] for number in range(9)]
    assert in_threads(4, lambda: asyncio.run(main())) == [[[number % 3] for number in range(9)]] * 4
    assert call.report().misses == 3


async def later(x: int) -> list[int]:
    await asyncio.sleep(0.01)
    return [x]


def test_clearing_a_level_leaves_the_others(redis_url: str, tmp_path: Path) -> None:
    cache = Cache("levels", type="intelligent", url=redis_url, path=tmp_path, prefix=tmp_path.name)
    calls: list[Callable[[], int]] = [
        lambda: cache.clear("memory"),
        lambda: cache.clear("l3"),
        lambda: cache.clear("redis"),
    ]
    for clear in calls:
        cache.set("a", 1)
        assert clear() == 1
    cache.set("a", 1)
    assert cache.clear() == 3
    assert cache.get("a") is None


def test_a_lock_of_a_key_leaves_nothing_behind(make: Make, redis_url: str) -> None:
    cache = make()
    call = cache_with_lock(ttl_seconds=60, namespace="clean", cache=cache)(lambda x: x)
    for number in range(20):
        call(number)
    with redis_client.Redis.from_url(redis_url) as client:
        prefix = cache._names.prefix
        assert not [name for kind in "lc" for name in client.scan_iter(f"{prefix}*:{kind}:*")]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["key", "tag", "clear"])
@pytest.mark.parametrize("lock", [False, True], ids=["without a lock", "with one"])
def test_nobody_sees_a_value_from_before_an_invalidation_that_has_returned(make: Make, how: str, lock: bool) -> None:
    source_of_truth, settled, seen = [0], [0], []
    caches = (
        [make()] if make().system == "intelligent" else [make(), make()]
    )  # its memory tells others late, as it says

    def compute(x: int) -> list[int]:
        value = source_of_truth[0]
        time.sleep(0.001)
        return [value, x]

    calls = [cached(ttl=60, cache=cache, namespace="truth", tags=["t"], lock=lock)(compute) for cache in caches]
    done = threading.Event()

    def write() -> None:
        try:
            for turn in range(60):
                source_of_truth[0] += 1
                call = calls[turn % len(calls)]
                forget = {"key": lambda: call.invalidate(1), "tag": lambda: call_cache(turn).invalidate_tags("t")}  # noqa: B023
                forget.get(how, call.clear)()
                settled[0] = source_of_truth[0]
                time.sleep(0.002)
        finally:
            done.set()

    def call_cache(turn: int) -> Cache:
        return caches[turn % len(caches)]

    def read() -> None:
        number = 0
        while not done.is_set():
            number += 1
            least = settled[0]
            value = calls[number % len(calls)](1)[0]
            seen.append((least, value))

    begun: list[int] = []

    def work() -> None:
        begun.append(1)
        write() if len(begun) == 1 else read()

    assert in_threads(4, work) == [None] * 4
    assert len(seen) > 5
    assert [pair for pair in seen if pair[1] < pair[0]] == []
