"""Stores that hang, refuse or are gone: the program goes on, and nothing that was invalidated comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_client

from perfagent import Cache, cache_with_lock, cached
from perfagent.settings import source
from perfagent.settings.cache import CacheSettings
from tests.caches import until
from tests.servers import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answers late on a busy machine: where the test is not about that, it is no outage."""
    monkeypatch.setitem(source._current, CacheSettings, CacheSettings({"CACHE_TIMEOUT": "20"}))


class Switch:
    """A Redis that can be cut off, as by a network that fails, without losing what it has."""

    def __init__(self, url: str) -> None:
        self._client = redis_client.Redis.from_url(url)
        self.pid = int(self._client.info("server")["process_id"])

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
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
            for _ in range(60):
                assert call(1) == [1]
                assert cache.get("a") is None
            assert time.monotonic() - begun < 60 * once  # it is not asked each time
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


def test_a_value_that_is_set_while_redis_is_away_is_not_followed_by_an_older_one() -> None:
    with running_redis() as (url, _):
        cache = Cache("set", type="redis", url=url)
        cache.set("a", "old")
        with Switch(url).off():
            cache.set("a", "new")
            assert cache.get("a") is None
        until(lambda: not cache._core.tiers.stores[0].outage.down or cache.get("b"))
        assert cache.get("a") is None


@pytest.mark.usefixtures("patient")
def test_a_redis_that_refuses_is_asked_on(caplog: pytest.LogCaptureFixture) -> None:
    with running_redis() as (url, _):
        cache = Cache("full", type="redis", url=url)
        cache.set("a", "kept")
        with redis_client.Redis.from_url(url) as client:
            client.config_set("maxmemory", "1mb")
            client.config_set("maxmemory-policy", "noeviction")
            assert cache.get_or_compute("b", lambda: 1) == 1
            assert cache.get("a") == "kept"
            client.config_set("maxmemory", "0")
        cache.set("b", 2)
        assert cache.get("b") == 2
    assert caplog.text.count("refuses, the cache goes on without: OutOfMemoryError") == 1


def test_a_wrong_address_is_told_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    from perfagent.cache.connection import from_settings

    with pytest.raises(
        ValueError, match=r"url='htp://…@cache' is not accepted .*such as url='redis://localhost:6379/0'"
    ):
        Cache("x", type="redis", url="htp://me:secret@cache")
    settings = CacheSettings({"CACHE_URL": "htp://me:secret@cache", "CACHE_HOST": "::1", "CACHE_PORT": "1"})
    assert from_settings(settings).shown == "::1:1"
    said = capsys.readouterr().err
    assert said.startswith("perfagent: CACHE_URL='htp://…@cache' is not accepted: an address such as redis://")
    assert "secret" not in said
    settings = CacheSettings({"CACHE_TLS": "true", "CACHE_DATABASE": "3", "CACHE_PASSWORD": "a/b@c"})
    options = from_settings(settings).client().connection_pool.connection_kwargs
    assert (options["db"], options["password"]) == (3, "a/b@c")
    assert from_settings(settings).client().connection_pool.connection_class is redis_client.SSLConnection


@pytest.mark.usefixtures("patient")
def test_a_lock_that_a_cancelled_task_was_given_is_given_back(redis_url: str, tmp_path: Path) -> None:
    cache = Cache("cancel", type="redis", url=redis_url, prefix=tmp_path.name)
    begun: list[int] = []

    @cache_with_lock(ttl_seconds=60, cache=cache, namespace="cancel", lease=600)
    async def slow() -> int:
        begun.append(1)
        await asyncio.sleep(0.01 if len(begun) > 1 else 60)
        return 5

    async def main() -> int:
        task = asyncio.create_task(slow())
        while not begun:
            await asyncio.sleep(0.001)
        task.cancel()
        return await slow()

    assert asyncio.run(main()) == 5
    assert len(begun) == 2


def test_a_child_that_was_forked_amid_a_write_begins_without_values() -> None:
    cache = Cache("forked", type="memory")
    cache.set("a", 1)
    memory = cache._core.tiers.memory
    assert memory is not None
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with memory.lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    pid = os.fork()
    if pid == 0:
        cache.set("b", 2)
        os._exit(0 if (cache.get("a"), cache.get("b")) == (None, 2) else 1)
    done.set()
    thread.join()
    assert os.waitpid(pid, 0)[1] == 0
    assert cache.get("a") == 1


@pytest.mark.usefixtures("patient")
def test_forked_workers_share_redis_with_connections_of_their_own(redis_url: str, tmp_path: Path) -> None:
    cache = Cache("workers", type="redis", url=redis_url, prefix=tmp_path.name)
    cache.set("a", 1)
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for turn in range(50):
                    assert cache.get("a") == 1
                    cache.set((number, turn), turn)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    for turn in range(50):
        assert cache.get("a") == 1
        cache.set(turn, turn)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert [cache.get((number, 49)) for number in range(4)] == [49] * 4
