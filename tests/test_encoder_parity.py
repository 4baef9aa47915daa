"""Whatever a program does by the OpenTelemetry API, we send what the stock SDK sends; docs/reference/differences.md
lists where we do not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import opentelemetry.context
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from perfagent.runtime.api.context import Bridge
from perfagent.runtime.span import Span
from tests.parity import NAMED_TIMES, Block, ProgramError, our_spans, sdk_spans, status
from tests.parity_signals import (
    PREFERENCES,
    coarsened,
    comparable_metrics,
    our_logs,
    our_metrics_of,
    sdk_logs,
    sdk_metrics_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

thorough = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def bridge() -> Iterator[None]:
    """Our context behind the API's, which the SDK uses as well; and none of the SDK's many warnings."""
    previous = opentelemetry.context._RUNTIME_CONTEXT
    opentelemetry.context._RUNTIME_CONTEXT = Bridge(previous)
    trace.Span.register(Span)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    opentelemetry.context._RUNTIME_CONTEXT = previous


class Plain:
    """An object that nothing is known of."""


class Speaking:
    def __str__(self) -> str:
        return "spoken"


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=9)
integers = st.integers(-(1 << 63), (1 << 63) - 1)
scalars = st.one_of(texts, st.booleans(), integers, st.floats(), st.binary(max_size=9), st.none())
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2)),
    st.sampled_from([Plain(), Speaking(), 1.5j, {"s"}, (1, "mixed"), range(3)]),
)
keys = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "", "http.route"])
attributes = st.none() | st.dictionaries(keys, values, max_size=7)
moments = st.none() | st.integers(NAMED_TIMES[0], NAMED_TIMES[-1])
named_moments = st.integers(NAMED_TIMES[0], NAMED_TIMES[-1])
errors = st.sampled_from([ValueError("wrong"), ProgramError(), KeyError("k"), OSError(2, "gone")])
numbers = st.integers(-2, 6)


def steps(blocks: Any) -> Any:
    return st.one_of(
        st.tuples(st.just("set_attribute"), keys, values),
        st.tuples(st.just("set_attributes"), st.dictionaries(keys | st.integers(1, 3), values, max_size=4)),
        st.tuples(st.just("add_event"), texts, attributes, moments),
        st.tuples(st.just("record_exception"), errors, attributes, moments, st.booleans()),
        st.builds(
            lambda *given: ("set_status", *status(*given)),
            st.sampled_from(StatusCode),
            st.none() | texts,
            st.booleans(),
        ),
        st.tuples(st.just("update_name"), texts),
        st.tuples(st.just("add_link"), numbers, attributes),
        st.tuples(st.just("end"), named_moments),
        *([st.tuples(st.just("child"), blocks)] if blocks is not None else []),
    )


def blocks(inner: Any) -> Any:
    return st.builds(
        Block,
        name=texts,
        kind=st.sampled_from(SpanKind),
        attributes=attributes,
        links=st.lists(st.tuples(numbers, attributes), max_size=3),
        parent=st.sampled_from(["current", "current", "current", "root", "remote", "unsampled", 0, 1]),
        start=moments,
        end=moments,
        style=st.sampled_from(["current", "with", "use"]),
        records=st.booleans(),
        sets_status=st.booleans(),
        fails=st.booleans(),
        scope=st.integers(0, 1),
        steps=st.lists(steps(inner), max_size=5),
    )


@thorough
@given(blocks(blocks(blocks(None))))
def test_the_spans_of_any_program_are_those_of_the_sdk(program: Block) -> None:
    assert our_spans(program) == sdk_spans(program)


amounts = st.one_of(st.integers(-9, 3000), st.integers(0, 1 << 40), st.integers(-8, 90_000).map(lambda n: n / 8))
metric_attributes = st.none() | st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y", 1, 1.0, True, 0, False, ("x", 1), ["x", 1], b"x", None, {"k": [1]}]),
    max_size=2,
)
synchronous = st.sampled_from(
    ["counter", "same counter", "other meter", "other unit", "up_down", "gauge", "histogram", "advised"]
)
observables = st.sampled_from(
    ["observable_counter", "observable_counter 2", "observable_up_down_counter", "observable_gauge"]
)
measurements = st.one_of(
    st.tuples(synchronous, amounts, metric_attributes),
    st.tuples(observables, st.lists(st.tuples(amounts, metric_attributes), max_size=3)),
)
rounds = st.lists(st.lists(measurements, max_size=12), min_size=1, max_size=4)


@pytest.mark.parametrize("preference", PREFERENCES)
@thorough
@given(rounds)
def test_the_metrics_of_any_program_are_those_of_the_sdk(preference: str, program: list[list[Any]]) -> None:
    sdk = sdk_metrics_of(program, preference, exponential=False)
    ours = our_metrics_of(program, preference, exponential=False)
    assert list(map(comparable_metrics, ours)) == list(map(comparable_metrics, sdk))


@pytest.mark.parametrize("preference", ["cumulative", "delta"])
@thorough
@given(rounds)
def test_the_exponential_histograms_of_any_program_are_those_of_the_sdk_or_finer(
    preference: str, program: list[list[Any]]
) -> None:
    sdk = sdk_metrics_of(program, preference, exponential=True)
    ours = [coarsened(*pair) for pair in zip(our_metrics_of(program, preference, exponential=True), sdk, strict=True)]
    assert list(map(comparable_metrics, ours)) == list(map(comparable_metrics, sdk))


bodies = (
    st.text(st.characters(exclude_categories=("Cs",)), max_size=6) | st.booleans() | integers | st.floats() | st.none()
)
records = st.fixed_dictionaries(
    {"logger": st.integers(0, 1)},
    optional={
        "timestamp": named_moments,
        "observed_timestamp": named_moments,
        "severity_number": st.none() | st.integers(0, 24),
        "severity_text": st.none() | texts,
        "body": st.one_of(bodies, st.lists(bodies, max_size=2), st.dictionaries(keys.filter(bool), bodies, max_size=2)),
        "attributes": attributes,
        "event_name": st.none() | texts,
        "exception": errors,
    },
)


@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
@thorough
@given(st.lists(records, min_size=1, max_size=4))
def test_the_log_records_of_any_program_are_those_of_the_sdk(program: list[dict[str, Any]]) -> None:
    assert our_logs(program) == sdk_logs(program)
