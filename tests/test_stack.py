"""The whole way, with the real programs: the shop under the agent, Collectors, Jaeger, Prometheus, Alertmanager."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from tools.stack.build import program
from tools.stack.parts import PARTS
from tools.stack.stack import FILES

from tests.program import clean_environment
from tests.stack import Stores, Webhook, eventually, get, need, running
from tests.stack_spans import Sender, certificate
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.stack.process import Process
    from tools.stack.stack import Stack

    from tests.stack import Notification

Found = TypeVar("Found")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OUTAGE = 30  # seconds that the Collector is dead
DELIVERED = 60  # seconds from the fault to the notification


@dataclass(slots=True)
class Shop:
    """The shop and its payments under the agent, and what a client of theirs counted.

    Args:
        url: of the shop.
        payments: the process that the shop calls.
        answers: how many answers of each status the client got.
        sent: the ids of the traces that the client began.
    """

    url: str
    payments: Process
    shop: Process
    answers: Counter[int] = field(default_factory=Counter)
    sent: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, path: str, body: dict[str, int] | None = None) -> str:
        """Sends a request that begins a trace, and returns the trace's id."""
        trace_id = os.urandom(16).hex()
        headers = {"traceparent": f"00-{trace_id}-{os.urandom(8).hex()}-01", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                response.read()
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        with self.lock:
            self.answers[status] += 1
            self.sent.append(trace_id)
        return trace_id

    def buy(self, customer: int) -> str:
        """Puts something into the customer's cart and pays; returns the id of the trace of the payment."""
        self.ask(f"/customers/{customer}/cart", {"product_id": 1 + customer % 50, "quantity": 1})
        return self.ask(f"/customers/{customer}/checkout", {})


@dataclass(slots=True)
class Running:
    """What the tests of this module share."""

    stack: Stack
    stores: Stores
    shop: Shop
    webhook: Webhook
    directory: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack with the shop under the agent. Every trace is kept, so that all of them can be counted."""
    directory = tmp_path_factory.mktemp("stack")
    with Webhook() as webhook, running(directory, webhook, KEEP_PERCENT="100", DECISION_WAIT="3s") as (stack, programs):
        endpoint = stack.url("collector:4318")
        payments, shop = programs.payments(endpoint), programs.shop(endpoint)
        for process in (payments, shop):
            process.environ = {**process.environ, "OTEL_BSP_MAX_QUEUE_SIZE": "65536", "PERFAGENT_STRICT": "true"}
            process.start()
        try:
            for process in (payments, shop):
                process.wait()
            client = Shop(f"http://{programs.addresses['shop:8000']}", payments, shop)
            yield Running(stack, Stores(stack), client, webhook, directory)
        finally:
            shop.stop()
            payments.stop()


def test_every_file_is_accepted_by_its_own_program(tmp_path: Path) -> None:
    need("collector", "jaeger")
    otelcol = str(program(PARTS["collector"]))
    environ = {**os.environ, "STORAGE": str(tmp_path)}
    for name in ("TOKEN_FILE", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"):
        (tmp_path / name).write_text("")
        environ[name] = str(tmp_path / name)
    for files in (
        ["agent.yaml"],
        ["agent.yaml", "agent-tls.yaml"],
        ["gateway.yaml"],
        ["gateway.yaml", "gateway-logstash.yaml"],
        ["gateway.yaml", "gateway-tls.yaml"],
    ):
        words = [word for file in files for word in ("--config", str(FILES / file))]
        done = subprocess.run([otelcol, "validate", *words], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{files}: {done.stderr}"


def test_jaeger_shows_a_request_through_both_services_with_the_right_parents(whole: Running) -> None:
    trace_id = whole.shop.buy(7)
    spans = eventually(
        lambda: (found := whole.stores.trace(trace_id)) and len(_servers(found)) == 2 and found,
        30,
        lambda: str(whole.stores.trace(trace_id)),
    )
    by_id = {span["spanID"]: span for span in spans}
    payments = next(span for span in _servers(spans) if span["operationName"] == "POST /charges")
    shop = next(span for span in _servers(spans) if span is not payments)
    call = by_id[_parent(payments)]
    assert shop["operationName"] == "POST /customers/{customer_id}/checkout"
    assert _tag(call, "span.kind") == "client"
    assert _parent(call) == shop["spanID"]
    assert _parent(shop) not in by_id, "its parent is the client, which sends no spans"
    queries = [span for span in spans if _tag(span, "db.system.name") == "sqlite"]
    inside = [span for span in queries if _parent(span) == shop["spanID"]]
    assert len(inside) >= 5
    assert all(shop["startTime"] <= span["startTime"] for span in inside)


def test_prometheus_counts_what_the_client_counted_in_metrics_and_in_spans(whole: Running) -> None:
    for customer in range(1, 41):
        whole.shop.buy(customer)
        whole.shop.ask("/products?category=garden&page=1")
    asked = sum(whole.shop.answers.values())

    # The agent's own look-ups at start ask /openapi.json, which the client does not count.
    by_agent = 'sum(http_server_request_duration_seconds_count{service_name="shop", http_route!="/openapi.json"})'
    by_collector = (
        'sum(traces_span_metrics_calls_total{service_name="shop", span_kind="SPAN_KIND_SERVER",'
        ' http_route!="/openapi.json"})'
    )
    for expression in (by_agent, by_collector):
        eventually(
            lambda wanted=expression: whole.stores.value(wanted) == asked,
            40,
            lambda wanted=expression: f"{whole.stores.value(wanted)} of {asked} by {wanted}",
        )
    statuses = whole.stores.query(
        'sum by (http_response_status_code) (http_server_request_duration_seconds_count{service_name="shop",'
        ' http_route!="/openapi.json"})'
    )
    assert {int(labels["http_response_status_code"]): value for labels, value in statuses} == whole.shop.answers


def test_host_metrics_and_the_collectors_own_telemetry_arrive(whole: Running) -> None:
    eventually(lambda: whole.stores.query("system_cpu_utilization_ratio"), 60)
    up = eventually(
        lambda: (
            (found := {labels["instance"]: value for labels, value in whole.stores.query("up")})
            and all(found.get(whole.stack.addresses[f"{name}:8888"]) for name in ("collector", "gateway", "gateway-2"))
            and found
        ),
        60,
        lambda: str(whole.stores.query("up")),
    )
    assert up
    accepted = whole.stores.query('sum by (instance) ({__name__=~"otelcol_receiver_accepted_spans(_total)?"})')
    shares = {labels["instance"]: value for labels, value in accepted}
    both = [shares[whole.stack.addresses[f"{name}:8888"]] for name in ("gateway", "gateway-2")]
    assert min(both) > 0, f"the traces are shared between the gateways: {shares}"


def test_a_fault_fires_alerts_that_are_delivered_within_a_minute_and_resolved_when_it_is_over(whole: Running) -> None:
    _use_rules(whole, error_rate_percent={"violations": 1, "cooldown_minutes": 0})
    customers = iter(range(100, 10_000))
    for _ in range(10):
        whole.shop.buy(next(customers))
    broken = time.time()
    whole.shop.payments.kill()

    def both() -> tuple[Notification, Notification] | None:
        burn = whole.webhook.first("SloBurnsFast", "firing", broken)
        errors = whole.webhook.first("FailingRequests", "firing", broken)
        return (burn, errors) if burn and errors else None

    for notification in _while_buying(whole, customers, both, DELIVERED):
        delay = notification.arrived - broken
        print(f"{notification.labels['alertname']}: delivered {delay:.1f} s after the fault")
        assert delay < DELIVERED
        assert notification.labels["service_name"] == "shop"

    whole.shop.payments.start()
    whole.shop.payments.wait()
    mended = time.time()
    # The error rate is one of the last minutes; the objective's burns until five minutes without errors have passed.
    over = _while_buying(whole, customers, lambda: whole.webhook.first("FailingRequests", "resolved", mended), 150)
    print(f"FailingRequests: resolved {over.arrived - mended:.1f} s after the end of the fault")


OBJECTIVE = """
[[slo]]
name = "shop-availability"
service = "shop"
objective = 99.9
indicator = "availability"
"""


def _use_rules(whole: Running, **thresholds: dict[str, float]) -> None:
    """Exports the rules of a team that promises 99.9 % and has changed thresholds, and has Prometheus read them."""
    project = whole.directory / "project"
    project.mkdir()
    (project / "perfagent.toml").write_text(OBJECTIVE)
    rules = whole.stack.directory / "files" / "prometheus" / "rules"
    words = ("rules", "export", "--project", str(project), "--directory", str(rules))
    environ = {**os.environ, "PERFAGENT_ALERT_THRESHOLDS": json.dumps(thresholds)}
    subprocess.run([sys.executable, "-m", "perfagent", *words], env=environ, check=True, capture_output=True)
    reload = urllib.request.Request(f"{whole.stack.url('prometheus:9090')}/-/reload", method="POST")
    with urllib.request.urlopen(reload, timeout=60) as answer:
        assert answer.status == 200


def _while_buying(
    whole: Running, customers: Iterator[int], condition: Callable[[], Found | None], seconds: float
) -> Found:
    """What the condition finds while people go on buying; fails the test after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        whole.shop.buy(next(customers))
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(
        f"not within {seconds} s; firing: {whole.stores.firing()}, delivered: {whole.webhook.notifications}"
    )


@pytest.mark.alone  # a ratio of times
def test_a_collector_killed_for_half_a_minute_under_load_loses_nothing_that_it_took(whole: Running) -> None:
    with Visitors(whole.shop) as before:
        time.sleep(15)
    with Visitors(whole.shop) as meanwhile:
        time.sleep(2)
        _die_for(whole.stack.collector, OUTAGE)
        time.sleep(3)
    p99 = f"p99 {before.p99 * 1e3:.1f} ms before, {meanwhile.p99 * 1e3:.1f} ms with the outage"
    print(f"{_all_in_jaeger(whole, before, meanwhile)}; {p99}")
    dropped = whole.stores.value('sum(perfagent_telemetry_dropped_total{service_name="shop"})')
    assert dropped == 0, "the queue of this test holds the whole outage"
    assert statistics.median(meanwhile.seconds) < statistics.median(before.seconds) * 2


def test_a_gateway_killed_under_load_delays_what_is_sent_to_it_and_loses_none(whole: Running) -> None:
    time.sleep(8)  # it has decided on all that it holds in memory: what it has not is lost with it
    with Visitors(whole.shop) as meanwhile:
        _die_for(whole.stack.gateways[1], 10)
    print(_all_in_jaeger(whole, meanwhile))


def _die_for(process: Process, seconds: float) -> None:
    process.kill()
    time.sleep(seconds)
    process.start()
    process.wait()


def _all_in_jaeger(whole: Running, *visitors: Visitors) -> str:
    """Waits until every trace of the visitors is in Jaeger; tells how many spans that are, and how many came twice."""
    asked = {trace_id for one in visitors for trace_id in one.traces}
    begin, end = min(one.begin for one in visitors), time.time()
    found: dict[str, list[str]] = {}

    def arrived() -> bool:
        found.clear()
        for second in range(int(begin) - 1, int(end) + 2, 5):
            found.update(whole.stores.traces("shop", second, second + 5))
        return asked <= found.keys()

    eventually(arrived, 60, lambda: f"{len(asked - found.keys())} of {len(asked)} traces are missing")
    total = sum(map(len, found.values()))
    again = sum(len(ids) - len(set(ids)) for ids in found.values())
    assert again <= total * 0.05, "what was under way when a process died may come twice, no more"
    return f"all {len(asked)} traces, {total} spans, {again} of them twice"


class Visitors:
    """Requests at a steady rate whatever the answers take, until the end of the block.

    Args:
        shop: to ask.
        rate: requests a second.
    """

    def __init__(self, shop: Shop, rate: float = 40) -> None:
        self._shop = shop
        self._every = 1 / rate
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(4)]
        self.begin = time.time()
        self.seconds: list[float] = []
        self.traces: list[str] = []

    @property
    def p99(self) -> float:
        """The 99th percentile of what a request took from when it should have begun, in seconds."""
        return statistics.quantiles(self.seconds, n=100)[98]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, number: int) -> None:
        every = self._every * len(self._threads)
        due = time.monotonic() + number * self._every
        while not self._over.wait(max(0.0, due - time.monotonic())):
            trace_id = self._shop.ask(f"/products/{1 + number}")
            self.seconds.append(time.monotonic() - due)
            self.traces.append(trace_id)
            due += every


def test_failed_and_slow_traces_are_kept_and_the_rest_by_share(tmp_path: Path) -> None:
    with running(tmp_path, KEEP_PERCENT="20", SLOW_MS="500", DECISION_WAIT="2s") as (stack, _):
        sender = Sender(stack.url("collector:4318"))
        failed = [sender.trace(failed=True) for _ in range(50)]
        slow = [sender.trace(seconds=0.8) for _ in range(50)]
        plain = [sender.trace() for _ in range(500)]
        sender.flush()
        stores = Stores(stack)
        begin, end = time.time() - 60, time.time() + 60
        eventually(lambda: {*failed, *slow} <= stores.traces("sampled", begin, end).keys(), 40)
        kept = stores.traces("sampled", begin, end).keys() & set(plain)
        assert 60 <= len(kept) <= 145, f"20 % of 500 within five standard deviations: {len(kept)}"
        counted = 'sum(traces_span_metrics_calls_total{service_name="sampled", span_kind="SPAN_KIND_SERVER"})'
        eventually(lambda: stores.value(counted) == 600, 40, lambda: str(stores.value(counted)))


def test_secrets_that_other_senders_record_end_at_the_first_collector(tmp_path: Path) -> None:
    with running(tmp_path, KEEP_PERCENT="100", DECISION_WAIT="1s") as (stack, _):
        sender = Sender(stack.url("collector:4318"))
        trace_id = sender.trace(
            attributes={
                "http.request.header.authorization": "Bearer hunter2",
                "db.password": "hunter2",
                "url.full": "https://me:hunter2@example.com/pay?token=hunter2",
                "url.query": "token=hunter2",
                "http.route": "/pay",
                "app.access_token": "hunter2",
                "gen_ai.usage.input_tokens": "17",
            },
            event={"session-id": "hunter2", "exception.type": "ValueError"},
        )
        sender.log("login failed: password=hunter2 for anna", {"session_id": "hunter2", "user": "anna"})
        sender.log("sent Authorization: Bearer ey.hunter2 to otto", {})
        sender.log("cannot reach postgres://shop:hunter2@db/shop, says karl", {})
        sender.flush()
        spans = eventually(lambda: Stores(stack).trace(trace_id), 30)
        logs = [Path(gateway.environ["LOGS"]) for gateway in stack.gateways]

        def written() -> str:
            return "".join(path.read_text() for path in logs if path.exists())

        eventually(lambda: all(name in written() for name in ("anna", "otto", "karl")), 30, written)
        lines = written()
        assert "hunter2" not in json.dumps(spans)
        assert "example.com/pay" in json.dumps(spans)
        for harmless in ("/pay", "gen_ai.usage.input_tokens", "ValueError"):
            assert harmless in json.dumps(spans)
        assert "hunter2" not in lines
        for harmless in ("login failed", "postgres://", "@db/shop"):
            assert harmless in lines


def test_gateways_take_nothing_without_their_token_and_everything_with_it(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    certificate(tmp_path)
    files = {name: str(tmp_path / name.lower()) for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "TOKEN_FILE")}
    (tmp_path / "token_file").write_text("right")
    with running(tmp_path / "stack", KEEP_PERCENT="100", DECISION_WAIT="1s", **files) as (stack, _):
        for process, overlay in (
            *((one, "gateway-tls.yaml") for one in stack.gateways),
            (stack.collector, "agent-tls.yaml"),
        ):
            process.stop()
            process.command = (*process.command, "--config", str(FILES / overlay))
        wrong = tmp_path / "wrong"
        wrong.write_text("wrong")
        stack.collector.environ = {**stack.collector.environ, "TOKEN_FILE": str(wrong)}
        for process in (*stack.gateways, stack.collector):
            process.start()
        for process in (*stack.gateways, stack.collector):
            process.wait()
        sender = Sender(stack.url("collector:4318"))
        trace_id = sender.trace()
        sender.flush()
        time.sleep(5)
        assert not Stores(stack).trace(trace_id)
        wrong.write_text("right")  # the Collector reads it again by itself

        def arrived() -> bool:
            later = sender.trace()
            sender.flush()
            time.sleep(4)
            return bool(Stores(stack).trace(later))

        eventually(arrived, 60, stack.collector.said)
        assert not Stores(stack).trace(trace_id), "OTLP: what was sent with a wrong token is not sent again"


def test_make_stack_starts_everything_tells_where_it_is_and_stops_cleanly(tmp_path: Path) -> None:
    need("collector", "prometheus", "alertmanager", "jaeger")
    start, own = (block.strip() for block in blocks("docs/how-to/stack.md", "sh"))
    assert start == "make stack"
    makefile = (FILES.parent / "Makefile").read_text()
    (recipe,) = re.findall(r"^stack:.*\n\t\$\(BIN\)/python (.*)$", makefile, re.MULTILINE)
    words = [sys.executable, *recipe.split(), "--directory", str(tmp_path / "stack")]
    stack = subprocess.Popen(words, cwd=FILES.parent, stdout=subprocess.PIPE, text=True)
    try:
        assert stack.stdout is not None
        told = "".join(iter(stack.stdout.readline, "Ctrl-C stops all of it.\n"))
        for name in ("prometheus", "alertmanager", "jaeger", "collector", "gateway-2", "hub", "shop", "webhook"):
            assert f"\n{name} " in f"\n{told}", told

        # What the page shows next: one's own program, with the address that was told.
        (collector,) = re.findall(r"ENDPOINT=(\S+)", told)
        variable, command = own.replace("http://localhost:4318", collector).split(" ", 1)
        environ = clean_environment(dict([variable.split("=", 1)], OTEL_SERVICE_NAME="own"))
        (tmp_path / "app.py").write_text("import sqlite3\nsqlite3.connect(':memory:').cursor().execute('select 1')\n")
        subprocess.run(command.split(), cwd=tmp_path, env=environ, check=True, timeout=60)
        (prometheus,) = re.findall(r"^prometheus +metrics +(\S+)", told, re.MULTILINE)
        counted = 'traces_span_metrics_calls_total{service_name="own", db_system_name="sqlite"}'
        eventually(lambda: get(prometheus, "/api/v1/query", query=counted)["data"]["result"], 40)
    finally:
        stack.send_signal(signal.SIGINT)
        assert stack.wait(60) == 0
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert not left, f"these still run: {left}"


def _servers(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if _tag(span, "span.kind") == "server"]


def _tag(span: dict[str, Any], key: str) -> Any:
    return next((tag["value"] for tag in span["tags"] if tag["key"] == key), None)


def _parent(span: dict[str, Any]) -> str:
    return next((str(one["spanID"]) for one in span["references"] if one["refType"] == "CHILD_OF"), "")
