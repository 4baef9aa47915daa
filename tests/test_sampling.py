"""What is sampled tells its share, so that who counts spans can count those that were left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace._sampling_experimental import composable_traceid_ratio_based, composite_sampler
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import TraceState

from perfagent.runtime.sampler import Sampler
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver

RATIOS = [0.001, 0.1, 0.25, 1 / 3, 0.5, 0.999]


def trace_ids(number: int) -> list[bytes]:
    return [os.urandom(16) for _ in range(number)]


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_traces_kept_are_those_that_the_sdk_keeps(ratio: float) -> None:
    ours, theirs = Sampler(ratio), TraceIdRatioBased(ratio)
    for trace_id in trace_ids(2000):
        decision = theirs.should_sample(None, int.from_bytes(trace_id, "big"), "x").decision
        assert ours.keeps(trace_id) == decision.is_sampled()


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_trace_state_is_true_by_the_rules_of_probability_sampling(ratio: float) -> None:
    ours = Sampler(ratio)
    judge = composite_sampler(composable_traceid_ratio_based(ratio))
    for trace_id in trace_ids(2000):
        kept, state = ours.decide(trace_id)
        if not kept:
            assert state == ""
            continue
        judged = judge.should_sample(
            None, int.from_bytes(trace_id, "big"), "x", trace_state=TraceState.from_header([state])
        )
        assert judged.decision.is_sampled()
        assert judged.trace_state is not None
        assert len(state) <= 40
        threshold = int(state.partition("th:")[2].partition(";")[0].ljust(14, "0"), 16)
        assert (1 << 56) - threshold == pytest.approx(ratio * (1 << 56), rel=1e-12)


def test_a_ratio_of_one_or_of_nothing_tells_nothing() -> None:
    (trace_id,) = trace_ids(1)
    assert Sampler(1).decide(trace_id) == (1, "")
    assert Sampler(0).decide(trace_id) == (0, "")


@pytest.mark.parametrize(
    ("ratio", "inherited", "decision"),
    [
        (1.0, "a=b", (1, "a=b")),
        (1.0, "ot=th:8;rv:80000000000000;x:1,a=b", (1, "ot=th:0;rv:80000000000000;x:1,a=b")),
        (0.25, "ot=rv:ffffffffffffff;x:1, a=b", (1, "ot=th:c;rv:ffffffffffffff;x:1,a=b")),
        (0.25, "a=b,ot=th:8;rv:bfffffffffffff", (0, "ot=rv:bfffffffffffff,a=b")),
        (0.25, "ot=th:8;rv:zzzzzzzzzzzzzz", (1, "ot=th:c;rv:ffffffffffffff")),
        (0.25, "a=b", (1, "ot=th:c;rv:ffffffffffffff,a=b")),
    ],
)
def test_a_span_that_does_not_follow_its_parent_keeps_what_others_wrote(
    ratio: float, inherited: str, decision: tuple[int, str]
) -> None:
    assert Sampler(ratio, parent_based=False).decide(bytes(16), inherited) == decision


PROGRAM = """
import sqlite3
from opentelemetry import propagate, trace
tracer = trace.get_tracer("program")
connection = sqlite3.connect(":memory:")
for _ in range(2000):
    with tracer.start_as_current_span("parent"):
        connection.execute("select 1")
        carrier = {}
        propagate.inject(carrier)
        sampled = carrier["traceparent"].endswith("-01")
        assert ("ot=th:c;rv:" in carrier.get("tracestate", "")) == sampled
for _ in range(2000):
    connection.execute("select 2")
"""


@pytest.mark.parametrize("sampler", ["parentbased_traceidratio", "traceidratio"])
def test_every_span_of_a_sampled_trace_tells_the_share(
    receiver: Receiver, run_program: RunProgram, sampler: str
) -> None:
    env = agent_env(receiver, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0.25")
    run_program("perfagent", "run", "python", "-c", PROGRAM, env=env).check()
    receiver.wait_until_quiet()
    spans = list(receiver.spans)
    assert all(span.trace_state.startswith("ot=th:c;rv:") for span in spans)
    for name, statement in (("parent", None), ("SELECT", "select ?")):
        of_kind = [span for span in spans if span.name == name and span.attributes.get("db.query.text") == statement]
        true = 2000 if statement is None else 4000
        assert len(of_kind) * 4 == pytest.approx(true, rel=0.25)  # six deviations for the smaller


def test_who_keeps_everything_sends_no_trace_state(receiver: Receiver, run_program: RunProgram) -> None:
    code = "import sqlite3; sqlite3.connect(':memory:').execute('select 1')"
    run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver)).check()
    (span,) = receiver.wait_for_spans(1)
    assert span.trace_state == ""
