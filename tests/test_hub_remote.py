"""The shop under the agent, its Collectors, Prometheus and Jaeger, and a hub that reads them back: all that it answers.

A hub of the usual kind gets the same telemetry, so that the two can be compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools.stack.programs import Programs

from tests.browser import Visit, artifacts
from tests.hub import ServedHub
from tests.remotes import BOUNDS, Faulty, Remotes, Tee, reading
from tests.stack import eventually, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.remotes import ReadingHub

pytest_plugins = ["tests.browser"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROUNDS = 12  # of everything that a customer may do
ARRIVES = 75  # seconds from a request to its count: the agent, two Collectors, a scrape and a reading


@dataclass(slots=True)
class Whole:
    """The stack, both hubs, and what a client of the shop counted.

    Args:
        hub: reads from Prometheus and Jaeger.
        plain: got the same by OTLP.
        proxy: in front of the hub's Jaeger.
        shop: the shop's address.
        asked: requests by method and route.
        failed: those of them that were answered with 5xx.
    """

    hub: ReadingHub
    plain: ServedHub
    proxy: Faulty
    shop: str
    asked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def ask(self, route: str, path: str = "", body: dict[str, int] | None = None) -> str:
        """Sends a request that begins a trace, and returns the trace's id."""
        trace_id = os.urandom(16).hex()
        headers = {"traceparent": f"00-{trace_id}-{os.urandom(8).hex()}-01", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        self.asked[f"{method} {route}"] += 1
        request = urllib.request.Request(f"{self.shop}{path or route}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                response.read()
        except urllib.error.HTTPError as error:
            self.failed[f"{method} {route}"] += error.code >= 500
        return trace_id

    def visit(self) -> None:
        """Does everything once for some customers."""
        for customer in range(1, ROUNDS + 1):
            self.ask("/products", "/products?page=1")
            self.ask("/products/{product_id}", f"/products/{customer}")
            self.ask("/products/{product_id}/rating", f"/products/{customer}/rating")
            self.buy(customer)
            self.ask("/customers/{customer_id}/orders", f"/customers/{customer}/orders")

    def buy(self, customer: int) -> str:
        """Puts something into a cart and pays for it; returns the trace's id of that."""
        self.ask("/customers/{customer_id}/cart", f"/customers/{customer}/cart", {"product_id": 1, "quantity": 1})
        return self.ask("/customers/{customer_id}/checkout", f"/customers/{customer}/checkout", {})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    need("collector", "prometheus", "jaeger")
    directory = tmp_path_factory.mktemp("remote")
    programs = Programs(directory)
    with (
        Remotes(directory, environ={"KEEP_PERCENT": "100", "DECISION_WAIT": "2s"}) as stack,
        ServedHub(directory / "plain") as plain,
        Tee(stack.url("collector:4318"), plain.url) as tee,
        Faulty(stack.url("jaeger:16686")) as proxy,
    ):
        servers = [programs.payments(tee.url), programs.shop(tee.url)]
        for server in servers:
            server.environ = {**server.environ, "PERFAGENT_STRICT": "true"}
            server.start()
        try:
            for server in servers:
                server.wait()
            settings = {"PERFAGENT_PROMETHEUS_URL": stack.url("prometheus:9090"), "PERFAGENT_JAEGER_URL": proxy.url}
            with reading(directory / "hub", **settings, PERFAGENT_REMOTE_TIMEOUT="3") as hub:
                found = Whole(hub, plain, proxy, f"http://{programs.addresses['shop:8000']}")
                found.visit()
                metrics = hub.remote.metrics
                assert metrics is not None
                eventually(lambda: metrics.dialect and metrics.dialect.counts_spans, ARRIVES)
                eventually(lambda: counted(hub) == found.asked, ARRIVES, lambda: f"{counted(hub)} {found.asked}")
                # A program that was asked by the shop sends later than the shop does.
                eventually(
                    lambda: requests(hub) == requests(plain), ARRIVES, lambda: f"{requests(hub)} {requests(plain)}"
                )
                yield found
        finally:
            for server in servers:
                server.stop()


def endpoints(hub: ServedHub) -> dict[str, Any]:
    return {one["name"]: one for one in hub.get("endpoints", hours=1, limit=200)["items"]}


def requests(hub: ServedHub) -> dict[str, float]:
    """Requests of all programs by endpoint."""
    return {name: one["requests"] for name, one in endpoints(hub).items()}


def counted(hub: ServedHub) -> Counter[str]:
    """Requests of the shop by method and route; without those that ask whether it is there."""
    found = hub.get("endpoints", hours=1, limit=200, service="shop")["items"]
    return Counter({one["name"]: int(one["requests"]) for one in found if "openapi" not in one["name"]})


def bucket(seconds: float) -> tuple[float, float]:
    """The bounds of the bucket that a duration falls into, in ms."""
    every = zip((0.0, *BOUNDS), (*BOUNDS, float("inf")), strict=True)
    return next((low * 1000, high * 1000) for low, high in every if seconds <= high)


def test_it_counts_what_the_client_counted_and_what_a_hub_of_its_own_does(whole: Whole) -> None:
    assert counted(whole.hub) == whole.asked == counted(whole.plain)
    ours, plain = endpoints(whole.hub), endpoints(whole.plain)
    assert ours.keys() == plain.keys()
    for name, one in ours.items():
        other = plain[name]
        assert (one["requests"], one["errors"]) == (other["requests"], other["errors"]), name
        assert one["operation"] == other["operation"], name  # the same address in the page
        assert one["mean_ms"] == pytest.approx(other["mean_ms"], rel=0.01), name
        low, high = bucket(other["p95_ms"] / 1000)
        assert low * 0.91 <= one["p95_ms"] <= high * 1.09, name
    assert sum(one["errors"] for one in ours.values() if one["service"] == "shop") == sum(whole.failed.values())


def test_queries_caches_and_processes_are_those_of_a_hub_of_its_own(whole: Whole) -> None:
    def calls(hub: ServedHub) -> Counter[str]:
        found: Counter[str] = Counter()
        for one in hub.get("queries", hours=1, limit=200)["items"]:
            found[one["summary"]] += int(one["calls"])
        return found

    eventually(
        lambda: calls(whole.hub) == calls(whole.plain), ARRIVES, lambda: f"{calls(whole.hub)} {calls(whole.plain)}"
    )

    def called() -> Any:
        items = whole.hub.get("queries", hours=1)["items"]
        return next((one for one in items if one["callers"]), None)

    statement = eventually(called, ARRIVES)  # the next round of sampling brings traces
    assert statement["text"].startswith(statement["summary"].split()[0])  # by a trace: metrics have summaries alone

    def lookups(hub: ServedHub) -> dict[str, tuple[float, float]]:
        found = hub.get("caches", hours=1, limit=200)["items"]
        return {one["name"]: (one["hits"], one["misses"]) for one in found if one["name"].startswith("shop.")}

    def same() -> bool:
        return bool(lookups(whole.hub)) and lookups(whole.hub) == lookups(whole.plain)

    eventually(same, ARRIVES, lambda: f"{lookups(whole.hub)} {lookups(whole.plain)}")
    processes = [
        {(one["service"], one["instance"], one["pid"], one["python"], one["agent_version"], one["alive"])
         for one in hub.get("processes", hours=1)["items"] if one["service"] in ("shop", "payments")}
        for hub in (whole.hub, whole.plain)
    ]  # fmt: skip
    assert processes[0] == processes[1]
    names = ("cpu_ratio", "memory_bytes", "threads", "descriptors", "lag_p99_ms", "exported")

    def vitals() -> Any:
        return next(one for one in whole.hub.get("processes", hours=1)["items"] if one["service"] == "shop")

    # A distribution has two readings before it has a difference.
    eventually(lambda: all(vitals()[name] for name in names), ARRIVES, lambda: str(vitals()))
    vital = vitals()
    assert abs(vital["started"] - time.time()) < 240


def test_a_trace_is_found_by_its_id_with_the_parents_that_its_programs_gave_it(whole: Whole) -> None:
    trace_id = whole.buy(1)
    trace = eventually(lambda: _trace(whole.hub, trace_id, 2), ARRIVES)
    assert set(trace["services"]) == {"shop", "payments"}
    spans = {one["span_id"]: one for one in trace["spans"]}
    charge = next(one for one in trace["spans"] if one["service"] == "payments" and one["kind"] == "server")
    call = spans[charge["parent_id"]]
    assert (call["service"], call["kind"]) == ("shop", "client")
    assert spans[call["parent_id"]]["name"] == "POST /customers/{customer_id}/checkout"
    assert trace["spans"][0]["depth"] == 0
    other = whole.plain.get(f"traces/{trace_id}")
    assert trace["complete"] == other["complete"]  # it is not: the client's own span is in none of them
    shown = ("span_id", "parent_id", "name", "category", "service", "instance", "depth", "status")
    ours = sorted([one[name] or "" for name in shown] for one in trace["spans"])
    assert ours == sorted([one[name] or "" for name in shown] for one in other["spans"])
    assert whole.hub.ask(f"traces/{'0' * 31}1").status_code == 404


def _trace(hub: ServedHub, trace_id: str, services: int) -> Any:
    response = hub.ask(f"traces/{trace_id}")
    data = response.json()["data"] if response.status_code == 200 else None
    return data if data and len(data["services"]) >= services else None


def test_traces_are_found_by_what_they_are_and_page_by_page(whole: Whole) -> None:
    def found(**terms: Any) -> list[Any]:
        return list(whole.hub.get("traces", **terms)["items"])

    route = "/customers/{customer_id}/orders"
    items = eventually(lambda: found(route=route, limit=100), ARRIVES)
    assert {one["name"] for one in items} == {f"GET {route}"}
    slow = sorted(one["duration_ms"] for one in items)[len(items) // 2]
    assert all(one["duration_ms"] >= slow for one in found(route=route, min_ms=slow))
    assert all(one["error"] for one in found(status="error"))
    assert {one["service"] for one in found(service="payments")} == {"payments"}
    assert found(service="shop", attribute="http.route=/products")
    assert found(q="checkout")
    pages: list[str] = []
    following: dict[str, str] = {}
    while True:
        page = whole.hub.get("traces", service="shop", limit=20, **following)
        pages += [one["trace_id"] for one in page["items"]]
        if page["next"] is None:
            break
        following = {"cursor": page["next"]}
    assert len(pages) == len(set(pages))
    assert len(pages) >= sum(whole.asked.values()) * 0.95  # all were kept, and each is listed once


def test_findings_name_the_query_that_every_request_repeats(whole: Whole) -> None:
    def repeated() -> Any:
        items = whole.hub.get("insights", hours=1)["items"]
        repeats = [one for one in items if one["kind"] == "n_plus_one" and "orders.py" in one["evidence"]]
        return next((one for one in repeats if "GET /customers/{customer_id}/orders" in one["title"]), None)

    one = eventually(repeated, ARRIVES)
    assert "SELECT" in one["evidence"]
    endpoint = endpoints(whole.hub)["GET /customers/{customer_id}/orders"]["operation"]
    assert one["link"] == f"#/endpoints/{endpoint}"

    def looked_into() -> Any:  # traces of the endpoint come in rounds
        found = whole.hub.get(f"endpoints/{endpoint}", hours=1)
        return found if found["breakdown"]["sampled"] >= ROUNDS / 2 else None

    detail = eventually(looked_into, ARRIVES)
    assert detail["slowest"]
    assert max(one["calls_per_request"] for one in detail["queries"]) > 3


@pytest.mark.parametrize(
    "words",
    [
        ("dashboard",), ("traces", "--limit", "3"), ("top", "--once"), ("status",), ("health",),
        ("report", "--hours", "1", "--format", "html"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_commands_answer_as_with_a_hub_of_its_own(whole: Whole, words: tuple[str, ...]) -> None:
    environ = {
        **os.environ,
        "PERFAGENT_HUB_URL": whole.hub.url,
        "PERFAGENT_HUB_TOKEN": whole.hub.access.token("viewer"),
        "COLUMNS": "160",  # where there are fewer, tables leave out what a terminal has no room for
    }
    command = [str(Path(sys.executable).parent / "perfagent"), *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: something was found
    assert "shop" in done.stdout
    if words[0] == "status":
        assert "Prometheus at http" in done.stdout
        assert "Jaeger at http" in done.stdout


def test_without_jaeger_traces_say_so_and_everything_else_goes_on(whole: Whole) -> None:
    whole.proxy.mode = "down"
    try:
        eventually(lambda: whole.hub.remote.states()[1].failing, 15)
        response = whole.hub.ask("traces", params={"service": "shop"})
        assert "Jaeger at http" in response.headers["Perfagent-Notes"]
        assert response.json()["data"]["items"]  # those that are in the window
        missing = whole.hub.ask(f"traces/{'a' * 32}")
        assert missing.status_code == 503
        assert "PERFAGENT_JAEGER_URL" in missing.json()["error"]["message"]
        assert counted(whole.hub) == whole.asked or whole.hub.get("overview", hours=1)["totals"]["requests"] > 0
        checks = whole.hub.get("health")["checks"]
        assert (checks["jaeger"]["status"], checks["prometheus"]["status"]) == ("degraded", "healthy")
    finally:
        whole.proxy.mode = ""
    eventually(lambda: not whole.hub.remote.states()[1].failing, 70)


def test_with_jaeger_alone_figures_are_those_of_its_traces_and_say_so(whole: Whole, tmp_path: Path) -> None:
    with reading(tmp_path, PERFAGENT_JAEGER_URL=whole.proxy.url) as hub:
        items = eventually(lambda: hub.get("endpoints", hours=1, service="shop")["items"], 20)
        assert {one["name"] for one in items} <= set(whole.asked) | {"GET /openapi.json"}
        assert "sampled" in hub.ask("overview").headers["Perfagent-Notes"]
        assert hub.get("traces", service="payments")["items"]


def test_with_prometheus_alone_counts_are_whole_and_traces_say_what_is_missing(whole: Whole, tmp_path: Path) -> None:
    with reading(tmp_path, PERFAGENT_PROMETHEUS_URL=whole.hub.settings.prometheus_url) as hub:
        eventually(lambda: counted(hub) == whole.asked, 20, lambda: f"{counted(hub)} {whole.asked}")
        response = hub.ask("traces")
        assert response.json()["data"]["items"] == []
        assert "PERFAGENT_JAEGER_URL" in response.headers["Perfagent-Notes"]


def test_the_page_shows_it_all_without_a_fault(whole: Whole, browser: Browser) -> None:
    endpoint = endpoints(whole.hub)["GET /customers/{customer_id}/orders"]["operation"]
    trace = whole.hub.get("traces", route="/customers/{customer_id}/checkout", limit=1)["items"][0]["trace_id"]
    with Visit(browser, whole.hub) as visit:
        visit.wait("overview")
        for route, view in (
            ("", "overview"), ("endpoints", ""), (f"endpoints/{endpoint}", "endpoint"), (f"traces/{trace}", "trace"),
            ("hub", ""), ("processes", ""), ("metrics", ""),
        ):  # fmt: skip
            page = visit.open(route, view)
            page.screenshot(path=artifacts() / f"remote-{view or route}.png")
        visit.open("hub")
        assert whole.hub.settings.prometheus_url in visit.text()
        assert "Send OTLP to" not in visit.text()
        visit.check()
