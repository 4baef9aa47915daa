"""Every query of the dashboards has data in a Prometheus that the whole stack fills, and some have the right ones."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

if sys.version_info < (3, 11):
    pytest.skip("the dashboards are made on Python 3.11 and newer", allow_module_level=True)

from examples.shop.traffic import visit
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from tools.dashboards.__main__ import FOLDER
from tools.dashboards.boards import BOARDS
from tools.dashboards.parts import COMMON, Table, selected
from tools.stack.build import program
from tools.stack.parts import PARTS
from tools.stack.programs import Programs
from tools.stack.stack import NEEDS, Stack

from tests.stack import eventually, need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tools.dashboards.parts import Panel

DEMO, STAND_IN = "shop|payments|host|collector|gateway", "stand-in"
STAND_INS = {
    "circuit_breaker_state_transitions_total": "the shop has no circuit breaker",
    "replication_lag_seconds": "nor has its database a replica",
    "messaging_": "the shop has no queue",
    "${namespace}_messaging_": "nor does it time messages",
    "perfagent_telemetry_dropped_total": "the demo loses nothing",
    "perfagent_internal_errors_total": "the demo's agents do not fail",
    "otelcol_exporter_send_failed_": "no Collector gives up",
}
"""Metrics that the demo has not, by the beginning of their names, and why; the test sends them in its place."""

GOOD, FAILING = "/products/7", "/products/20/rating"  # the latter answers 500: that product has no reviews
ROUTES = {GOOD: "/products/{product_id}", FAILING: "/products/{product_id}/rating"}


class Quick(Stack):
    """Scrapes and evaluates each second, so that rates are known soon."""

    def rendered(self, text: str) -> str:
        """The text with our addresses and intervals."""
        keys = "interval|scrape_interval|evaluation_interval|scrape_timeout"
        return re.sub(rf"(?m)^(\s*(?:- )?(?:{keys})): *\w+", r"\1: 1s", super().rendered(text))


@dataclass(slots=True)
class Shown:
    """What a person looks at.

    Args:
        prometheus, jaeger: clients of theirs.
        counted: what a client counted: requests by route and status, all of them after `since`.
        since: when no request had come for a while.
        until: when all that it counted was in Prometheus.
    """

    prometheus: httpx.Client
    jaeger: httpx.Client
    counted: Counter[tuple[str, int]]
    since: float
    until: float

    @property
    def window(self) -> int:
        """Whole seconds back from `until` that begin in the silence before what was counted."""
        return math.ceil(self.until - self.since) + 1

    @property
    def stretched(self) -> float:
        """How far Prometheus may stretch an increase: to the ends of the window, by up to a second at each."""
        return self.window / (self.window - 2)

    def get(self, path: str, **parameters: Any) -> Any:
        """What an address of the interface answers; fails the test with the reason where that is an error."""
        answer = self.prometheus.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str, variables: Mapping[str, str], at: float | None = None) -> list[dict[str, Any]]:
        """The series that a panel shows with these values of the variables."""
        found = self.get("query", query=substituted(expression, variables), **({"time": at} if at else {}))
        return list(found["result"])

    def count(self, service: str) -> float:
        """All requests of a service so far."""
        (one,) = self.get(
            "query", query=f'sum(http_server_request_duration_seconds_count{{service_name="{service}"}})'
        )["result"]
        return float(one["value"][1])


def substituted(expression: str, variables: Mapping[str, str]) -> str:
    """An expression as Grafana sends it: all variables at All but for those given."""
    values = {"__rate_interval": "1m", "__range": "10m", "namespace": "perfagent", **variables}
    return re.sub(r"\$(?:{(\w+)}|(\w+))", lambda found: values.get(found[1] or found[2], ".*"), selected(expression))


def expressions() -> list[tuple[str, Panel, str, str]]:
    """Board, panel, legend and expression of every query."""
    return [
        (board.uid, panel, legend, expression)
        for board in BOARDS
        for panel in board.panels
        for legend, expression in zip(panel.queries, panel.expressions(), strict=True)
    ]


def source_queries() -> dict[str, str]:
    """What a span leads to, by name, as Grafana sends it for a request for a product."""
    sources = yaml.safe_load((FOLDER.parent / "provisioning/datasources/stack.yaml").read_text())["datasources"]
    (jaeger,) = (one["jsonData"] for one in sources if one["type"] == "jaeger")
    filled = {"$${__span.name}": f"GET {ROUTES[GOOD]}", "$$__tags": 'service_name="shop"'}
    queries = {}
    for one in jaeger["tracesToMetrics"]["queries"]:
        text = one["query"]
        for name, value in filled.items():
            assert name in text
            text = text.replace(name, value)
        queries[one["name"]] = text
    return queries


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The stack with the shop, its visitors gone, and a client's own count of what it asked after them."""
    need(*NEEDS)
    directory = tmp_path_factory.mktemp("platform")
    programs = Programs(directory)
    with ExitStack() as running:
        stack = running.enter_context(
            Quick(directory / "stack", environ={"KEEP_PERCENT": "100"}, addresses=programs.addresses)
        )
        endpoint = stack.url("collector:4318")
        shop = programs.shop(endpoint)
        for process in (programs.payments(endpoint), shop):
            process.start()
            running.callback(process.stop)
            process.wait()
        running.callback(stand_in(stack.url("collector:4318")).shutdown)
        address = f"http://{programs.addresses['shop:8000']}"
        asyncio.run(visit(address, seconds=10, rate=6, seed=2))
        prometheus, jaeger = (
            running.enter_context(httpx.Client(base_url=stack.url(name), timeout=30))
            for name in ("prometheus:9090", "jaeger:16686")
        )
        found = Shown(prometheus, jaeger, Counter(), 0, 0)
        before = settled(found)
        found.since = time.time()
        for number in range(60):
            path = FAILING if number % 4 == 0 else GOOD
            # On a connection of its own: uvicorn closes one after a request that raised.
            found.counted[ROUTES[path], httpx.get(f"{address}{path}", timeout=30).status_code] += 1
        eventually(lambda: found.count("shop") == before + found.counted.total(), 30, lambda: str(found.count("shop")))
        time.sleep(2)  # a rate has a point before and after
        found.until = time.time()
        deadline = time.monotonic() + 60  # what is scraped comes later than what is sent
        while time.monotonic() < deadline and without_data(found):
            time.sleep(1)
        yield found


def without_data(shown: Shown) -> list[str]:
    """The queries that answer nothing: of the demo, or of the stand-in where the demo has no such metric."""
    return [
        f"{board}: {panel.title} {legend}: {expression}"
        for board, panel, legend, expression in expressions()
        if not shown.query(
            expression, {"service_name": STAND_IN if any(name in expression for name in STAND_INS) else DEMO}
        )
    ]


def settled(shown: Shown) -> float:
    """The count of all requests of the shop once it has not changed for 3 s, which is three exports."""
    begun, count = time.monotonic(), shown.count("shop")
    while time.monotonic() < begun + 3:
        time.sleep(0.5)
        if shown.count("shop") != count:
            begun, count = time.monotonic(), shown.count("shop")
    return count


def stand_in(collector: str) -> MeterProvider:
    """Sends what the demo has not, as a program would: by OpenTelemetry, again and again, and more each time."""
    exporter = OTLPMetricExporter(f"{collector}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1000)
    attributes = {"service.name": STAND_IN, "service.instance.id": "stand-in-1", "deployment.environment.name": "test"}
    provider = MeterProvider([reader], Resource.create(attributes))
    meter = provider.get_meter("stand-in")
    topic = {"messaging.destination.name": "events", "messaging.consumer.group.name": "counters"}
    growing = {
        "circuit_breaker_state_transitions_total": {"name": "payments", "state": "open"},
        "messaging.client.sent.messages": topic,
        "messaging.client.consumed.messages": topic,
        "perfagent.telemetry.dropped": {"signal": "span", "reason": "queue full"},
        "perfagent.internal.errors": {"place": "encode"},
        **{f"otelcol_exporter_send_failed_{signal}": {} for signal in ("spans", "metric_points", "log_records")},
    }
    counters = [(meter.create_counter(name), labels) for name, labels in growing.items()]
    duration = meter.create_histogram("messaging.process.duration", "s")
    ages = [meter.create_histogram(f"perfagent.messaging.{name}", "s") for name in ("wait", "latency")]
    use = meter.create_gauge("process.cpu.utilization", "1")

    def observe(_: object) -> list[Any]:
        from opentelemetry.metrics import Observation

        for counter, labels in counters:
            counter.add(3, labels)
        for histogram in (duration, *ages):
            histogram.record(0.02, topic)
        duration.record(0.4, {**topic, "error.type": "TimeoutError"})
        use.set(0.25, {"cpu.mode": "user"})
        return [Observation(1.5)]

    meter.create_observable_gauge("replication_lag_seconds", [observe], "s")
    return provider


def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    need("prometheus")
    queries = [expression for _, _, _, expression in expressions()] + list(source_queries().values())
    queries += [
        found
        for board in BOARDS
        for found in re.findall(
            r"label_values\((.+), \w+\)$",
            "\n".join(selected(variable.query) for variable in (*COMMON, *board.variables)),
            re.MULTILINE,
        )
    ]
    rules = [{"record": f"query:{number}", "expr": substituted(query, {})} for number, query in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    words = (program(PARTS["prometheus"], "promtool"), "check", "rules", "--lint=none", tmp_path / "queries.yml")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_query_has_data(shown: Shown) -> None:
    assert without_data(shown) == []
    assert {name for name in STAND_INS if any(name in one[-1] for one in expressions())} == set(STAND_INS)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_is_stood_in_for_is_still_missing_in_the_demo(shown: Shown) -> None:
    for name in STAND_INS:
        own = substituted(name, {})
        there = shown.query(f'{{__name__=~"{own}.*", service_name=~"{DEMO}"}}', {})
        assert there == [], f"the demo has {name} now: take it off the list"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_series_have_the_labels_that_legends_and_links_name(shown: Shown) -> None:
    for board, panel, legend, expression in expressions():
        labels = set(re.findall(r"{{(\w+)}}", legend))
        if panel.traces is not None:
            labels |= {"service_name", *(what for what in panel.traces.values() if '"' not in what)}
        if isinstance(panel, Table):
            labels = set(panel.labels or {})
        found: set[str] = set().union(*(one["metric"] for one in shown.query(expression, {})))
        assert labels <= found, (board, panel.title, labels - found)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_variable_offers_what_there_is(shown: Shown) -> None:
    offered: dict[str, set[str]] = {}
    for board in BOARDS:
        for variable in (*COMMON, *board.variables):
            query = substituted(variable.query, {})
            if names := re.fullmatch(r"metrics\((.+)\)", query):
                values = [one for one in shown.get("label/__name__/values") if re.search(names[1], one)]
            else:
                series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
                values = shown.get(f"label/{label}/values", **{"match[]": series})
            if variable.regex:
                values = [re.fullmatch(variable.regex, one)[1] for one in values]  # type: ignore[index]
            assert values, (board.uid, variable)
            offered.setdefault(f"{board.uid} {variable.name}", set()).update(values)
    assert {"shop", "payments"} <= offered["perfagent-platform service_name"]
    assert all(offered[f"{board.uid} namespace"] == {"perfagent"} for board in BOARDS)
    assert offered["perfagent-database system"] == {"sqlite"}
    assert {*ROUTES.values()} <= offered["perfagent-latency route"]
    assert "lru_cache" in offered["perfagent-cache system"]
    assert offered["perfagent-load topic"] == {"events"}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_rate_and_failures_are_what_the_client_counted(shown: Shown) -> None:
    assert {status for _, status in shown.counted} == {200, 500}
    window = shown.window
    total = shown.counted.total()
    for uid in ("perfagent-platform", "perfagent-latency"):
        (board,) = (one for one in BOARDS if one.uid == uid)
        panels = {panel.title: panel.expressions()[0] for panel in board.panels}
        chosen = {"service_name": "shop", "__rate_interval": f"{window}s"}
        ((_, rate),) = (one["value"] for one in shown.query(panels["Requests"], chosen, shown.until))
        assert total * 0.99 <= float(rate) * window <= total * shown.stretched
        ((_, share),) = (one["value"] for one in shown.query(panels["Failing"], chosen, shown.until))
        assert float(share) == pytest.approx(shown.counted[ROUTES[FAILING], 500] / total, rel=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_choosing_a_route_leaves_that_route(shown: Shown) -> None:
    (board,) = (one for one in BOARDS if one.uid == "perfagent-latency")
    (table,) = (panel for panel in board.panels if panel.title == "Routes")
    window = f"{shown.window}s"
    chosen = {"service_name": "shop", "route": re.escape(ROUTES[FAILING]).replace("\\", "\\\\"), "__range": window}
    (one,) = shown.query(selected(table.queries["requests"]), chosen, shown.until)
    assert one["metric"] == {"service_name": "shop", "http_route": ROUTES[FAILING]}
    counted = shown.counted[ROUTES[FAILING], 500]
    assert counted * 0.99 <= float(one["value"][1]) <= counted * shown.stretched


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_span_leads_to_its_series_and_a_point_to_its_trace(shown: Shown) -> None:
    for name, query in source_queries().items():
        found = shown.query(query, {})
        assert found or name == "Failing calls a second", query
    bucket = 'http_server_request_duration_seconds_bucket{service_name="shop"}'
    for series in (bucket, 'traces_span_metrics_duration_seconds_bucket{service_name="shop"}'):
        exemplars = shown.get("query_exemplars", query=series, start=shown.since - 60, end=shown.until)
        assert {len(one["labels"]["trace_id"]) for found in exemplars for one in found["exemplars"]} == {32}, series


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_links_of_the_series_find_traces_in_jaeger(shown: Shown) -> None:
    searches = []
    for board, panel, _, expression in expressions():
        if panel.traces is None or any(name in expression for name in STAND_INS):
            continue
        for series in shown.query(expression, {"service_name": "shop"}):
            labels = series["metric"]
            tags = {tag: what.strip('"') if '"' in what else labels.get(what) for tag, what in panel.traces.items()}
            if all(tags.values()) and float(series["value"][1]) > 0:
                searches.append((f"{board}: {panel.title}", labels["service_name"], tags))
                break
    assert len(searches) > 12

    def fruitless() -> list[object]:
        found = []
        for panel, service, tags in searches:
            asked = {"service": service, "tags": json.dumps(tags), "limit": "1", "lookback": "1h"}
            if not shown.jaeger.get("/api/traces", params=asked).json()["data"]:
                found.append((panel, service, tags))
        return found

    eventually(lambda: not fruitless(), 30, lambda: str(fruitless()))
