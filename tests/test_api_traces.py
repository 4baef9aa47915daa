"""A program's own OpenTelemetry tracers on our runtime: real programs under the agent, no SDK unless they bring it."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver, Span

    Run = Callable[..., str]


@pytest.fixture
def run(run_text: RunText) -> Run:
    """Runs a program's text under the agent; returns what it printed, and nothing may stand on standard error."""

    def run(text: str, **env: str) -> str:
        program = run_text(text, **env)
        assert not program.stderr, program.stderr
        return program.stdout

    return run


def by_name(receiver: Receiver) -> dict[str, Span]:
    return {span.name: span for span in receiver.spans}


def test_nothing_of_opentelemetry_is_imported_before_the_program_does(run: Run) -> None:
    run("import sys; assert not [name for name in sys.modules if name.startswith('opentelemetry')]")


def test_spans_nest_in_functions_coroutines_threads_and_decorators(run: Run, receiver: Receiver) -> None:
    run("""
        import asyncio, contextvars, threading
        from opentelemetry import trace
        tracer = trace.get_tracer("shop", "1.2", schema_url="https://schema", attributes={"team": "a"})

        @tracer.start_as_current_span("decorated")
        def decorated(number): return number + 1

        @tracer.start_as_current_span("async decorated")
        async def coroutine():
            await asyncio.sleep(0.01)
            return trace.get_current_span().name

        with tracer.start_as_current_span("outer", kind=trace.SpanKind.PRODUCER, attributes={"a": [1, 2]}) as outer:
            assert isinstance(outer, trace.Span) and trace.get_current_span() is outer and outer.is_recording()
            assert decorated(1) == decorated(1) == 2 and decorated.__name__ == "decorated"
            assert asyncio.run(coroutine()) == "async decorated"
            inner = tracer.start_span("inner")
            with trace.use_span(inner, end_on_exit=True):
                pass
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(lambda: tracer.start_span("thread").end(),))
            thread.start(); thread.join()
            threading.Thread(target=lambda: tracer.start_span("thread of its own").end()).start()
        assert trace.get_current_span() is trace.INVALID_SPAN and not outer.is_recording()
    """)
    spans = by_name(receiver)
    outer = spans["outer"]
    for name in ("decorated", "async decorated", "inner", "thread", "thread of its own"):
        assert (spans[name].parent_id, spans[name].trace_id) == (outer.span_id, outer.trace_id), name
    assert not outer.parent_id
    assert sum(span.name == "decorated" for span in receiver.spans) == 2
    assert outer.kind == "PRODUCER"
    assert outer.attributes == {"a": [1, 2]}
    scope = outer.scope
    assert (scope.name, scope.version, scope.schema_url, scope.attributes) == (
        "shop", "1.2", "https://schema", {"team": "a"},
    )  # fmt: skip
    assert spans["async decorated"].seconds >= 0.01


def test_an_exception_is_recorded_once_by_the_block_it_leaves(run: Run, receiver: Receiver) -> None:
    run("""
        from opentelemetry import trace
        tracer = trace.get_tracer("shop")
        def leave(error, **options):
            try:
                with tracer.start_as_current_span(type(error).__name__, **options):
                    raise error
            except type(error): pass
        leave(ValueError("wrong"))
        leave(KeyError("x"), record_exception=False, set_status_on_exception=False)
        leave(KeyboardInterrupt())
        try:
            with tracer.start_span("span as a block"): raise RuntimeError("inside")
        except RuntimeError: pass
    """)
    spans = by_name(receiver)
    (event,) = spans["ValueError"].events
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "wrong"
    assert "raise error" in event.attributes["exception.stacktrace"]
    assert (spans["ValueError"].status.code, spans["ValueError"].status.message) == ("ERROR", "ValueError: wrong")
    for name in ("KeyError", "KeyboardInterrupt"):  # the second is no error: the program is told to end
        assert not spans[name].events
        assert spans[name].status.code == "UNSET"
    assert spans["span as a block"].events[0].attributes["exception.escaped"] == "True"


def test_what_a_span_holds_can_be_read_back(run: Run) -> None:
    run("""
        from opentelemetry import trace
        from opentelemetry.trace import SpanKind, StatusCode
        tracer = trace.get_tracer("shop", "1.2")
        with tracer.start_as_current_span("parent") as parent:
            link = trace.Link(parent.get_span_context(), {"l": 1})
            span = tracer.start_span("child", kind=SpanKind.CLIENT, attributes={"a": 1}, links=[link], start_time=5)
        span.add_event("event", {"e": 1}, 7)
        span.set_status(StatusCode.ERROR, "broken")
        assert (span.name, span.kind, dict(span.attributes), span.start_time) == ("child", SpanKind.CLIENT, {"a": 1}, 5)
        assert span.context == span.get_span_context() and span.end_time is None
        assert span.parent.span_id == parent.get_span_context().span_id and parent.parent is None
        assert [(e.name, e.timestamp, dict(e.attributes)) for e in span.events] == [("event", 7, {"e": 1})]
        assert [l.context.span_id for l in span.links] == [parent.context.span_id]
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "broken")
        assert span.instrumentation_scope.name == "shop"
        span.end(9)
        assert span.end_time == 9 and not span.is_recording()
        span.set_attribute("late", 1); span.update_name("late"); span.add_event("late"); span.end(11)
        assert (span.name, span.end_time, len(span.attributes), len(span.events)) == ("child", 9, 1, 1)
        assert trace.get_tracer_provider().resource.attributes["service.name"] == "tested"
    """)


def test_spans_that_are_not_sampled_are_not_sent_and_tell_so_downstream(run: Run, receiver: Receiver) -> None:
    out = run(
        """
        from opentelemetry import propagate, trace
        from opentelemetry.trace import SpanContext, TraceFlags, NonRecordingSpan, set_span_in_context
        tracer = trace.get_tracer("shop")
        with tracer.start_as_current_span("dropped") as span:
            assert not span.is_recording() and not span.get_span_context().trace_flags.sampled
            span.set_attribute("a", 1); span.add_event("e"); span.record_exception(ValueError())
            tracer.start_span("dropped too").end()
            headers = {}; propagate.inject(headers); print(headers["traceparent"][-3:])
        kept = set_span_in_context(NonRecordingSpan(SpanContext(1, 1, True, TraceFlags(1))))
        tracer.start_span("follows its parent", context=kept).end()
        """,
        OTEL_TRACES_SAMPLER="parentbased_always_off",
    )
    assert out == "-00\n"
    assert [span.name for span in receiver.spans] == ["follows its parent"]


def test_a_client_span_of_the_program_does_not_silence_an_instrument(run: Run, receiver: Receiver) -> None:
    run("""
        import sqlite3
        from opentelemetry import trace
        with trace.get_tracer("shop").start_as_current_span("call", kind=trace.SpanKind.CLIENT):
            sqlite3.connect(":memory:").cursor().execute("select 1")
    """)
    spans = by_name(receiver)
    assert spans["SELECT"].parent_id == spans["call"].span_id
    assert spans["call"].kind == "CLIENT"


def test_many_threads_can_use_one_span_and_it_is_sent_once(run: Run, receiver: Receiver) -> None:
    run("""
        import sys, threading
        from opentelemetry import trace
        sys.setswitchinterval(1e-6)
        tracer = trace.get_tracer("shop")
        for number in range(50):
            span = tracer.start_span(f"shared {number}")
            def work(thread):
                for key in range(10):
                    span.set_attribute(f"{thread}.{key}", key)
                    span.add_event("event")
            threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
            [thread.start() for thread in threads]; [thread.join() for thread in threads]
            threads = [threading.Thread(target=span.end) for _ in range(8)]
            [thread.start() for thread in threads]; [thread.join() for thread in threads]
    """)
    shared = [span for span in receiver.spans if span.name.startswith("shared")]
    assert len(shared) == len({span.span_id for span in shared}) == 50
    assert {(len(span.attributes), len(span.events)) for span in shared} == {(80, 80)}


def test_hostile_arguments_never_raise_into_the_program(run: Run, receiver: Receiver) -> None:
    run("""
        from opentelemetry import trace
        class Mute:
            def __str__(self): raise RuntimeError("no text")
        tracer = trace.get_tracer("shop")
        span = tracer.start_span("x", attributes={"mute": Mute(), "": 1, "deep": {"list": [Mute(), 1 << 70]}})
        span.set_attributes(None); span.set_attributes([("a", 1)]); span.set_attribute(None, 1)
        span.set_attribute("huge", "x" * 10_000_000); span.set_attribute("surrogate", chr(0xD800))
        span.set_status("ERROR"); span.set_status(None); span.update_name(None); span.add_event(None, {"a": Mute()})
        span.add_link(trace.SpanContext(-1, 1 << 70, False), {"a": 1}); span.add_link(None)
        span.record_exception(type("Silent", (Exception,), {"__str__": Mute.__str__})())
        span.end(1.5)
        span.end()
    """)
    (span,) = receiver.spans
    assert "no text" not in span.attributes["mute"]
    assert "RuntimeError" in span.attributes["mute"]
    assert span.attributes["deep"]["list"][1] == str(1 << 70)
    assert len(span.attributes["huge"]) == 32_768


def test_flushing_by_the_provider_delivers_at_once(run: Run) -> None:
    out = run(
        """
        import time
        from opentelemetry import trace
        trace.get_tracer("shop").start_span("x").end()
        started = time.monotonic()
        print(trace.get_tracer_provider().force_flush(), time.monotonic() - started < 5)
        trace.get_tracer_provider().shutdown()
        """,
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert out == "True True\n"


def test_a_span_processor_is_refused_with_one_warning(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "prog.py"
    path.write_text(
        "from opentelemetry import trace\nfor _ in range(2): trace.get_tracer_provider().add_span_processor(object())\n"
    )
    program = run_program("perfagent", "run", sys.executable, str(path), env=agent_env(receiver))
    program.check()
    assert program.stderr.count("PERFAGENT_PIPELINE=sdk") == 1


APP = """
    import sqlite3
    from fastapi import FastAPI
    from opentelemetry import metrics, trace
    app = FastAPI()
    tracer = trace.get_tracer("shop")

    @app.get("/items/{number}")
    async def item(number: int):
        trace.get_current_span().set_attribute("item", number)
        with tracer.start_as_current_span("price"):
            sqlite3.connect(":memory:").cursor().execute("select 1")
        return number
"""


@pytest.mark.parametrize("auto_configure", ["false", "true"])
def test_fastapi_s_own_telemetry_adds_no_second_span_and_no_second_metric(
    run_program: RunProgram, receiver: Receiver, free_port: int, tmp_path: Path, auto_configure: str
) -> None:
    (tmp_path / "shop.py").write_text(dedent(APP))
    command = ("perfagent", "run", sys.executable, "-m", "uvicorn", "shop:app", "--port", str(free_port))
    env = agent_env(receiver, FASTAPI_OTEL_AUTO_CONFIGURE=auto_configure)
    program = run_program(*command, env=env, cwd=tmp_path)
    program.wait_for_port(free_port)
    fetch(free_port, "/items/7")
    program.terminate()
    spans = by_name(receiver)
    assert sorted(span.name for span in receiver.spans) == ["GET /items/{number}", "SELECT", "price"]
    server = spans["GET /items/{number}"]
    assert server.attributes["item"] == 7
    assert spans["price"].parent_id == server.span_id
    assert spans["SELECT"].parent_id == spans["price"].span_id
    assert "telemetry" not in program.stderr
    durations = {point.scope.name for point in receiver.metric("http.server.request.duration")}
    assert len(durations) == 1
    assert receiver.total("http.server.request.duration").count == 1


def fetch(port: int, path: str) -> Any:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}{path}") as response:
        return response.read()
