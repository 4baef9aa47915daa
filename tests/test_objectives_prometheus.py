"""The same requests in a hub and in a real Prometheus with the exported rules: the same ratios, burns and budgets."""

from __future__ import annotations

import json
import math
import subprocess
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tools.stack.build import program
from tools.stack.parts import PARTS

from perfagent.hub.objectives.counts import WINDOWS
from perfagent.hub.rules import burn
from perfagent.hub.rules.alerts import Places
from perfagent.hub.rules.objectives import BOUNDS, Objective
from perfagent.hub.rules.rule import Group, document
from tests.hub import ServedHub, histogram, metrics, resource
from tests.remotes import EVERY, HOUR, MINUTE, prometheus, reading
from tests.test_objectives import DURATION

if TYPE_CHECKING:
    from pathlib import Path

    from tools.stack.process import Process

    from tests.remotes import Series

pytestmark = pytest.mark.slow

HOURS = 5
OBJECTIVES = [
    Objective("shop-availability", "shop", 97.0, "availability"),
    Objective("items-latency", "shop", 90.0, "latency", 250.0, "/items"),
]
TABLES = """
[[slo]]
name = "shop-availability"
service = "shop"
objective = 97.0
indicator = "availability"

[[slo]]
name = "items-latency"
service = "shop"
route = "/items"
objective = 90.0
indicator = "latency"
threshold_ms = 250
"""
METRIC = "http_server_request_duration_seconds"
QUICK, LATE = 4, 8  # places of the buckets of 50 to 75 ms, and of 500 to 750 ms


def traffic(ago: float) -> tuple[int, int, int]:
    """Quick good requests, slow ones and failed ones of the half minute that ended so many seconds ago."""
    if ago < 10 * MINUTE:
        return 100, 10, 30
    if ago < 70 * MINUTE:
        return 100, 10, 45
    return (100, 4, 2) if ago < 150 * MINUTE else (60, 2, 1)


def moments(now: float) -> list[float]:
    return [now - ago for ago in range(HOURS * HOUR, 0, -EVERY)]


def past(now: float) -> list[Series]:
    """The requests as series of Prometheus, that count up."""
    bounds = [*BOUNDS, math.inf]
    found: list[Series] = []
    for code, kind in (("200", slice(0, 2)), ("503", slice(2, 3))):
        labels = {"service_name": "shop", "http_route": "/items", "http_request_method": "GET",
                  "http_response_status_code": code, "instance": "shop-1"}  # fmt: skip
        sums = [0.0] * len(bounds)
        samples: list[list[tuple[float, float]]] = [[] for _ in bounds]
        for moment in moments(now):
            counts = traffic(now - moment)[kind]
            for at in range(len(bounds)):
                sums[at] += sum(count for place, count in zip((QUICK, LATE), counts, strict=False) if at >= place)
                samples[at].append((moment, sums[at]))
        for bound, values in zip(bounds, samples, strict=True):
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            found.append((f"{METRIC}_bucket", {**labels, "le": le}, values))
        found.append((f"{METRIC}_count", labels, samples[-1]))
    return found


def tell(hub: ServedHub, now: float) -> None:
    """Sends the requests to a hub, as differences."""
    points = []
    for moment in moments(now):
        quick, slow, failed = traffic(now - moment)
        for code, counted in ((200, {QUICK: quick, LATE: slow}), (503, {QUICK: failed})):
            counts = [counted.get(at, 0) for at in range(len(BOUNDS) + 1)]
            told = {"http__route": "/items", "http__request__method": "GET", "http__response__status_code": code}
            points.append(histogram(DURATION, list(BOUNDS), counts, 1.0, ago=time.time() - moment, **told))
    hub.send("metrics", metrics(resource("shop"), *points))


def ask(server: Process, expression: str, now: float) -> list[tuple[dict[str, str], float]]:
    query = urllib.parse.urlencode({"query": expression, "time": now})
    with urllib.request.urlopen(f"{server.addresses['url']}/api/v1/query?{query}", timeout=30) as answer:
        return [(one["metric"], float(one["value"][1])) for one in json.load(answer)["data"]["result"]]


def record(server: Process, directory: Path, groups: list[Group], now: float) -> None:
    """Has Prometheus' own tool evaluate recording rules over the past, and starts the server with what came of it."""
    file = directory / "recording.yml"
    file.write_text(document(groups))
    tool = program(PARTS["prometheus"], "promtool")
    words = ("--start", f"{now - HOURS * HOUR:.0f}", "--end", f"{now:.0f}", "--url", server.addresses["url"])
    command = [tool, "tsdb", "create-blocks-from", "rules", *words, "--eval-interval", "60s"]
    subprocess.run([*command, "--output-dir", directory / "data", file], check=True, capture_output=True, timeout=100)
    server.stop()
    server.start()
    server.wait()


@pytest.mark.timeout(300)
def test_hub_and_prometheus_tell_the_same_ratios_burns_budgets_and_alerts(tmp_path: Path) -> None:
    now = time.time() // MINUTE * MINUTE
    for name in ("own", "reads"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "perfagent.toml").write_text(TABLES)
    with ServedHub(tmp_path / "own") as hub, prometheus(tmp_path / "prometheus", past(now)) as server:
        tell(hub, now)
        own = {one.name: hub.hub.objectives.status(one, now) for one in OBJECTIVES}
        rules = [rule for group in burn.recording(OBJECTIVES)[:2] for rule in group.rules]
        derived = [rule for rule in rules if rule.name == "slo:bad_requests:rate5m"]
        record(server, tmp_path / "prometheus", [Group("a", [rule for rule in rules if rule not in derived])], now)
        record(server, tmp_path / "prometheus", [Group("b", derived)], now)
        remaining = {rule.labels["slo"]: rule for rule in burn.recording(OBJECTIVES)[2].rules}
        alerts = [rule for group in burn.alerts(OBJECTIVES, Places()) for rule in group.rules]
        for one in OBJECTIVES:
            status = own[one.name]
            assert status.basis == "histogram"
            for window in WINDOWS:
                ((_, ratio),) = ask(server, burn.ratio(one, window), now)
                assert status.windows[window].ratio == pytest.approx(ratio, rel=0.05), window
            ((_, left),) = ask(server, remaining[one.name].expression, now)
            assert 1 - status.remaining == pytest.approx(1 - left, rel=0.03)  # what is spent
            fired = {rule.labels["window"] for rule in alerts if rule.labels["slo"] == one.name
                     and ask(server, rule.expression, now)}  # fmt: skip
            assert {firing.burn.long for firing in status.firing()} == fired
        assert {firing.burn.long for firing in own["shop-availability"].firing()} != set()
        assert own["items-latency"].firing() == []
        with reading(tmp_path / "reads", PERFAGENT_PROMETHEUS_URL=server.addresses["url"]) as reader:
            _the_hub_that_reads_tells_the_same(reader, own, now)


def _the_hub_that_reads_tells_the_same(reader: Any, own: dict[str, Any], now: float) -> None:
    for one in OBJECTIVES:
        mine, theirs = own[one.name], reader.hub.objectives.status(one, now)
        for window in WINDOWS:
            assert theirs.windows[window].ratio == pytest.approx(mine.windows[window].ratio, rel=0.05), window
            assert theirs.windows[window].requests == pytest.approx(mine.windows[window].requests, rel=0.05), window
        assert theirs.whole.bad == pytest.approx(mine.whole.bad, rel=0.05)
        assert 1 - theirs.remaining == pytest.approx(1 - mine.remaining, rel=0.05)
    found = reader.get("objectives/shop-availability")
    (worst,) = found["endpoints"]
    assert (worst["method"], worst["route"]) == ("GET", "/items")
    assert [code["code"] for code in worst["codes"]] == ["503"]
    assert worst["bad"] == pytest.approx(own["shop-availability"].whole.bad, rel=0.05)
    (late,) = reader.get("objectives/items-latency")["endpoints"]
    assert late["bad"] == pytest.approx(own["items-latency"].whole.bad, rel=0.1)
