"""What caches are worth: counted in bounded space, estimated from a sample of keys, told by what these share."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.analyse import economy
from perfagent.runtime import economics
from perfagent.runtime.economics import curve, estimate
from perfagent.runtime.economics.frequent import Frequent
from perfagent.runtime.economics.model import Model
from perfagent.runtime.economics.report import COST, JOINT, Economics
from perfagent.runtime.economics.shapes import SHARED, Shapes
from perfagent.runtime.economics.tally import Tally
from tests.hub import logs, record, resource
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram, RunText
    from tests.hub import ServedHub
    from tests.otlp import Receiver

ROOT = Path(__file__).parent.parent
EVENT = "perfagent.cache.economics"


def told(receiver: Receiver, shape: str | None = None) -> dict[str, Any]:
    """The only event of a whole cache, or of a shape."""
    events = [dict(one.attributes) for one in receiver.logs if one.event_name == EVENT]
    (found,) = [one for one in events if one.get("perfagent.cache.shape", "").replace(JOINT, "") == (shape or "")]
    return found


# What keys have in common.


def test_a_word_of_a_key_is_shown_where_the_programs_own_code_has_it() -> None:
    shapes = Shapes()
    shapes.learn(compile("def key(user):\n    return f'user:{user}:profile'", "nowhere.py", "exec"))
    for key, shape in {
        "user:17:profile": "user:{}:profile",
        "user:alice:profile": "user:{}:profile",
        "user:alice@example.com:profile": "user:{}:profile",
        b"user:3fa85f64-5717-4562-b3fc-2c963f66afa6": "user:{}",
        "user:9f86d081884c7d659a2feaa0c55ad015": "user:{}",
        "profile_17": "profile_{}",
        "alice": "{}",
        ("user", 1): "{}",
    }.items():
        assert "".join(shapes.of(key, True)) == shape, key


def test_a_word_that_nobody_knows_is_shown_when_enough_keys_share_it() -> None:
    shapes = Shapes()
    for number in range(SHARED - 1):
        assert "".join(shapes.of(f"cart:{number}", True)) == "{}:{}"
    before = shapes.version
    assert "".join(shapes.of("cart:99", True)) == "cart:{}"
    assert shapes.version > before


def test_a_name_with_many_keys_among_very_many_names_is_not_shown() -> None:
    shapes = Shapes()
    for name in range(400):
        word = "".join(chr(97 + int(digit)) for digit in str(name)) + "name"
        for number in range(1 if name else 6):
            shapes.of(f"user:{word}:{number}", True)
    assert "aname" not in "".join(shapes.of("user:aname:1", False))


# What is asked for most.


def test_what_is_asked_for_most_is_counted_within_the_bound_in_little_room() -> None:
    draws, exact, frequent = random.Random(5), Counter[str](), Frequent(50)
    for _ in range(40_000):
        key = f"key:{int(draws.paretovariate(0.9)) % 20_000}"
        exact[key] += 1
        frequent.add(key)
    assert len(frequent._counts) <= 100
    assert 0 < frequent.error <= 40_000 / 50
    found = dict(frequent.top(100))
    for key, counted in found.items():
        assert exact[str(key)] - frequent.error <= counted <= exact[str(key)]
    assert {key for key, times in exact.items() if times > 40_000 / 50} <= set(found)
    assert [key for key, _ in frequent.top(5)] == [key for key, _ in exact.most_common(5)]


# Estimates.


@pytest.mark.slow
def test_what_other_times_and_sizes_would_bring_is_as_in_caches_that_have_them() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT / "src")}
    command = (sys.executable, str(ROOT / "tests" / "apps" / "cache_simulation.py"))
    played = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=280)
    found: dict[str, dict[str, float]] = json.loads(played.stdout)
    assert len(found) == 9
    assert any(one["watched"] < 1 for one in found.values())
    for name, errors in found.items():
        for what in set(errors) - {"watched"}:
            assert errors[what] <= 0.03, (name, what, errors)


class Played:
    """A model of a cache whose events a test makes, at moments of its own."""

    def __init__(self, most: int = 0) -> None:
        self.watched = economics.Watched("redis", "", "test", most)
        self.watched.callers = 0
        self.model = Model(self.watched)
        self.now = 100.0

    def ask(self, key: str, hit: bool, took: float = 0.001) -> None:
        self.watched.lookup(key, hit, round(self.now * 1e9), round((self.now + took) * 1e9))
        self.now += took

    def set(self, key: str, ttl: float | None = 10.0) -> None:
        self.watched.store(key, round(self.now * 1e9), round(self.now * 1e9), 5, ttl)

    def tally(self) -> Tally:
        self.model.take()
        whole = Tally()
        for tally in self.model.tallies.values():
            whole.add(tally)
        return whole


def test_each_miss_has_its_cause() -> None:
    played = Played()
    played.ask("a", False)  # cold
    played.set("a")
    played.ask("a", True)
    played.ask("a", False)  # evicted: its 10 s are not over
    played.set("a")
    played.now += 11
    played.ask("a", False)  # expired
    played.set("a")
    played.watched.drop("a")
    played.ask("a", False)  # dropped
    assert played.tally().misses == {"cold": 1, "evicted": 1, "expired": 1, "dropped": 1}


def test_a_miss_costs_what_goes_by_until_the_same_context_sets_the_key() -> None:
    played = Played()
    for number in range(4):
        played.ask(f"a{number}", False)
        played.now += 0.5
        played.set(f"a{number}")
        for _ in range(3):
            played.ask(f"a{number}", True)
    tally = played.tally()
    assert tally.cost == pytest.approx(0.5)
    assert tally.saved == pytest.approx(12 * 0.5 - 16 * 0.001)


def test_a_forgotten_miss_is_no_cost() -> None:
    played = Played()
    played.ask("a", False)
    played.now += 3600
    played.set("a")
    assert played.tally().cost is None


def test_the_hub_and_the_agent_multiply_by_the_same_factors_and_come_to_the_same_ratios() -> None:
    assert economy.FACTORS == curve.FACTORS
    weights = [30.0, 55.0, 50.0, 70.0, 90.0, 95.0]
    one = economy.Economy("s", "redis", "", "", "a:{}", gets=100, hits=45, ttls=1, ttl_seconds=10, ttl_hits=weights)
    assert [guess.hit_ratio for guess in one.longer()] == estimate.ratios(100, 45, weights)


def test_look_ups_that_are_not_watched_count_for_what_the_agent_costs() -> None:
    watched = economics.Watched("redis", "", "test", 0)
    watched.threshold, watched.callers = 0, 0
    for number in range(31 * 40):
        watched.lookup(f"price:{number}", number % 2 == 0, number, number + 1)
    told = Economics()
    model = told.models[watched] = Model(watched)
    model.take()
    assert model.stood_for == pytest.approx(31 * 40, abs=2 * 31)
    assert told.cost() == model.stood_for * COST


def test_no_more_keys_are_watched_than_may_be_and_fewer_when_it_costs_too_much() -> None:
    played = Played()
    played.model.most = 200
    for number in range(5000):
        played.ask(f"key:{number}", False)
        if number % 50 == 49:
            played.model.take()
    assert len(played.model.keys) <= 200
    assert len(played.model.stack.uses) <= 200
    assert played.watched.threshold < economics.SPACE
    tally = played.tally()
    assert 4900 <= tally.gets <= 5031  # the keys that are not watched are counted by samples of one in 31


# Programs.

SHOP = """
import os, sys, time, redis
client = redis.Redis.from_url(os.environ["REDIS_URL"])
secret, hits, misses, spent = os.environ["SECRET"], 0, 0, 0.0
def report(number):
    global hits, misses, spent
    key = "report:" + secret + str(number)
    found = client.get(key)
    if found is not None:
        hits += 1
        return found
    misses += 1
    began = time.perf_counter()
    time.sleep(0.01)
    spent += time.perf_counter() - began
    client.setex(key, 100, b"x" * 50)
for number in range(200):
    report(number % 20)
print(hits, misses, spent)
"""


def test_hits_sets_and_what_a_miss_takes_are_as_the_program_counts_them(
    run_text: RunText, receiver: Receiver, redis_url: str
) -> None:
    program = run_text(SHOP, REDIS_URL=redis_url, SECRET="9")
    hits, misses, spent = map(float, program.stdout.split())
    whole = told(receiver)
    assert (hits, misses) == (180, 20)
    figures = {
        name: whole[f"perfagent.cache.{name}"] for name in ("gets", "hits", "sets", "cold", "fills", "set_bytes")
    }
    assert figures == {"gets": 200, "hits": 180, "sets": 20, "cold": 20, "fills": 20, "set_bytes": 1000}
    assert spent <= whole["perfagent.cache.fill_seconds"] <= spent * 1.5 + 0.1
    overhead = whole["perfagent.cache.lookup_seconds"] + whole["perfagent.cache.set_seconds"]
    saved = 180 * whole["perfagent.cache.fill_seconds"] / 20 - overhead
    assert whole["perfagent.cache.saved_seconds"] == pytest.approx(saved)
    shape = told(receiver, "report:{}")
    assert shape["perfagent.cache.ttl_seconds"] / shape["perfagent.cache.ttls"] == pytest.approx(100)
    assert shape["code.function.name"] == shape["perfagent.cache.set.code.function.name"] == "report"
    assert receiver.total("perfagent.cache.hits", cache__system="redis").value == 180


@pytest.mark.parametrize("keys", ["shape", "hash", "full"])
def test_keys_leave_only_when_asked_for(run_program: RunProgram, receiver: Receiver, redis_url: str, keys: str) -> None:
    from tests.agent import agent_env

    env = agent_env(receiver, REDIS_URL=redis_url, SECRET=f"mellon{keys}", PERFAGENT_CACHE_KEYS=keys)
    run_program("perfagent", "run", sys.executable, "-c", SHOP, env=env).check()
    exported = b"".join(request.body for request in receiver.requests)
    assert (f"mellon{keys}".encode() in exported) == (keys == "full")
    hottest = [str(one).replace(JOINT, "") for one in told(receiver)["perfagent.cache.hottest"]]
    if keys == "hash":
        assert len(set(hottest)) == 10
        assert all(one.rpartition("#")[2].isalnum() for one in hottest)
    elif keys == "shape":
        assert len(set(hottest)) == 1


def test_turned_off_nothing_is_told_and_nothing_is_loaded(
    run_text: RunText, receiver: Receiver, redis_url: str
) -> None:
    text = SHOP + "print([one for one in sys.modules if 'economics' in one])"
    program = run_text(text, REDIS_URL=redis_url, SECRET="8", PERFAGENT_CACHE_ECONOMICS="false")
    assert program.stdout.splitlines()[-1] == "[]"
    assert not [one for one in receiver.logs if one.event_name == EVENT]


OTHERS = """
import sys, time
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
from django.core.cache import cache as django
from pymemcache.client.base import Client
from perfagent.cache import Cache, cached
memcached = Client(sys.argv[1], default_noreply=False)
own = Cache("own", type="memory", size=100)

@cached(ttl=60, cache=own)
def worked_out(number):
    time.sleep(0.002)
    return number

for number in range(60):
    key = f"item-{number % 15}"
    if memcached.get(key) is None:
        memcached.set(key, "1", expire=30)
    django.get_or_set(key, lambda: 1, 40)
    worked_out(number % 15)
"""


def test_memcached_django_and_our_own_cache_tell_it_too(
    run_program: RunProgram, receiver: Receiver, memcached: str
) -> None:
    from tests.agent import agent_env

    run_program("perfagent", "run", sys.executable, "-c", OTHERS, memcached, env=agent_env(receiver)).check()
    events = [dict(one.attributes) for one in receiver.logs if one.event_name == EVENT]
    whole = {one["cache.system"]: one for one in events if "perfagent.cache.shape" not in one}
    ttls = {"memcached": 30, "django": 40, "memory": 60}
    assert set(whole) == set(ttls)
    for system, ttl in ttls.items():
        one = whole[system]
        # Django's get_or_set looks what it has added up once more.
        gets = 75 if system == "django" else 60
        assert (one["perfagent.cache.gets"], one["perfagent.cache.sets"]) == (gets, 15), system
        assert one["perfagent.cache.cold"] == 15, system
        assert one["perfagent.cache.ttl_seconds"] / 15 == pytest.approx(ttl, rel=0.02), system
    shapes = {one["perfagent.cache.shape"].replace(JOINT, "") for one in events if "perfagent.cache.shape" in one}
    assert {"item-{}", "__main__.worked_out"} <= shapes


# What the hub makes of it.


def event(shape: str = "", ago: float = 5.0, seconds: float = 60.0, **figures: Any) -> dict[str, Any]:
    """An event as the agent sends it."""
    given = {"cache.system": "redis", "cache.name": "", "perfagent.cache.address": "cache:6379/0"}
    lists = {name: figures.pop(name) for name in ("ttl_hits", "size_hits") if name in figures}
    numbers = {f"perfagent.cache.{name}": float(value) for name, value in {"seconds": seconds, **figures}.items()}
    if shape:
        given["perfagent.cache.shape"] = shape
    one = record("", ago=ago, **{key.replace(".", "__"): value for key, value in {**given, **numbers}.items()})
    for name, values in lists.items():
        array = {"arrayValue": {"values": [{"doubleValue": value} for value in values]}}
        one["attributes"].append({"key": f"perfagent.cache.{name}", "value": array})
    return {**one, "eventName": EVENT}


COUNTED = {"gets": 1000, "hits": 500, "fills": 500, "lookup_seconds": 1, "set_seconds": 0.5, "sets": 500, "ttls": 500}


def test_a_cache_that_costs_more_than_it_saves_is_told(hub: ServedHub) -> None:
    figures = {**COUNTED, "fill_seconds": 0.1, "ttl_seconds": 5000, "ttl_hits": [500.0] * 6}
    hub.send("logs", logs(resource("costly"), event("rate:{}", **figures)))
    (one,) = [one for one in insights(hub, "cache_costs") if one["service"] == "costly"]
    assert one["title"] == "rate:{} costs more than it saves"
    assert one["metrics"]["saved"] == pytest.approx(500 * 0.1 / 500 - 1.5)
    assert one["seconds_per_day"] == pytest.approx(1.4 / 60 * 86400, rel=0.01)


def test_a_cache_that_would_pay_if_it_were_larger_is_told_so_and_not_that_it_costs(hub: ServedHub) -> None:
    figures = {**COUNTED, "fill_seconds": 0.1, "evicted": 400}
    whole = event(**figures, size=50, priced_gets=1000, saved_seconds=-1.4, size_hits=[100, 300, 500, 700, 900, 910])
    hub.send("logs", logs(resource("small"), whole, event("item:{}", **figures)))
    (one,) = [one for one in insights(hub, "cache_size", "cache_costs") if one["service"] == "small"]
    assert one["kind"] == "cache_size"
    assert "200 entries instead of about 50 would raise hits from 50 % to 90 %" in one["recommendation"]


def test_what_is_set_and_read_by_no_service_is_told(hub: ServedHub) -> None:
    written = {"sets": 400, "set_seconds": 0.4, "set_bytes": 4e6}
    hub.send("logs", logs(resource("writer"), event("log:{}", **written), event("shared:{}", **written)))
    hub.send("logs", logs(resource("reader"), event("shared:{}", gets=50, hits=50)))
    found = [one for one in insights(hub, "cache_unread") if one["service"] == "writer"]
    assert [one["title"] for one in found] == ["log:{} is set and never read"]


def test_processes_add_up_and_the_list_of_logs_is_not_filled_with_figures(hub: ServedHub) -> None:
    figures = {**COUNTED, "fill_seconds": 50, "priced_gets": 1000, "saved_seconds": 48.5}
    for worker in ("a", "b"):
        hub.send("logs", logs(resource("twice", worker), event(**figures), event("a:{}", **figures)))
    (one,) = [one for one in hub.get("caches/economics")["items"] if one["service"] == "twice"]
    assert (one["gets"], one["hits"], one["saved_seconds"]) == (2000, 1000, 97)
    assert one["saved_seconds_per_day"] == pytest.approx(97 / 60 * 86400, rel=0.01)
    assert [shape["shape"] for shape in one["shapes"]] == ["a:{}"]
    assert hub.get("logs", service="twice")["items"] == []


def run_fault(hub: ServedHub, run_program: RunProgram, name: str, redis_url: str) -> Callable[..., Any]:
    """Runs one of examples/known_faults to its end."""
    program = start(hub, run_program, name, redis_url, OTEL_SERVICE_NAME=name)
    program.check()
    return lambda kind: wait_for(lambda: [one for one in insights(hub, kind) if one["service"] == name], program)


@pytest.mark.slow
def test_values_that_expire_too_soon_are_told_with_the_line_that_sets_them(
    hub: ServedHub, run_program: RunProgram, redis_url: str
) -> None:
    (one,) = run_fault(hub, run_program, "short_ttl", redis_url)("cache_ttl")
    line = line_of("short_ttl", "client.set(key, found, px=KEPT_MS)")
    assert one["place"] == f"{FAULTS / 'short_ttl.py'}:{line} price"
    assert one["title"] == "price:{} expires too soon"
    assert one["metrics"]["ttl"] == pytest.approx(0.4)
    assert one["metrics"]["ttl_then"] in (pytest.approx(0.8), pytest.approx(1.6), pytest.approx(3.2))
    assert one["metrics"]["hit_ratio_then"] >= one["metrics"]["hit_ratio"] + 0.05
    assert "a time to live of" in one["recommendation"]
    assert one["seconds_per_day"] > 0


@pytest.mark.slow
def test_a_stampede_is_told_with_the_line_that_sets_the_value(
    hub: ServedHub, run_program: RunProgram, redis_url: str
) -> None:
    (one,) = run_fault(hub, run_program, "cache_stampede", redis_url)("cache_stampede")
    line = line_of("cache_stampede", "self.client.set(key, found, px=KEPT_MS)")
    assert one["place"].startswith(f"{FAULTS / 'cache_stampede.py'}:{line} ")
    assert one["title"].startswith("report:today")
    assert 3 <= one["metrics"]["peak"] <= 12
    assert one["metrics"]["duplicates"] >= one["metrics"]["fills"] / 3
