"""OpenTelemetry's context and ours are one: parents, baggage and suppression cross in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunText
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


OWN_PROVIDER = """
    import logging, sqlite3
    from opentelemetry import trace
    early = trace.get_tracer("early")

    @early.start_as_current_span("early decorated")
    def decorated():
        return type(trace.get_current_span()).__module__

    assert type(early).__module__.startswith("perfagent.") and decorated().startswith("perfagent.")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    assert trace.get_tracer_provider() is provider
    with early.start_as_current_span("theirs") as theirs:
        assert trace.get_current_span() is theirs
        sqlite3.connect(":memory:").cursor().execute("select 1")
        assert decorated() == "opentelemetry.sdk.trace"
    trace.get_tracer("late").start_span("late").end()
    identity = theirs.get_span_context()
    print(f"{identity.trace_id:032x} {identity.span_id:016x}")
    print(*[span.name for span in memory.get_finished_spans()], sep=",")
"""


def test_a_program_that_sets_its_own_provider_gets_it_without_a_warning(run: Run, receiver: Receiver) -> None:
    ids, names = run(OWN_PROVIDER).splitlines()
    assert names == "early decorated,theirs,late"
    spans = {span.name: span for span in receiver.spans}
    assert set(spans) == {"early decorated", "SELECT"}  # the first call, before the program set its provider
    assert f"{spans['SELECT'].trace_id} {spans['SELECT'].parent_id}" == ids


def test_a_span_of_another_provider_below_ours_has_ours_as_its_parent(run: Run, receiver: Receiver) -> None:
    parent = run("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        theirs = TracerProvider().get_tracer("theirs")
        ours = trace.get_tracer("ours")
        with ours.start_as_current_span("outer"), theirs.start_as_current_span("middle") as middle:
            print(f"{middle.parent.span_id:016x} {middle.get_span_context().span_id:016x}")
            ours.start_span("inner").end()
            with trace.use_span(trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)):
                assert trace.get_current_span() is trace.INVALID_SPAN or not trace.get_current_span().is_recording()
                ours.start_span("root").end()
            assert trace.get_current_span() is middle
    """).split()
    spans = {span.name: span for span in receiver.spans}
    assert spans["outer"].span_id == parent[0]
    assert (spans["inner"].parent_id, spans["inner"].trace_id) == (parent[1], spans["outer"].trace_id)
    assert spans["root"].parent_id == ""


def test_attached_contexts_carry_our_span_values_and_baggage(run: Run, receiver: Receiver) -> None:
    run("""
        from opentelemetry import baggage, context, propagate, trace
        tracer = trace.get_tracer("shop")
        incoming = {"traceparent": f"00-{7:032x}-{8:016x}-01", "tracestate": "v=1", "baggage": "user=x%20y,plan=gold"}
        remote = propagate.extract(incoming)
        token = context.attach(remote)
        assert baggage.get_all() == {"user": "x y", "plan": "gold"}
        with tracer.start_as_current_span("server") as span:
            state = span.get_span_context().trace_state
            assert (span.get_span_context().trace_id, dict(state)) == (7, {"v": "1"})
            inner = context.attach(context.set_value("key", "value", baggage.set_baggage("order", "1,2")))
            assert context.get_value("key") == "value" and trace.get_current_span() is span
            headers = {}; propagate.inject(headers)
            assert headers["baggage"] == "user=x+y,plan=gold,order=1%2C2", headers
            assert headers["tracestate"] == "v=1" and headers["traceparent"].endswith("-01")
            from perfagent.runtime import propagation
            ours = {}; propagation.inject(ours.__setitem__)
            assert ours == headers, ours
            context.detach(inner)
            assert context.get_value("key") is None and baggage.get_baggage("order") is None
            cleared = context.attach(context.Context())
            assert not baggage.get_all() and trace.get_current_span() is trace.INVALID_SPAN
            tracer.start_span("root").end()
            context.detach(cleared)
            assert trace.get_current_span() is span and baggage.get_baggage("plan") == "gold"
        context.detach(token)
        assert not context.get_current() and trace.get_current_span() is trace.INVALID_SPAN
        tracer.start_span("explicit", context=remote).end()
    """)
    spans = {span.name: span for span in receiver.spans}
    assert (spans["server"].trace_id, spans["server"].parent_id) == (f"{7:032x}", f"{8:016x}")
    assert spans["server"].trace_state == "v=1"
    assert spans["explicit"].parent_id == f"{8:016x}"
    assert spans["root"].parent_id == ""


def test_a_context_left_in_another_task_does_no_harm(run: Run, receiver: Receiver) -> None:
    run("""
        import asyncio
        from opentelemetry import trace
        tracer = trace.get_tracer("shop")

        async def generator():
            with tracer.start_as_current_span("generator"):
                yield 1
                yield 2

        async def main():
            numbers = generator()
            await asyncio.create_task(anext(numbers))
            await asyncio.create_task(numbers.aclose())
            tracer.start_span("after").end()

        asyncio.run(main())
    """)
    assert {span.name: span for span in receiver.spans}["after"].parent_id == ""


def test_suppressed_instrumentation_keeps_our_instruments_still(run: Run, receiver: Receiver) -> None:
    run("""
        import sqlite3
        from opentelemetry import context, trace
        from opentelemetry.instrumentation.utils import suppress_instrumentation
        tracer = trace.get_tracer("shop")
        cursor = sqlite3.connect(":memory:").cursor()
        with tracer.start_as_current_span("outer") as outer:
            with suppress_instrumentation():
                cursor.execute("select 1 from sqlite_master")
                assert trace.get_current_span() is outer
                with tracer.start_as_current_span("inner"):
                    cursor.execute("select 2 from sqlite_master")
            cursor.execute("pragma user_version")
        token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
        cursor.execute("select 3 from sqlite_master")
        tracer.start_span("rootless").end()
        context.detach(token)
    """)
    spans = {span.name: span for span in receiver.spans}
    assert sorted(spans) == ["PRAGMA user_version", "inner", "outer", "rootless"]
    assert spans["inner"].parent_id == spans["PRAGMA user_version"].parent_id == spans["outer"].span_id
    assert spans["rootless"].parent_id == ""


def test_a_span_without_identity_is_the_current_one_and_begins_no_trace(run: Run, receiver: Receiver) -> None:
    told = run(
        """
        import sqlite3
        from opentelemetry import trace

        tracer = trace.get_tracer("program")
        nothing = trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)
        with tracer.start_as_current_span("around") as around:
            with trace.use_span(nothing):
                assert trace.get_current_span() is nothing
                with tracer.start_as_current_span("below"):
                    pass
                sqlite3.connect(":memory:").execute("select 1")
            assert trace.get_current_span() is around
        print("seen")
        """
    )
    assert told == "seen\n"
    spans = by_name(receiver)
    assert spans["below"].parent_id == ""
    assert spans["below"].trace_id != spans["around"].trace_id
    assert [span.parent_id for span in receiver.spans if span.kind == "CLIENT"] == [""]
