"""`make demo` from end to end, and what it says when there is nothing to show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from examples.telemetry.findings import Finding, find
from examples.telemetry.server import Reply, Request, Server, decode
from examples.telemetry.tally import Tally
from examples.telemetry.vitals import vital_signs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from tests.conftest import RunProgram

ROOT = Path(__file__).parents[1]


def test_without_an_agent_the_demo_fails_and_says_that_nothing_arrived(run_program: RunProgram) -> None:
    program = run_program(sys.executable, "-m", "examples.demo", "--seconds=0.2", "--rate=3", "--agent=env", cwd=ROOT)
    assert program.wait() == 1
    assert "0 exports arrived" in program.stderr
    assert "Traceback" not in program.stderr


def test_an_agent_that_does_not_exist_is_named(run_program: RunProgram) -> None:
    program = run_program(sys.executable, "-m", "examples.demo", "--agent=no-such-agent run", cwd=ROOT)
    assert program.wait() == 1
    assert "'no-such-agent'" in program.stderr


def test_a_shop_that_cannot_start_is_shown_with_what_it_said(run_program: RunProgram) -> None:
    program = run_program(sys.executable, "-m", "examples.demo", "--agent=env WEB_CONCURRENCY=none", cwd=ROOT)
    assert program.wait() == 1
    assert "ended at once" in program.stderr
    assert "ValueError: invalid literal for int() with base 10: 'none'" in program.stderr


def test_vital_signs_caches_deprecations_and_losses_are_read_from_the_metrics() -> None:
    tally = Tally()

    def answer(request: Request) -> Reply:
        tally.add(decode(request))
        return Reply()

    with Server(answer) as server:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(server.url + "/v1/metrics"), 60_000)
        provider = MeterProvider([reader])
        meter = provider.get_meter("shop")
        meter.create_gauge("process.memory.usage", "By").set(64_000_000)
        meter.create_histogram("event_loop.lag", "s").record(0.25)
        meter.create_counter("cache.hits").add(30, {"cache.name": "prices"})
        meter.create_counter("cache.misses").add(10, {"cache.name": "prices"})
        meter.create_counter("deprecated_function_calls").add(4, {"function": "price_with_tax"})
        meter.create_counter("spans.dropped").add(2)
        provider.shutdown()

    assert ("memory", "64 MB") in vital_signs(tally)
    assert find(tally) == [
        Finding("event loop", "it stood still for up to 250 ms", "something computes or waits in an async function"),
        Finding("deprecated", "price_with_tax", "4 calls"),
        Finding("cache", "prices: 75% hits", "30 hits, 10 misses"),
        Finding("lost", "the agent dropped 2 items", "spans.dropped"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["perfagent run", "opentelemetry-instrument"])
def test_the_demo_finds_the_n_plus_one_and_the_errors_of_the_shop(run_program: RunProgram, agent: str) -> None:
    program = run_program(sys.executable, "-m", "examples.demo", "--seconds=4", f"--agent={agent}", cwd=ROOT)
    shown = program.check(60)
    assert "GET /customers/{customer_id}/orders ran the same query up to" in shown
    assert "SELECT … FROM order_lines WHERE ? = order_lines.order_id" in shown
    assert "GET /products/{product_id}/rating failed with ZeroDivisionError: division by zero" in shown
    assert "\x1b" not in shown
