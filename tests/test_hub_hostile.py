"""What strangers, accidents and odd machines do to a hub, and what it does not let them do."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfagent.cli.client import Client
from perfagent.hub import connection, journal
from perfagent.hub.access import secret
from perfagent.hub.receive import limits, logs, metrics, traces, wire
from perfagent.hub.receive.known import Known, Memory, weight
from perfagent.hub.receive.limits import Malformed
from perfagent.settings import Settings
from tests.hubs import Home, one_span
from tests.patience import AT_ONCE

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunProgram

pytestmark = pytest.mark.slow

MIB = 1 << 20
QUERY = "import sqlite3; sqlite3.connect(':memory:').execute('select 1')"


def varint(number: int) -> bytes:
    found = b""
    while True:
        number, low = number >> 7, number & 0x7F
        found += bytes([low | (0x80 if number else 0)])
        if not number:
            return found


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def moment(number: int, nanoseconds: int) -> bytes:
    return varint(number << 3 | 1) + nanoseconds.to_bytes(8, "little")


def body(items: bytes, sender: bytes = b"") -> bytes:
    """A request with these items, each with its own tag; the same for all three signals."""
    return field(1, (field(1, sender) if sender else b"") + field(2, items))


def span(more: bytes = b"", *, name: bytes = b"n", lasts: int = 5) -> bytes:
    now = time.time_ns()
    ids = field(1, bytes(15) + b"\1") + field(2, bytes(7) + b"\1")
    return field(2, ids + field(5, name) + moment(7, now) + moment(8, now + lasts) + more)


def peak(pid: int) -> int:
    """The most memory that a process ever had, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024


@pytest.fixture
def running(home: Home) -> Iterator[Home]:
    """A hub in the background."""
    command = [sys.executable, "-m", "perfagent", "hub", "--background"]
    subprocess.run(command, env={**os.environ, **home.env()}, check=True, capture_output=True)
    yield home
    home.kill()


def connect(home: Home) -> socket.socket:
    host, _, port = home.hub.address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def answer(home: Home, sent: bytes, more: bytes = b"", times: int = 0) -> bytes:
    """What comes back until the hub closes the connection."""
    with connect(home) as sender:
        received = b""
        try:
            sender.sendall(sent)
            for _ in range(times):
                sender.sendall(more)
            while piece := sender.recv(65_536):
                received += piece
        except ConnectionError:
            pass
        return received


# What one request may take


def test_a_bomb_of_empty_items_is_refused_before_it_is_taken_apart() -> None:
    with pytest.raises(Malformed, match="more than 400000 items"):
        list(wire.parts(body(b"\x12\x00" * 3_000_000)))
    with pytest.raises(Malformed, match="more than 400000 items"):
        list(wire.parts(b"\x0a\x00" * 3_000_000))
    with pytest.raises(Malformed, match="more than 400000 items"):
        list(wire.parts(field(1, b"\x12\x00" * 3_000_000)))


def test_a_large_request_of_usual_spans_is_none() -> None:
    items = span(field(9, field(1, b"key") + field(2, field(1, b"v" * 800)))) * 6000
    assert len(items) > wire.LARGE
    ((_resource, _scope, found),) = wire.parts(body(items))
    assert len(found) == 6000


def test_a_span_a_record_and_a_point_that_hold_millions_of_things_are_refused() -> None:
    batch = traces.decode(body(span(b"\x4a\x00" * 3_000_000)))
    assert (batch.rejected, batch.spans) == (1, [])
    assert "larger than 4194304 bytes" in batch.reason
    record = field(2, moment(1, time.time_ns()) + b"\x32\x00" * 3_000_000)
    assert logs.decode(body(record)).reason.startswith("1 log records refused: 1 larger than")
    buckets = moment(3, time.time_ns()) + field(8, field(2, bytes(300_000)))
    metric = field(2, field(1, b"m") + field(10, field(1, buckets) + b"\x10\x02"))
    assert metrics.decode(body(metric)).reason.startswith("1 points refused: 1 larger than")


def test_attributes_beyond_the_limit_are_not_even_read() -> None:
    broken = field(9, b"\xff\xff\xff")
    good = b"".join(field(9, field(1, b"k%d" % number)) for number in range(128))
    (row,) = traces.decode(body(span(good + broken * 10))).spans
    assert '"otel.dropped_attributes_count":10' in row.attributes


def test_a_value_that_is_cut_whatever_it_holds_is_not_built_before() -> None:
    listed = field(9, field(1, b"list") + field(2, field(5, b"\x0a\x00" * 500_000)))
    text = field(9, field(1, b"text") + field(2, field(1, "é".encode() * 500_000)))
    batch = traces.decode(body(span(listed + text)))
    (row,) = batch.spans
    assert '"list":"(1000004 bytes)"' in row.attributes
    assert f'"text":"{"é" * 32_768}"' in row.attributes
    assert batch.reason.startswith("2 attributes or texts cut")


def test_the_body_of_a_record_is_cut_in_the_same_way() -> None:
    when = moment(1, time.time_ns())
    (text,) = logs.decode(body(field(2, when + field(5, field(1, b"x" * 200_000))))).logs
    assert text.body == "x" * 32_768
    (listed,) = logs.decode(body(field(2, when + field(5, field(5, b"\x0a\x00" * 500_000))))).logs
    assert listed.body == "(1000004 bytes)"


def test_a_span_that_ends_in_the_far_future_is_refused() -> None:
    batch = traces.decode(body(span(lasts=3 * limits.DAY)))
    assert batch.reason == "1 spans refused: 1 that ends more than a day in the future"


def test_what_a_sender_calls_itself_has_an_end() -> None:
    name = field(1, field(1, b"service.name") + field(2, field(1, b"s" * 30_000)))
    with_resource = field(1, field(1, name) + field(2, span()))
    (resource_,) = traces.decode(with_resource).resources.values()
    assert resource_.service == "s" * 255
    with pytest.raises(Malformed, match="a resource or a scope has 2000000 bytes"):
        traces.decode(field(1, field(1, bytes(2_000_000)) + field(2, span())))


def test_a_sampling_threshold_below_zero_is_none() -> None:
    assert weight("ot=th:-f") == 1.0
    assert weight("ot=th:8") == 2.0


def test_a_request_of_a_quarter_mebibyte_cannot_take_a_gibibyte(running: Home) -> None:
    base = peak(running.hub.pid)
    bombs = (body(b"\x12\x00" * 30_000_000), body(span(b"\x4a\x00" * 30_000_000)))
    for bomb in bombs:
        packed = gzip.compress(bomb, 1)
        assert len(packed) < MIB // 3
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        found = httpx.post(f"{running.hub.address}/v1/traces", content=packed, headers=headers, timeout=60)
        assert found.status_code in (200, 400)
    assert peak(running.hub.pid) - base < 400  # without the limits 1,600
    assert running.post("/v1/traces", one_span(1)) == 200


# What is remembered of senders


def test_a_memory_is_bounded_by_size_too() -> None:
    memory: Memory[bytes, int] = Memory()
    for number in range(100):
        memory.learn(number.to_bytes(8, "big") * 65_536, number, 524_288)
    assert sum(map(len, memory)) <= 16 * MIB


def test_counted_members_do_not_add_up_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfagent.hub.receive.known.MEMBERS", 100)
    known = Known()
    assert [known.admits(owner, member, 30) for owner in range(10) for member in range(40)].count(False) >= 50
    assert sum(map(len, known._members.values())) <= 100


# What a connection may hold


HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def test_a_head_without_an_end_is_cut_off(running: Home) -> None:
    endless = [
        (HEAD, b"".join(b"x%07d: y\r\n" % number for number in range(5000))),
        (HEAD + b"a: ", b"z" * 65_536),
        (b"GET /", b"a" * 65_536),
        (b"", b"\r\n" * 32_768),
    ]
    base = peak(running.hub.pid)
    for begin, more in endless:
        answer(running, begin, more, 1000)
    assert peak(running.hub.pid) - base < 30  # without the limit 300
    assert answer(running, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_trailers_without_an_end_are_cut_off_and_chunks_of_one_byte_are_not(running: Home) -> None:
    begin = (
        b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    base = peak(running.hub.pid)
    answer(running, begin + b"2\r\n{}\r\n0\r\n", b"x: y\r\n" * 10_000, 500)
    assert peak(running.hub.pid) - base < 30
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b"{" + b" " * 100_000 + b"}") + b"0\r\n\r\n"
    assert answer(running, begin + chunks).startswith(b"HTTP/1.1 200")


def test_what_says_nothing_is_closed_and_an_open_stream_is_not(monkeypatch: pytest.MonkeyPatch, serve_hub: Any) -> None:
    monkeypatch.setattr(connection, "SILENCE", 0.4)
    monkeypatch.setattr("uvicorn.protocols.http.httptools_impl.HttpToolsProtocol", connection.Connection)
    hub = serve_hub()
    port = int(hub.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
        assert _drips(slow, 10), "a head that comes byte by byte is waited for without an end"
    with hub.client.stream("GET", "/api/v1/performance/realtime", headers=hub.bearer("viewer"), timeout=60) as stream:
        began, lines = time.monotonic(), stream.iter_lines()
        while time.monotonic() - began < 1.5:
            assert next(lines) is not None


def _drips(connection_: socket.socket, seconds: float) -> bool:
    """Whether the other end closes a connection on which a byte comes now and then."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            connection_.sendall(b"G")
            time.sleep(0.05)
    except OSError:
        return True
    return False


def test_nobody_says_that_it_is_somebody_else(running: Home) -> None:
    """A proxy's header would be what the audit log and the rates go by."""
    head = b"GET /api/v1/performance/hub HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += b"X-Forwarded-For: 10.%d.%d.1\r\n\r\n"
    answers = b"".join(answer(running, head % (number, number)) for number in range(65))
    assert b"HTTP/1.1 429" in answers, "60 failures a minute are allowed, of whatever address is claimed"
    assert b"10.64.64.1" not in answers


def test_descriptors_are_as_many_as_the_system_allows() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048)); "
        "from perfagent.hub import connection; connection.allow_many(); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 2048
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "(2048, 2048)\n"


# What a machine does


def test_a_starter_that_ignores_its_children_gets_a_hub(home: Home, run_program: RunProgram) -> None:
    program = run_program("sh", "-c", f'trap "" CHLD; exec perfagent run python -c "{QUERY}"', env=home.env())
    program.check()
    assert " shows what this program does" in program.stderr
    home.wait_for_spans(1)


def test_a_program_waits_no_longer_for_a_hub_that_is_stopped(running: Home, run_program: RunProgram) -> None:
    def seconds() -> float:
        began = time.monotonic()
        run_program("perfagent", "run", "python", "-c", QUERY, env=running.env(**AT_ONCE)).check()
        return time.monotonic() - began

    usual = seconds()
    os.kill(running.hub.pid, signal.SIGSTOP)
    try:
        assert seconds() < usual + 4
    finally:
        os.kill(running.hub.pid, signal.SIGCONT)


def test_a_folder_that_everybody_may_write_to_is_refused(home: Home, run_program: RunProgram) -> None:
    home.folder.mkdir()
    home.folder.chmod(0o777)
    program = run_program("perfagent", "run", "python", "-c", "print(1)", env=home.env())
    assert program.check() == "1\n"
    assert "every user may write to the hub's folder" in program.stderr
    assert list(home.folder.iterdir()) == []


def test_a_secret_that_a_copy_left_readable_is_closed_again(tmp_path: Path) -> None:
    before = secret(str(tmp_path))
    (tmp_path / "secret").chmod(0o644)
    assert secret(str(tmp_path)) == before
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_token_goes_to_the_address_of_the_hub_alone(running: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    port = running.hub.address.rpartition(":")[2]
    monkeypatch.setenv("PERFAGENT_HUB_DIR", str(running.folder))
    monkeypatch.setattr("perfagent.cli.client.current", lambda: Settings(dict(os.environ)))
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", int(port)))
        other.listen()
        other.setblocking(False)
        client = Client.find(f"http://[::1]:{port}")
        client.get("hub")
        client.close()
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_hub_is_stopped_by_its_own_process_number_alone(running: Home, run_program: RunProgram) -> None:
    path = running.folder / "hub.lock"
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        told = path.read_text()
        path.write_text(told.replace(f'"pid": {running.hub.pid}', f'"pid": {stranger.pid}'))
        program = run_program("perfagent", "hub", "--stop", env=running.env())
        assert program.wait() == 1
        assert stranger.poll() is None
    finally:
        path.write_text(told)
        stranger.kill()
        stranger.wait()


def test_one_message_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    seldom = journal.Seldom()
    caplog.handler.addFilter(seldom)
    try:
        for number in range(1000):
            journal.log.error("a batch could not be stored, and this is told at length: %d", number)
        journal.log.error("something else")
    finally:
        caplog.handler.removeFilter(seldom)
    found: list[logging.LogRecord] = caplog.records
    assert len(found) == journal.OFTEN + 1
    assert found[-2].getMessage().endswith(" (not logged again in this minute)")


def test_a_request_that_comes_again_is_stored_once(running: Home) -> None:
    """As from a sender that gave up while the hub was stopped."""
    body_, answers = one_span(1), []
    os.kill(running.hub.pid, signal.SIGSTOP)
    try:
        impatient = threading.Thread(target=lambda: answers.append(_try_for(running, body_, 0.3)))
        impatient.start()
        impatient.join()
    finally:
        os.kill(running.hub.pid, signal.SIGCONT)
    assert answers == ["gave up"]
    assert running.post("/v1/traces", body_) == 200
    assert running.post("/v1/traces", one_span(2)) == 200
    assert running.spans() == 2


def _try_for(home: Home, body_: bytes, seconds: float) -> str:
    try:
        home.post("/v1/traces", body_, timeout=seconds)
    except OSError:
        return "gave up"
    return "answered"


def test_many_threads_post_while_the_hub_is_told_to_end(running: Home) -> None:
    """Every 200 is in the database that the next hub opens."""
    acknowledged: list[int] = []
    address, pid = running.hub.address, running.hub.pid

    def send(begin: int) -> None:
        for number in range(begin, begin + 10_000):
            request = urllib.request.Request(
                f"{address}/v1/traces", one_span(number), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as found:
                    if found.status == 200:
                        acknowledged.append(number)
            except OSError:
                return

    threads = [threading.Thread(target=send, args=(number * 100_000,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    os.kill(pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    running.wait_until_gone()
    assert acknowledged
    command = [sys.executable, "-m", "perfagent", "hub", "--background"]
    subprocess.run(command, env={**os.environ, **running.env()}, check=True, capture_output=True)
    assert len(acknowledged) <= running.spans() <= len(acknowledged) + len(threads)
