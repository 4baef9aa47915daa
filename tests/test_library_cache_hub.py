"""What the page shows of the library's caches, and what its commands do to them."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.hubs import Home
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, json, sys, threading, time
from collections import Counter
from perfagent import Cache, cache_with_lock, cached, get_cache

asked, computed = Counter(), Counter()

@cached(ttl=60)
def price(x):
    computed["price"] += 1
    return x

@cache_with_lock(ttl_seconds=60, tags=["stocks"])
def stock(x):
    computed["stock"] += 1
    time.sleep(0.01)
    return x

@cached(ttl=60)
async def offer(x):
    computed["offer"] += 1
    return x

lock = threading.Lock()
def ask(name, call, *args):
    with lock:
        asked[name] += 1
    return call(*args)

def work(seed):
    for number in range(500):
        ask("price", price, (number * seed) % 40)
        ask("stock", stock, number % 7)

for seed in (1, 3):
    work(seed)
threads = [threading.Thread(target=work, args=(seed,)) for seed in (7, 11, 13)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]

async def offers():
    for number in range(300):
        await ask("offer", offer, number % 30)

asyncio.run(offers())
small = Cache("small", size=10)
for number in range(25):
    small.set(number, number)
found = sum(small.get(number) is not None for number in range(25))
print(json.dumps({"asked": asked, "computed": computed, "found": found}), flush=True)
time.sleep(float(sys.argv[1]))
print(json.dumps([get_cache().report().hits, get_cache().report().misses]), flush=True)
"""


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items if item["name"]}


@pytest.mark.parametrize("kind", ["memory", "redis", "intelligent"])
def test_the_page_counts_what_the_program_has_counted_itself(
    kind: str, hub: ServedHub, run_program: RunProgram, tmp_path: Path, redis_url: str
) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    token = hub.bearer("agent")["Authorization"].replace(" ", "%20")
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={token}",
        "OTEL_SERVICE_NAME": "shop", "PERFAGENT_STRICT": "true", "CACHE_TYPE": kind, "CACHE_URL": redis_url,
        "CACHE_TIMEOUT": "20",
        "CACHE_PREFIX": tmp_path.name, "CACHE_L3_PATH": str(tmp_path / "values"),
    }  # fmt: skip
    program = run_program("perfagent", "run", "python", str(tmp_path / "app.py"), "0", env=env, cwd=tmp_path)
    told = json.loads(program.check().splitlines()[0])
    deadline = time.monotonic() + 60
    while "small" not in (items := by_name(hub.get("caches")["items"])):
        assert time.monotonic() < deadline, items
        time.sleep(0.1)
    for name in ("price", "stock", "offer"):
        row = items[f"__main__.{name}"]
        assert row["service"] == "shop"
        assert row["system"] == kind
        assert row["misses"] == told["computed"][name], name
        assert row["hits"] + row["misses"] == told["asked"][name], name
    small = items["small"]
    if kind == "memory":
        assert (small["hits"], small["misses"]) == (told["found"], 25 - told["found"]) == (10, 15)
        assert (small["size"], small["max_size"], small["utilisation"], small["evictions"]) == (10, 10, 1.0, 15)
        assert items["__main__.price"]["size"] == 40
    whole = hub.get("cache/stats")  # the commands that the cache itself sends to Redis are no look-ups
    for figure in ("hits", "misses", "evictions"):
        assert whole[figure] == sum(item[figure] for item in items.values())


def test_the_hub_clears_a_function_or_everything_and_has_values_kept_for_longer(
    home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    pace = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    program = run_program(
        "perfagent", "run", "python", str(tmp_path / "app.py"), "100", env={**home.env(), **pace}, cwd=tmp_path
    )
    program.wait_for_output("asked")
    deadline = time.monotonic() + 60
    while not (agents := home.get("agents")["items"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    instance = agents[0]["instance"]
    answers = []
    commands = (("clear_cache", "__main__.price"), ("invalidate_tags", ["stocks"]), ("clear_cache", None))
    longer = ("cache_ttl", {"factors": {"__main__.price": 4}})
    for command, value in (*commands, longer, ("clear_cache", "no.such")):
        body = json.dumps({"command": command, "value": value}).encode()
        assert _post(home, f"agents/{instance}/commands", body) in (200, 201, 202)
    while len(answers) < 5:
        assert time.monotonic() < deadline + 20, answers
        time.sleep(0.2)
        items = home.get(f"agents/{instance}/commands", "operator")["items"]
        answers = [one for one in items if one["state"] in ("done", "failed")]
    found = sorted((one["state"], str(one.get("result"))) for one in answers)
    assert ("done", "{'caches': 1, 'entries': 40}") in found
    assert [one["result"]["entries"] for one in answers if one["command"] == "invalidate_tags"] == [7]
    assert [one["result"] for one in answers if one["command"] == "cache_ttl"] == [
        {"before": {"__main__.price": 1.0}, "now": {"__main__.price": 4.0}}
    ]
    assert [state for state, _ in found] == ["done", "done", "done", "done", "failed"]
    home.kill()


def _post(home: Home, path: str, body: bytes) -> int:
    import urllib.request

    from perfagent.hub.access import Access, secret

    token = Access(secret(str(home.folder))).token("operator")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{home.hub.address}/api/v1/performance/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


def test_the_names_on_prometheus_are_those_of_the_contract(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    code = (
        "import time, urllib.request; from perfagent import cached, Cache\n"
        "f = cached(ttl=60)(lambda x: x); f(1); f(1); c = Cache('tiny', size=1); c.set(1, 1); c.set(2, 2)\n"
        "print(urllib.request.urlopen('http://localhost:' + __import__('os').environ['OTEL_EXPORTER_PROMETHEUS_PORT']"
        " + '/metrics').read().decode())\n"
    )
    from tests.program import find_free_port

    (tmp_path / "app.py").write_text(code)
    env = agent_env(
        receiver, OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(find_free_port()),
        PERFAGENT_NAMESPACE="shop",
    )  # fmt: skip
    shown = run_program("perfagent", "run", sys.executable, str(tmp_path / "app.py"), env=env, cwd=tmp_path).check()
    rows = {
        (line.partition("{")[0], word.partition('"')[0]): float(line.rsplit(" ", 1)[1])
        for line in shown.splitlines()
        if "_cache_" in line and not line.startswith("#")
        for word in line.split('cache_name="')[1:]
    }
    assert rows["shop_cache_hits_total", "__main__.<lambda>"] == 1
    assert rows["shop_cache_misses_total", "__main__.<lambda>"] == 1
    assert rows["shop_cache_evictions_total", "tiny"] == 1
    assert rows["shop_cache_size", "tiny"] == rows["shop_cache_max_size", "tiny"] == 1
    assert rows["shop_cache_utilization_ratio", "tiny"] == 1


def test_the_statements_of_the_tier_on_disk_are_no_spans_of_the_program(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "import sqlite3\nfrom perfagent import get_cache\ncache = get_cache()\ncache.set('a', 1); cache.get('a')\n"
        "assert cache.get('a') == 1; cache.clean()\nsqlite3.connect(':memory:').execute('select 1')\n"
    )
    env = agent_env(receiver, CACHE_TYPE="disk", CACHE_DISK_PATH=str(tmp_path / "values"))
    run_program("perfagent", "run", sys.executable, str(tmp_path / "app.py"), env=env, cwd=tmp_path).check()
    receiver.wait_until_quiet()
    assert [span.attributes["db.query.text"] for span in receiver.wait_for_spans(1)] == ["select ?"]
