"""The source of Redis against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from perfagent.hub.sources.redis import Redis
from perfagent.hub.sources.seen import HotKey, MemoryUse, PoolUse, SlowStatement
from perfagent.hub.sources.source import Collected, Plan, SourceError
from tests.servers import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.sources.seen import Seen

pytest_plugins = ["tests.servers"]
WORDS = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lfu", "--slowlog-log-slower-than", "0")


@pytest.fixture
def url() -> Iterator[str]:
    """A Redis of 3 MB that counts uses and takes every command for slow."""
    with running_redis(*WORDS) as (found, _):
        yield found


def source(url: str, **options: object) -> Redis:
    return Redis(Plan("cache", "redis", "high", 15, 10, url, options), None)


def of(collected: Collected, kind: type[Seen]) -> list[Seen]:
    return [one for one in collected.seen if isinstance(one, kind)]


def value(collected: Collected, name: str, **attributes: str) -> float:
    return next(
        p.value for p in collected.points if p.name == name and attributes.items() <= dict(p.attributes).items()
    )


def test_hits_evictions_memory_keys_and_clients_are_those_that_were_made(url: str) -> None:
    one = source(url)
    one.collect()
    with redis.Redis.from_url(url) as client:
        client.set("here", "x", ex=500)
        for _ in range(30):
            client.get("here")
        for _ in range(10):
            client.get("not-here")
        found = one.collect()
        (use,) = of(found, MemoryUse)
        assert use.hit_ratio == 0.75
        assert (use.limit, use.policy, use.evicted) == (3 * 1024 * 1024, "allkeys-lfu", 0)
        assert (value(found, "redis.db.keys", db="0"), value(found, "redis.db.expires", db="0")) == (1, 1)
        assert value(found, "redis.keyspace.hits") == 30
        for number in range(4000):
            client.set(f"filler:{number}", "x" * 1000)
        full = one.collect()
        (use,) = of(full, MemoryUse)
        assert use.evicted > 500
        assert value(full, "redis.memory.utilization") > 0.8
        (pool,) = of(full, PoolUse)
        assert pool.used >= 2
    one.close()


def test_the_slow_log_is_told_once_by_command_without_values(url: str) -> None:
    one = source(url)
    one.collect()
    with redis.Redis.from_url(url) as client:
        for number in range(5):
            client.set(f"user:{number}", "secret-word")
        client.hset("basket:17", "owner", "ada@example.com")
        found = {slow.statement: slow.calls for slow in of(one.collect(), SlowStatement)}
    assert found["SET user:? ?"] == 5
    assert found["HSET basket:? ?"] == 1
    assert not any("secret" in text or "ada" in text for text in found)
    assert not any(text.startswith(("INFO", "SLOWLOG")) for text in found), "ours are left out"
    assert not of(one.collect(), SlowStatement)
    one.close()


def test_hot_keys_are_told_when_asked_for_and_the_policy_counts_uses(url: str) -> None:
    quiet = source(url)
    with redis.Redis.from_url(url) as client:
        for number in range(20):
            client.set(f"rare:{number}", "x")
        client.set("front-page", "x" * 5000)
        for _ in range(3000):
            client.get("front-page")
        assert not of(quiet.collect(), HotKey)
        samples = (of(source(url, hot_keys=True).collect(), HotKey) for _ in range(10))  # a random one may miss a key
        hot = next(found for sample in samples if "front-page" in (found := {one.key: one for one in sample}))
        rare = hot.get("rare:?")
        assert rare is None or hot["front-page"].share > 3 * rare.share / rare.keys
        assert hot["front-page"].bytes > 5000
        client.config_set("maxmemory-policy", "noeviction")
    other = source(url, hot_keys=True)
    assert any("maxmemory-policy" in note for note in other.collect().notes)
    for one in (quiet, other):
        one.close()


def test_a_server_that_wants_a_password_or_is_away_is_told_without_it() -> None:
    with running_redis() as (url, _):
        redis.Redis.from_url(url).config_set("requirepass", "opensesame")
        with pytest.raises(SourceError, match="password"):
            source(url).collect()
        wrong = url.replace("redis://", "redis://:wrongword@")
        with pytest.raises(SourceError) as refused:
            source(wrong).collect()
        assert "wrongword" not in str(refused.value)
        right = source(url.replace("redis://", "redis://:opensesame@"))
        assert value(right.collect(), "redis.clients.max") > 0
    with pytest.raises(SourceError, match="look whether it runs"):
        right.collect()
