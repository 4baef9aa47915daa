"""Caches that processes share, in Redis and on disk: exactly one computation, invalidations, poison, outages."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import socket
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import diskcache
import pytest
import redis as redis_client

from perfagent import Cache, cache_with_lock, cached
from perfagent.cache.envelope import unpacked
from tests.caches import in_threads, until
from tests.servers import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunProgram

Make = Any


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


BOMB = b"cos\nsystem\n(S'touch pwned'\ntR."
POISON: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda entry: b"\x00\xff" * 40,
    "empty": lambda entry: b"",
    "a pickle": lambda entry: pickle.dumps("a"),
    "another layout": lambda entry: b"pc\x09" + entry[3:],
    "a bomb of pickle in our own wrapping": lambda entry: forged(entry, body=BOMB, serializer="pickle"),
    "no MessagePack": lambda entry: forged(entry, body=BOMB),
    "a class that is not registered": lambda entry: forged(entry, body=b"\xc7\x07\x11\x92\xa4os.x\x01"),
    "half of it": lambda entry: forged(entry, body=b"x" * 4000)[:-20],
    "a bomb of zlib": lambda entry: forged(entry, body=b"\x90" * 70_000_000),
}


def forged(entry: bytes, **more: Any) -> bytes:
    """An entry with the right stamps, so that it would be believed."""
    return replace(unpacked(entry, 1 << 20), **more).packed()


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
@pytest.mark.parametrize("tier", ["redis", "disk"])
def test_a_poisoned_entry_is_a_miss_that_is_counted_and_runs_nothing(
    tier: str, poison: Callable[[bytes], bytes], redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache("victim", type=tier, url=redis_url, path=tmp_path / "values", prefix=tmp_path.name)
    call = cached(ttl=60, cache=cache, namespace="victim")(lambda x: x)
    assert call(1) == 1
    if tier == "redis":
        with redis_client.Redis.from_url(redis_url) as client:
            (name,) = client.scan_iter(f"{tmp_path.name}:*:e:*")
            client.set(name, poison(client.get(name)))
    else:
        with diskcache.Cache(str(tmp_path / "values")) as disk:
            (name,) = (one for one in disk if ":e:" in one)
            disk.set(name, poison(disk.get(name)))
    assert call(1) == 1
    assert call(1) == 1  # what was computed has taken its place
    report = call.report()
    assert (report.hits, report.misses, report.failures) == (1, 2, {"poisoned": 1})
    assert not (tmp_path / "pwned").exists()


def test_a_pickle_that_diskcache_would_load_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache("victim", type="disk", path=tmp_path / "values")
    cache.set("a", 1)
    cache.set("file", b"x" * 100_000)
    with diskcache.Cache(str(tmp_path / "values")) as disk:
        for mode, filename, value in ((4, None, BOMB), (4, "../../bomb", None), (2, "../bomb", None)):
            (tmp_path / "bomb").write_bytes(BOMB)
            disk._sql("UPDATE Cache SET mode = ?, filename = ?, value = ?", (mode, filename, value))
            assert cache.get("a") is None
            assert cache.get_or_compute("b", lambda: 5) == 5
    assert not (tmp_path / "pwned").exists()


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"nothing of the kind" * 100)
    cache = Cache("broken", type="disk", path=tmp_path)
    cache.set("a", 1)
    assert cache.get("a") == 1
    assert (tmp_path / "cache.db.broken").exists()
    assert tmp_path.stat().st_mode & 0o777 in (0o700, 0o755)


def test_a_disk_that_cannot_be_written_costs_only_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = Cache("nowhere", type="disk", path=tmp_path / "file" / "values")
    call = cached(ttl=60, cache=cache, namespace="nowhere")(lambda x: x)
    assert [call(1), call(1)] == [1, 1]
    assert not cache.report().tiers[0].available


def test_the_disk_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfagent.settings import source
    from perfagent.settings.cache import CacheSettings

    monkeypatch.setitem(source._current, CacheSettings, CacheSettings({"CACHE_MAX_SIZE": "50"}))
    cache = Cache("small", type="disk", path=tmp_path)
    for number in range(120):
        cache.set(number, number)
    assert cache.get(119) == 119
    assert cache.get(0) is None
    (tier,) = cache.report().tiers
    assert 30 <= (tier.size or 0) <= 60
    assert tier.max_size == 50
    assert cache.report().evictions >= 60


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
        self._start = lambda: run(*words)
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


class Switch:
    """A Redis that can be cut off, as by a network that fails, without losing what it has."""

    def __init__(self, url: str) -> None:
        self._client = redis_client.Redis.from_url(url)
        self.pid = int(self._client.info("server")["process_id"])

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        import os

        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)
            self._client.ping()


def test_a_redis_that_hangs_costs_one_timeout_and_its_invalidations_are_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis() as (url, _):
        cache, other = (Cache("away", type="redis", url=url) for _ in range(2))
        switch = Switch(url)
        call = cached(ttl=60, cache=cache, namespace="called", tags=["t"])(lambda x: [x])
        for name in "abc":
            cache.set(name, name, tags=[f"tag {name}"])
        assert call(1) == [1]
        with switch.off():
            begun = time.monotonic()
            assert call(1) == [1]
            once = time.monotonic() - begun
            begun = time.monotonic()
            for _ in range(20):
                assert call(1) == [1]
                assert cache.get("a") is None
            assert time.monotonic() - begun < 20 * once  # it is not asked each time
            cache.invalidate("a")
            cache.invalidate_tags("tag b", "t")
            assert not cache.report().tiers[0].available
        until(lambda: cache.get("c") == "c")
        assert [other.get(name) for name in "abc"] == [None, None, "c"]
        assert call.report().hits == 0
        assert cache.report().tiers[0].available
        assert cache.report().spaces[0].failures["unavailable"] >= 1
        assert caplog.text.count("is down, the cache goes on without") == 1
        assert "is back" in caplog.text


def test_what_was_missed_is_told_even_if_nobody_asks_the_cache_again() -> None:
    with running_redis() as (url, _):
        cache, other = (Cache("idle", type="redis", url=url) for _ in range(2))
        cache.set("a", 1)
        with Switch(url).off():
            cache.invalidate("a")
        until(lambda: other.get("a") is None)


@pytest.mark.slow
def test_a_redis_that_is_gone_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with running_redis() as (url, _):
        cache = Cache("gone", type="intelligent", url=url, path=tmp_path)
        cache.set("a", 1)
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
    memory = cache._core.tiers.memory
    assert memory is not None
    memory.clear()
    assert cache.get("a") == 1  # from the disk: it is there for that
    assert cache.get_or_compute("b", lambda: 2) == 2
    assert asyncio.run(cache.aget("a")) == 1
    with socket.socket() as taken:  # something else answers there now
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        memory.clear()
        assert cache.get("a") == 1


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


async def turns_while(work: Any) -> int:
    """How many turns another task of the event loop takes while something is awaited."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    ticking = asyncio.create_task(tick())
    await work
    ticking.cancel()
    return turns


def test_the_event_loop_is_not_held_up_by_a_disk_that_another_process_holds(tmp_path: Path) -> None:
    cache = Cache("held", type="disk", path=tmp_path)
    cache.set("warm", 1)
    other = sqlite3.connect(tmp_path / "cache.db", isolation_level=None, check_same_thread=False)

    async def main() -> int:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
        return await turns_while(cache.aset("a", 1))

    assert asyncio.run(main()) >= 5
    assert cache.get("a") == 1


def test_the_event_loop_is_not_held_up_by_a_redis_that_hangs() -> None:
    with running_redis() as (url, _):
        cache = Cache("hangs", type="redis", url=url)
        with Switch(url).off():
            assert asyncio.run(turns_while(cache.aget("a"))) >= 5


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
