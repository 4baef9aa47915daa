"""Whatever a header holds, reading it raises nothing; and of what keeps the rules, OpenTelemetry's own parts read the
same.
"""

from __future__ import annotations

import math
import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from perfagent.rum.address import is_loopback, name_of
from perfagent.runtime import headers, http, http_client, propagation
from perfagent.runtime.context import RemoteContext, baggage
from perfagent.runtime.otlp.transport import _retry_after
from perfagent.runtime.sampler import Sampler
from perfagent.settings import Settings
from perfagent.settings.source import Table
from tests.fuzz import deep, quick

pytestmark = pytest.mark.slow
hexadecimal = "0123456789abcdef"
anything = st.text(max_size=80) | st.text(st.characters(max_codepoint=255), max_size=80)
header_text = st.text(string.ascii_letters + string.digits + '=-_;, %"\t.:/@[]', max_size=80)


@st.composite
def traceparents(draw: Any) -> str:
    """One that keeps the rules, or nearly: up to three characters of it are others."""
    sizes = ((2, 2), (32, 32), (16, 16), (2, 2))
    parts = [draw(st.text(hexadecimal, min_size=low, max_size=high)) for low, high in sizes]
    parts[0] = draw(st.sampled_from(["00", "00", "00", "01", "ff", parts[0]]))
    for at, zeros in ((1, 32), (2, 16)):
        parts[at] = draw(st.sampled_from([parts[at], parts[at], "0" * zeros]))
    found = list("-".join(parts) + draw(st.sampled_from(["", "", "", "-", "-more", "x"])))
    for _ in range(draw(st.integers(0, 3)) if draw(st.booleans()) else 0):
        found[draw(st.integers(0, len(found) - 1))] = draw(st.sampled_from("gGAZ-_0f\u0660\uff10"))
    return "".join(found)


def read_by_api(traceparent: str) -> tuple[int, int, int] | None:
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    found = trace.get_current_span(context).get_span_context()
    return (found.trace_id, found.span_id, int(found.trace_flags)) if found.is_valid else None


def as_the_api_reads_it(traceparent: str) -> None:
    ours = propagation.parent(traceparent)
    got = (
        None
        if ours is None
        else (int.from_bytes(ours.trace_id, "big"), int.from_bytes(ours.span_id, "big"), ours.flags)
    )
    assert got == read_by_api(traceparent)


def nothing_is_raised(text: str) -> None:
    propagation.parent(text, text)
    propagation.extract(lambda name: text)
    propagation.carried(lambda name: text)
    http.split_host(text)
    http.split_host(text.encode("utf-8", "replace"))
    http_client._public(text)
    http_client._origin(text)
    http_client._secrets(text)
    headers.encode("request", [(text, text), (text.encode("utf-8", "replace"), b"\xff")])
    is_loopback(name_of(text))
    wait = _retry_after(text)
    assert wait is None or 0 <= wait <= 300
    assert Sampler(0.5, parent_based=False).decide(b"t" * 16, text)[0] in (0, 1)


def written_as_the_api_reads_it(trace_id: bytes, span_id: bytes, flags: int, carried: dict[str, str]) -> None:
    carrier: dict[str, str] = {}
    out: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, Context({next(iter(_baggage_key())): carried}))
    token = baggage.set(carrier.get("baggage", ""))
    try:
        propagation.inject(out.__setitem__, RemoteContext(trace_id, span_id, flags, "vendor=1"))
    finally:
        baggage.reset(token)
    context = TraceContextTextMapPropagator().extract(out, Context())
    found = trace.get_current_span(context).get_span_context()
    assert (found.trace_id, found.span_id) == (int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"))
    assert int(found.trace_flags) == flags & 1
    assert found.trace_state.get("vendor") == "1"
    assert get_all(W3CBaggagePropagator().extract(out, Context())) == get_all(
        W3CBaggagePropagator().extract(carrier, Context())
    )


def _baggage_key() -> list[str]:
    from opentelemetry import baggage as api

    return [api._BAGGAGE_KEY]


@st.composite
def header_lists(draw: Any) -> str:
    """As OTEL_EXPORTER_OTLP_HEADERS has them: names of tokens, values percent-encoded."""
    token = st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=9)
    value = st.text(string.ascii_letters + string.digits + "-._~!*()/:@=", max_size=9) | st.sampled_from(
        ["a%20b", "%C3%A4", "%41"]
    )
    pairs = draw(st.lists(st.tuples(token, value), max_size=4))
    space = draw(st.sampled_from(["", " "]))
    return f"{space},{space}".join(f"{name}{space}={space}{content}" for name, content in pairs)


def a_header_list(text: str) -> None:
    ours = Settings({"OTEL_EXPORTER_OTLP_HEADERS": text}, directory="/nonexistent").headers
    assert {name.lower(): value for name, value in ours.items()} == parse_env_headers(text, liberal=True)


def any_header_list(text: str) -> None:
    settings = Settings(
        {"OTEL_EXPORTER_OTLP_HEADERS": text, "OTEL_RESOURCE_ATTRIBUTES": text}, directory="/nonexistent"
    )
    settings.report = lambda problem: None  # type: ignore[method-assign]
    assert isinstance(settings.headers, dict)
    assert isinstance(settings.resource_attributes, dict)
    Table._environment(settings)


ids = st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any)
members = st.dictionaries(
    st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8), st.text(max_size=12), max_size=4
)
odd = [
    "",
    "-",
    "nan",
    "inf",
    "-1",
    "1e400",
    "[::1",
    "]:80",
    "a:" + "9" * 40,
    "://",
    "http://@",
    "Fri, 31 Dec 9999 23:59:59 -2359",
]


def _with_odd(test: Any) -> Any:
    for text in odd:
        test = example(text)(test)
    return test


test_traceparent_is_read_as_the_api_reads_it = quick(given(traceparents())(as_the_api_reads_it))
test_whatever_a_header_holds_nothing_is_raised = quick(_with_odd(given(anything | header_text)(nothing_is_raised)))
test_what_is_written_is_read_by_the_api = quick(given(*ids, st.integers(0, 255), members)(written_as_the_api_reads_it))
test_lists_of_headers_are_read_as_the_sdk_reads_them = quick(given(header_lists())(a_header_list))
test_any_list_of_headers_is_read_or_reported = quick(given(anything | header_text)(any_header_list))

test_thousands_of_traceparents = deep(given(traceparents() | anything)(as_the_api_reads_it))
test_thousands_of_headers = deep(_with_odd(given(anything | header_text)(nothing_is_raised)))
test_thousands_of_lists = deep(given(anything | header_text)(any_header_list))


def test_a_wait_that_is_no_number_does_not_stop_the_sending() -> None:
    assert _retry_after(str(math.nan)) is None
    assert _retry_after(str(math.inf)) == 300
    assert _retry_after("Sat, 01 Jan 0001 00:00:00 GMT") in (0, None)
