"""Retries of tenacity, stamina and urllib3 are counted by how each attempt ended, and told on the span around them."""

from __future__ import annotations

import inspect
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import stamina._core
import tenacity
import urllib3.util.retry

from perfagent.instruments.stamina import instrument as of_stamina
from perfagent.instruments.tenacity import instrument as of_tenacity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunText
    from tests.otlp import Receiver

TENACITY = """
import asyncio
import tenacity
from opentelemetry import trace

tracer = trace.get_tracer("test")
calls = 0

@tenacity.retry(stop=tenacity.stop_after_attempt(3), retry=tenacity.retry_if_exception_type(OSError))
def call(fine_at):
    global calls
    calls += 1
    if calls < fine_at:
        raise OSError("secret-of-the-program")
    return calls

@tenacity.retry(stop=tenacity.stop_after_attempt(2), retry=tenacity.retry_if_result(lambda found: found is None))
async def ask():
    return None

@tenacity.retry(retry=tenacity.retry_if_exception_type(OSError), reraise=True)
def other():
    raise KeyError("x")

with tracer.start_as_current_span("request"):
    print(call(1)); calls = 0
    print(call(3)); calls = -10
    try:
        call(3)
    except tenacity.RetryError as error:
        print(type(error).__name__, error.last_attempt.attempt_number)
    try:
        asyncio.run(ask())
    except tenacity.RetryError:
        print("no answer")
    try:
        other()
    except KeyError:
        print("KeyError")
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(2), reraise=True):
        with attempt:
            if attempt.retry_state.attempt_number == 1:
                raise OSError
print(call.statistics["attempt_number"], call.retry.stop.max_attempt_number, call.__name__)
"""
STAMINA = """
import asyncio
import stamina

stamina.set_testing(True, attempts=3)
calls = 0

@stamina.retry(on=OSError)
def call():
    global calls
    calls += 1
    if calls < 3:
        raise OSError
    return calls

@stamina.retry(on=OSError)
async def ask():
    raise OSError

class Shop:
    @stamina.retry(on=OSError)
    def open(self):
        return "open"

print(call(), Shop().open())
try:
    asyncio.run(ask())
except OSError:
    print("gave up")
for attempt in stamina.retry_context(on=OSError):
    with attempt:
        if attempt.num == 1:
            raise OSError
"""


def counts(receiver: Receiver, system: str) -> dict[tuple[str, str], float]:
    return {
        (str(point.attributes["name"]), str(point.attributes["outcome"])): point.value
        for point in receiver.metric("perfagent.retry.attempts")
        if point.attributes["system"] == system
    }


def test_tenacitys_attempts_are_counted_and_told(receiver: Receiver, run_text: RunText) -> None:
    bare = run_text(TENACITY, bare=True).stdout
    assert run_text(TENACITY).stdout == bare
    assert counts(receiver, "tenacity") == {
        ("__main__.call", "success"): 2, ("__main__.call", "retry"): 4, ("__main__.call", "gave_up"): 1,
        ("__main__.ask", "retry"): 1, ("__main__.ask", "gave_up"): 1, ("__main__.other", "failure"): 1,
        ("block", "retry"): 1, ("block", "success"): 1,
    }  # fmt: skip
    (span,) = receiver.wait_for_spans(1)
    told = [(event.name, *event.attributes.values()) for event in span.events]
    assert told[:2] == [
        ("retry", "__main__.call", "retry", 1, "OSError"),
        ("retry", "__main__.call", "retry", 2, "OSError"),
    ]
    assert ("retry", "__main__.call", "gave_up", 3, "OSError") in told
    assert ("retry", "__main__.ask", "gave_up", 2) in told
    assert "secret-of-the-program" not in str(told)


def test_a_span_tells_of_so_many_retries_and_keeps_its_own_events(receiver: Receiver, run_text: RunText) -> None:
    run_text("""
        import tenacity
        from opentelemetry import trace
        with trace.get_tracer("test").start_as_current_span("request") as span:
            span.add_event("mine")
            for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(500), reraise=True):
                with attempt:
                    if attempt.retry_state.attempt_number < 400:
                        raise OSError
    """)
    (span,) = receiver.wait_for_spans(1)
    assert [event.name for event in span.events] == ["mine"] + ["retry"] * 16
    assert counts(receiver, "tenacity") == {("block", "retry"): 399, ("block", "success"): 1}


def test_staminas_attempts_have_its_name_and_those_of_its_functions(receiver: Receiver, run_text: RunText) -> None:
    bare, under = (re.sub(r"\d\d:\d\d:\d\d", "", run_text(STAMINA, bare=bare).stdout) for bare in (True, False))
    assert under == bare
    assert counts(receiver, "stamina") == {
        ("__main__.call", "success"): 1, ("__main__.call", "retry"): 2, ("__main__.Shop.open", "success"): 1,
        ("__main__.ask", "retry"): 2, ("__main__.ask", "gave_up"): 1, ("block", "retry"): 1, ("block", "success"): 1,
    }  # fmt: skip
    assert counts(receiver, "tenacity") == {}


class Flaky(BaseHTTPRequestHandler):
    """`/N` answers 503 N times and then 200; `/moved` redirects."""

    seen: dict[str, int] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen[self.path] = self.seen.get(self.path, 0) + 1
        number = self.path.strip("/")
        failing = number.isdecimal() and self.seen[self.path] <= int(number)
        self.send_response(302 if number == "moved" else 503 if failing else 200)
        if number == "moved":
            self.send_header("Location", "/there")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def flaky() -> Iterator[str]:
    Flaky.seen = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_urllib3_sends_again_is_counted_and_each_request_tells_its_number(
    flaky: str, receiver: Receiver, run_text: RunText
) -> None:
    run_text(f"""
        import urllib3
        pool = urllib3.PoolManager(retries=urllib3.Retry(2, status_forcelist=[503], backoff_factor=0))
        print(pool.request("GET", "{flaky}/2").status)
        try:
            pool.request("GET", "{flaky}/9")
        except urllib3.exceptions.MaxRetryError:
            print("gave up")
        print(pool.request("GET", "{flaky}/moved").status)
        try:
            pool.request("GET", "{flaky}/99", retries=urllib3.Retry(0, status_forcelist=[503]))
        except urllib3.exceptions.MaxRetryError:
            print("once")
    """)
    spans = receiver.wait_for_spans(9)
    assert [span.attributes.get("http.request.resend_count", 0) for span in spans] == [0, 1, 2, 0, 1, 2, 0, 1, 0]
    assert counts(receiver, "urllib3") == {("127.0.0.1", "retry"): 4, ("127.0.0.1", "gave_up"): 1}


def test_what_urllib3_sends_again_below_requests_is_counted_too(
    flaky: str, receiver: Receiver, run_text: RunText
) -> None:
    run_text(f"""
        import requests, urllib3
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=urllib3.Retry(3, status_forcelist=[503])))
        print(session.get("{flaky}/2").status_code)
    """)
    (span,) = receiver.wait_for_spans(1)
    assert span.attributes["http.request.resend_count"] == 2
    assert counts(receiver, "urllib3") == {("127.0.0.1", "retry"): 2}


def test_unpatching_puts_everything_back_and_nothing_shows_meanwhile() -> None:
    def looked_at() -> list[Any]:
        base = tenacity.BaseRetrying
        leaving = tenacity.AttemptManager.__exit__
        naming = stamina._core._make_before_sleep
        return [base._post_retry_check_actions, base._post_stop_check_actions, leaving, naming]

    originals, before = looked_at(), [inspect.signature(one) for one in looked_at()]
    of_tenacity.apply(tenacity)
    of_stamina.apply(stamina)
    try:
        assert all(ours is not theirs for ours, theirs in zip(looked_at(), originals, strict=True))
        assert [inspect.signature(one) for one in looked_at()] == before
    finally:
        of_stamina.unpatch()
        of_tenacity.unpatch()
    assert looked_at() == originals
    assert list(inspect.signature(urllib3.util.retry.Retry.increment).parameters)[1:4] == ["method", "url", "response"]
