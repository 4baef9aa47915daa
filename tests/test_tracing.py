"""init_tracing: the agent started from the program's own code, and its tracer."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from perfagent import init_tracing
from tests.agent import agent_env
from tests.otlp import Receiver
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram, RunText

PROGRAM = """
    import asyncio, sqlite3
    from perfagent import init_tracing

    tracer = init_tracing("orders")

    @tracer.start_as_current_span("inner", attributes={"kind": "async"})
    async def inner():
        sqlite3.connect(":memory:").cursor().execute("select 1")

    with tracer.start_as_current_span("outer") as span:
        span.set_attribute("customer", 7)
        asyncio.run(inner())
        try:
            with tracer.start_as_current_span("failing"):
                raise LookupError("no such thing")
        except LookupError:
            pass
"""


@pytest.mark.parametrize("bare", [True, False], ids=["by itself", "under perfagent run"])
def test_spans_of_the_program_and_of_libraries_are_one_trace(receiver: Receiver, run_text: RunText, bare: bool) -> None:
    settings = agent_env(receiver, OTEL_SERVICE_NAME="") if bare else {"OTEL_SERVICE_NAME": ""}
    run_text(PROGRAM, bare=bare, **settings)
    spans = {span.name: span for span in receiver.wait_for_spans(4)}
    outer, inner = spans["outer"], spans["inner"]
    assert outer.resource["service.name"] == "orders"
    assert (outer.scope.name, outer.kind, outer.attributes["customer"]) == ("orders", "INTERNAL", 7)
    assert (inner.parent_id, inner.attributes["kind"]) == (outer.span_id, "async")
    assert spans["SELECT"].parent_id == inner.span_id
    assert (spans["failing"].parent_id, spans["failing"].status.code) == (outer.span_id, "ERROR")
    assert spans["failing"].events[0].attributes["exception.message"] == "no such thing"


def test_the_name_that_the_environment_gives_wins(receiver: Receiver, run_text: RunText) -> None:
    run_text(PROGRAM, OTEL_SERVICE_NAME="deployed")
    assert {span.resource["service.name"] for span in receiver.wait_for_spans(4)} == {"deployed"}


@pytest.mark.slow
def test_the_sdk_pipeline_gives_opentelemetrys_own_tracer(receiver: Receiver, run_text: RunText) -> None:
    env = agent_env(receiver, OTEL_SERVICE_NAME="", PERFAGENT_PIPELINE="sdk")
    run_text(PROGRAM + "    print(type(tracer).__module__)\n", bare=True, **env)
    spans = {span.name: span for span in receiver.wait_for_spans(4)}
    assert spans["inner"].parent_id == spans["outer"].span_id
    assert spans["outer"].resource["service.name"] == "orders"


def test_it_sends_to_the_host_of_an_old_jaeger_and_warns_once(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(dedent(PROGRAM))
    with Receiver() as receiver:
        env = {
            "JAEGER_ENDPOINT": f"http://127.0.0.1:{receiver.url.rpartition(':')[2]}/api/traces",
            "PERFAGENT_HUB": "off",
        }
        program = run_program(sys.executable, "app.py", env=env, cwd=tmp_path)
        program.check()
    # OTLP's port is that of the convention, 4318: whether somebody listens there is not this test's business.
    assert program.stderr.count("is of a protocol that is gone; sending to http://127.0.0.1:4318") == 1


def test_where_everything_is_off_it_changes_nothing(receiver: Receiver, run_text: RunText) -> None:
    run_text(PROGRAM, bare=True, **agent_env(receiver, OTEL_SDK_DISABLED="true"))
    assert receiver.spans == []


@pytest.mark.parametrize("name", ["", " ", None, 5])
def test_a_service_without_a_name_is_refused_with_an_example(name: object) -> None:
    with pytest.raises(ValueError, match=r'is not accepted: the name of the service, such as init_tracing\("shop"\)'):
        init_tracing(name)  # type: ignore[arg-type]


def test_what_the_page_shows_works(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    for block in blocks("docs/how-to/tracing.md", "python"):
        (tmp_path / "app.py").write_text(block)
        env = agent_env(receiver, OTEL_SERVICE_NAME="")
        run_program(sys.executable, "app.py", env=env, cwd=tmp_path).check()
    names = [span.name for span in receiver.wait_for_spans(3)]
    assert names == ["SELECT", "price", "order"]
