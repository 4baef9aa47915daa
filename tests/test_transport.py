"""Whatever the collector does, the program does not notice, memory is bounded and every loss is counted."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime.otlp import transport
from perfagent.settings import Settings
from tests import otlp
from tests.agent import agent_env
from tests.patience import AT_ONCE

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver
    from tests.program import Program

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

BUSY = ("perfagent", "run", "python", "-m", "tests.apps.busy")


def start_busy(run: RunProgram, receiver: Receiver, seconds: float, pace: float = 0.01, **env: str) -> Program:
    from tests.test_asgi import ROOT

    program = run(*BUSY, str(seconds), str(pace), env=agent_env(receiver, **env), cwd=ROOT)
    program.wait_for_output("ready")
    return program


def made(program: Program) -> int:
    found = re.search(r"made (\d+)", program.stdout)
    assert found, program.stderr
    return int(found[1])


@pytest.mark.parametrize(
    "fault",
    [otlp.status(503), otlp.status(429, retry_after=1), otlp.status(502), otlp.garbage(http=False), otlp.reset()],
    ids=["503", "429 with Retry-After", "502", "no HTTP at all", "closed connections"],
)
def test_a_collector_that_recovers_gets_everything(
    fault: otlp.Fault, receiver: Receiver, run_program: RunProgram
) -> None:
    receiver.fault = fault
    program = start_busy(run_program, receiver, 3.5)
    program.wait_for_output("cannot be delivered")
    receiver.fault = otlp.ok()
    program.check()
    ids = [span.span_id for span in receiver.spans]
    assert len(set(ids)) == made(program)
    if fault.name != "garbage":  # what was taken and not acknowledged comes twice: OTLP has no other way
        assert len(ids) == len(set(ids))
    lines = [line for line in program.stderr.splitlines() if "perfagent:" in line]
    assert len(lines) == 2, program.stderr
    assert "cannot be delivered" in lines[0]
    assert receiver.url in lines[0]
    assert "delivered again; 0 items were dropped" in lines[1]


def test_a_collector_that_is_restarted_gets_everything(receiver: Receiver, run_program: RunProgram) -> None:
    program = start_busy(run_program, receiver, 5)
    receiver.wait_for_spans(1)
    receiver.stop()
    time.sleep(0.5)
    receiver.start()
    program.check(20)
    assert len({span.span_id for span in receiver.spans}) == made(program)


def test_what_is_refused_for_good_is_counted_and_not_tried_again(receiver: Receiver, run_program: RunProgram) -> None:
    receiver.fault = otlp.status(400)
    program = start_busy(run_program, receiver, 1)
    time.sleep(0.5)
    receiver.fault = otlp.ok()
    program.check()
    dropped = receiver.total("perfagent.telemetry.dropped", signal="span", reason="rejected").value
    assert dropped > 0
    assert len(receiver.spans) + dropped == made(program)


def test_a_partial_success_is_counted_as_what_was_rejected(receiver: Receiver, run_program: RunProgram) -> None:
    receiver.fault = otlp.partial(1, "too many", times=1, path="/v1/traces")
    program = start_busy(run_program, receiver, 1.5)
    program.check()
    assert receiver.total("perfagent.telemetry.dropped", signal="span", reason="rejected").value == 1


def test_a_collector_that_hangs_does_not_keep_the_program_from_ending(
    receiver: Receiver, run_program: RunProgram
) -> None:
    receiver.fault = otlp.hang()
    program = start_busy(run_program, receiver, 1, **AT_ONCE)
    program.wait_for_output("made")
    began = time.monotonic()
    assert program.wait() == 0
    assert time.monotonic() - began < 8  # the promise is 2 s, and the collector would be waited for for 10 s
    assert "perhaps lost" in program.stderr


def test_nobody_listening_is_said_once(run_program: RunProgram, receiver: Receiver) -> None:
    receiver.stop()
    program = start_busy(run_program, receiver, 4)
    program.check()
    lines = [line for line in program.stderr.splitlines() if "perfagent:" in line]
    assert len(lines) == 2, program.stderr
    assert "cannot be delivered" in lines[0]
    assert re.search(r"not acknowledged before the exit, and perhaps lost: \d+ spans, \d+ metrics", lines[1])
    receiver.start()


def test_a_queue_that_overflows_is_bounded_and_counted_exactly(receiver: Receiver, run_program: RunProgram) -> None:
    receiver.fault = otlp.status(503)
    program = start_busy(run_program, receiver, 4, pace=0.0, OTEL_BSP_MAX_QUEUE_SIZE="1000")
    time.sleep(2)
    receiver.fault = otlp.ok()
    program.check()
    dropped = receiver.total("perfagent.telemetry.dropped", signal="span").value
    arrived = len({span.span_id for span in receiver.spans})
    assert dropped > 0
    assert arrived + dropped == made(program)
    # The metric was made of every query, kept or not.
    assert receiver.total("db.client.operation.duration").count == made(program)


def test_gzip_arrives_as_what_was_sent(receiver: Receiver, run_program: RunProgram) -> None:
    program = start_busy(run_program, receiver, 0.5, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    program.check()
    assert len(receiver.spans) == made(program)
    assert {request.headers.get("content-encoding") for request in receiver.requests} == {"gzip"}


def test_headers_and_addresses_of_their_own_are_used(receiver: Receiver, run_program: RunProgram) -> None:
    program = start_busy(
        run_program,
        receiver,
        0.5,
        OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b,x-both=common",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-both=own",
    )
    program.check()
    traces = [request for request in receiver.requests if request.path == "/v1/traces"]
    assert {(r.headers["x-key"], r.headers["x-both"]) for r in traces} == {("a b", "own")}


def test_the_connection_is_kept(receiver: Receiver, run_program: RunProgram) -> None:
    start_busy(run_program, receiver, 1).check()
    assert len(receiver.requests) > 3
    assert len({request.client for request in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"", 0),
        (b"\x0a\x00", 0),
        (b"\x0a\x03\x08\xac\x02", 300),
        (b"\x0a\x02\x08\x07", 7),
        (b"<html>", 0),
        (b"\x0a\xff\x08", 0),
        (b"\x0a\x0b\x08" + b"\xff" * 10, 0),
    ],
)
def test_partial_success_is_read_from_anything(body: bytes, count: int) -> None:
    assert transport.rejected(body) == count


WITHOUT_THREADS = """
from gevent import monkey; monkey.patch_all()
import gevent.threadpool

def spawn(*arguments):
    raise RuntimeError("can't create new thread at interpreter shutdown")

gevent.threadpool.ThreadPool.spawn = spawn
import sqlite3
sqlite3.connect(":memory:").execute("select 1")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_gevent_has_patched_is_sent_when_no_thread_can_be_started(
    run_text: RunText, receiver: Receiver, host: str
) -> None:
    run_text(WITHOUT_THREADS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url.replace("127.0.0.1", host))
    assert [span.name for span in receiver.spans] == ["SELECT"]


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://x", "http://", "http://:80", ""])
def test_an_address_that_is_none_is_reported_and_nothing_is_sent(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = transport.destinations(Settings({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url}))
    assert found == {}
    assert ("OTEL_EXPORTER_OTLP" in capsys.readouterr().err) == bool(url)


def test_addresses_follow_the_specification() -> None:
    settings = Settings(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://gateway:4318/base/",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs/own/path",
        }
    )
    urls = {signal: destination.url for signal, destination in transport.destinations(settings).items()}
    assert urls == {
        "traces": "http://gateway:4318/base/v1/traces",
        "metrics": "http://gateway:4318/base/v1/metrics",
        "logs": "https://logs/own/path",
        "profiles": "http://gateway:4318/base/v1development/profiles",
    }
    asked = transport.destinations(Settings({"OTEL_TRACES_EXPORTER": "otlp"}))
    assert {signal: destination.url for signal, destination in asked.items()} == {
        "traces": "http://localhost:4318/v1/traces"
    }


@pytest.mark.parametrize(
    ("old", "url"),
    [
        ("http://localhost:14268/api/traces", "http://localhost:4318/v1/traces"),
        ("https://jaeger.example/api/traces", "https://jaeger.example:4318/v1/traces"),
        ("[::1]:14268", "http://[::1]:4318/v1/traces"),
    ],
)
def test_an_old_jaeger_address_becomes_otlp_on_the_same_host_with_one_warning(
    old: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings({"JAEGER_ENDPOINT": old})
    assert transport.destinations(settings)["traces"].url == url
    assert len(capsys.readouterr().err.splitlines()) == 1
    settings = Settings({"JAEGER_ENDPOINT": old, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://own:1"})
    assert transport.destinations(settings)["traces"].url == "http://own:1/v1/traces"
    assert capsys.readouterr().err == ""


def test_a_receiver_of_spans_that_is_away_does_not_keep_metrics_from_theirs(
    receiver: Receiver, run_program: RunProgram, free_port: int
) -> None:
    nobody = f"http://127.0.0.1:{free_port}/v1/traces"
    program = start_busy(run_program, receiver, 30, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=nobody)
    program.wait_for_output("cannot be delivered")
    receiver.wait_for_metric("db.client.operation.duration")
    program.terminate()
    assert receiver.spans == []


@pytest.mark.parametrize("answer", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["a byte at a time", "100 Continue"])
def test_an_answer_that_comes_too_slowly_is_none(answer: bytes) -> None:
    stopped = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            while not stopped.wait(0.05):
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        to = transport.Destination(f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces", {})
        try:
            with pytest.raises(transport.Unavailable, match=r"did not come in time|timed out"):
                transport.Transport(Settings({"OTEL_EXPORTER_OTLP_TIMEOUT": "300"})).send(to, b"")
        finally:
            stopped.set()
            thread.join()
