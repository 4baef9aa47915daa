"""What somebody else has written into a store: a miss that is counted, and never code that is run."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache
import pytest
import redis as redis_client

from perfagent import Cache, cached
from perfagent.cache.envelope import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable


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
