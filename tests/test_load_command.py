"""`perfagent load http`: load that waits for nobody, measured from when it was due; and the parts it is made of."""

from __future__ import annotations

import asyncio
import http.server
import itertools
import json
import math
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.cli.load import main
from perfagent.load.arrivals import CONSTANT, POISSON, arrivals
from perfagent.load.events import AccessLog, encode
from perfagent.load.expectations import parse
from perfagent.load.http import Plan, run
from perfagent.load.latencies import Latencies
from perfagent.load.targets import strangers
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunProgram

ROOT = Path(__file__).parent.parent
SERVER = str(ROOT / "tests/apps/stalling_server.py")


@pytest.fixture
def serve(run_program: RunProgram) -> Callable[..., str]:
    """Starts the server, with the words that it is given, and returns its address."""

    def start(*words: str) -> str:
        port = find_free_port()
        program = run_program(sys.executable, SERVER, str(port), *words)
        program.wait_for_port(port)
        return f"http://127.0.0.1:{port}"

    return start


@pytest.fixture
def load(run_program: RunProgram) -> Callable[..., Program]:
    def run(*words: str, kind: str = "http", **env: str) -> Program:
        return run_program("perfagent", "load", kind, *words, env=env)

    return run


def measured(program: Program, status: int = 0) -> Any:
    """The JSON report of a test that ended with that exit status."""
    assert program.wait(60) == status, program.stdout + program.stderr
    return json.loads(program.stdout)


def test_constant_arrivals_are_equally_spaced_and_do_not_drift() -> None:
    times = list(arrivals(300, 10, CONSTANT))
    assert len(times) == 3000
    assert times[0] == 0
    assert times[2999] == 2999 / 300


def test_random_arrivals_come_at_the_rate_with_exponential_gaps_and_again_for_a_seed() -> None:
    times = list(arrivals(1000, 60, POISSON, seed=3))
    assert times == list(arrivals(1000, 60, POISSON, seed=3))
    assert times != list(arrivals(1000, 60, POISSON, seed=4))
    assert len(times) == pytest.approx(60_000, rel=0.02)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), rel=0.03)
    assert times[-1] < 60


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1, 1000])
def test_percentiles_are_right_to_a_thousandth(scale: float) -> None:
    source = random.Random(7)
    values = sorted(source.lognormvariate(0, 2) * scale for _ in range(20_001))
    found = Latencies()
    for value in values:
        found.record(value)
    for percent in (0.1, 10, 50, 90, 99, 99.9, 100):
        exact = values[max(math.ceil(len(values) * percent / 100), 1) - 1]
        assert found.percentile(percent) == pytest.approx(exact, rel=1e-3, abs=1e-6)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert (found.count, found.largest) == (len(values), values[-1])


def test_nothing_measured_is_nothing_told() -> None:
    assert set(Latencies().summary().values()) == {None}


def test_a_seed_gives_the_same_events_with_the_shape_of_an_access_log() -> None:
    one, other = AccessLog(5), AccessLog(5)
    events = [one.event(1700000000.5) for _ in range(5000)]
    assert events == [other.event(1700000000.5) for _ in range(5000)]
    assert json.loads(encode(events[0])) == events[0]
    assert set(events[0]) == {"ts", "method", "path", "status", "duration_ms", "bytes", "client"}
    failed = sum(int(str(event["status"])) >= 500 for event in events) / len(events)
    assert 0.003 < failed < 0.02
    clients = [event["client"] for event in events]
    busiest = max(clients.count(client) for client in set(clients))
    assert busiest > 5 * len(events) / len(set(clients))  # few do much


def test_what_may_be_expected() -> None:
    assert parse("p99<250ms").holds(0.2499)
    assert not parse("p99<250ms").holds(0.25)
    assert parse(" P99.9 <= 2s ").limit == 2
    assert parse("errors<1%").limit == 0.01
    assert parse("rate>=95").holds(95)
    assert not parse("max<1s").holds(None)
    for wrong in ("p99", "p99<250", "errors<1", "rate<5%", "p99<1m", "speed<1s", "p999<1s", "", "p99<-1s"):
        with pytest.raises(ValueError, match=r".+"):
            parse(wrong)


def test_only_this_machine_and_private_networks_are_no_strangers() -> None:
    for ours in ("127.0.0.1", "localhost", "::1", "10.1.2.3", "192.168.1.1", "fd00::1"):
        assert strangers(ours) == []
    assert strangers("8.8.8.8") == ["8.8.8.8"]
    assert strangers("0.0.0.0") == ["0.0.0.0"]


@pytest.mark.slow
def test_a_stall_is_in_the_figures_of_all_that_were_due_in_it(
    serve: Callable[..., str], load: Callable[..., Program]
) -> None:
    """100 a second for 6 s with a stall of 2 s: 200 were due in it, and waited from 2 s down to none.

    A client that waits for each answer would have sent 1 of 401 into the stall, and call the 99th percentile a few
    milliseconds.
    """
    told = measured(load(serve("2", "2"), "--rate", "100", "--duration", "6", "--output", "json"))
    assert told["due"] == told["answered"] == 600
    waits = sorted([max(2 - number / 100, 0) for number in range(200)] + [0.0] * 400)
    response = told["response_time"]
    for percent in (90, 95, 99):
        exact = waits[math.ceil(600 * percent / 100) - 1]
        assert response[f"p{percent}_ms"] / 1e3 == pytest.approx(exact, abs=0.15)
    assert response["max_ms"] / 1e3 == pytest.approx(2, abs=0.15)
    assert response["mean_ms"] / 1e3 == pytest.approx(sum(waits) / 600, abs=0.1)
    assert response["p50_ms"] < 100


@pytest.mark.slow
def test_who_has_too_few_connections_sees_the_requests_wait_for_them(
    serve: Callable[..., str], load: Callable[..., Program]
) -> None:
    """20 a second of 0.3 s each need six connections; two manage 6.7."""
    words = ("--rate", "20", "--duration", "2", "--connections", "2", "--timeout", "1", "--output", "json")
    told = measured(load(serve() + "/slow", *words))
    assert told["due"] == 40
    assert told["service_time"]["p50_ms"] == pytest.approx(300, abs=150)
    assert told["response_time"]["p50_ms"] > 2 * told["service_time"]["p50_ms"]
    assert told["answered"] + sum(told["errors"].values()) == 40
    assert told["errors"]["not sent in time"] > 10
    assert told["generator"]["behind"] is False


@pytest.mark.slow
def test_errors_are_told_by_kind_and_limits_decide_the_exit_status(
    serve: Callable[..., str], load: Callable[..., Program]
) -> None:
    server = serve()
    words = ("--rate", "50", "--duration", "0.4", "--output", "json")
    bad = measured(load(f"{server}/status/503", *words, "--expect", "errors<1%", "--expect", "p99<10s"), 1)
    assert (bad["statuses"], bad["failed"]) == ({"503": 20}, 20)
    assert [one["passed"] for one in bad["expectations"]] == [False, True]
    closed = measured(load(f"{server}/close", *words))
    assert closed["errors"] == {"connection closed": 20}
    late = measured(load(f"{server}/slow", *words, "--timeout", "0.1"))
    assert late["errors"] == {"timeout": 20}
    assert late["response_time"]["p50_ms"] >= 100
    good = load(f"{server}/", "--rate", "50", "--duration", "0.4", "--expect", "rate>=10", "--expect", "errors<1%")
    assert good.wait() == 0
    assert "pass  rate>=10" in good.stdout
    assert "response time (since due)" in good.stdout


@pytest.mark.slow
def test_a_generator_that_is_too_slow_says_so(serve: Callable[..., str], load: Callable[..., Program]) -> None:
    program = load(serve(), "--rate", "20000", "--duration", "0.2")
    assert program.wait(60) == 0
    assert "the generator itself fell behind" in program.stdout


def test_where_nobody_answers_or_the_words_are_off_one_line_tells_why(capsys: pytest.CaptureFixture[str]) -> None:
    port = find_free_port()
    rate = ("--rate", "20", "--duration", "0.2")
    for words, status, told in (
        ((f"http://127.0.0.1:{port}/", *rate), 3, "nobody answers at"),
        (("localhost/path", *rate), 2, "is no address such as"),
        (("http://127.0.0.1:1/", *rate, "--expect", "p99<250"), 2, "p99 is in us, ms, s"),
        (("http://127.0.0.1:1/", *rate, "--header", "nothing"), 2, "is no header"),
        (("http://127.0.0.1:1/", *rate, "--method", "GET IT"), 2, "'GET IT' is no method"),
        (("http://127.0.0.1:1/", *rate, "--body", "@/no/such"), 2, "No such file"),
        (("http://8.8.8.8/", *rate), 2, "neither this machine nor in a private network"),
        (("http://no-such-host.invalid/", *rate), 3, "no-such-host.invalid: "),
    ):
        assert main(["http", *words]) == status
        shown = capsys.readouterr()
        assert told in shown.err
        assert shown.err.count("\n") == 1
        assert shown.out == ""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "package"), [("http", "aiohttp"), ("kafka", "kafka")])
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    load: Callable[..., Program], tmp_path: Path, kind: str, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}', name='{package}')")
    words = ("http://127.0.0.1:1/",) if kind == "http" else ()
    program = load(*words, "--rate", "1", "--duration", "1", kind=kind, PYTHONPATH=str(tmp_path))
    assert program.wait() == 2
    assert 'pip install "perfagent[load]"' in program.stderr
    assert program.stderr.count("\n") == 1


def test_what_nobody_has_thought_of_is_raised_and_not_taken_for_an_answer() -> None:
    plan = Plan("http://127.0.0.1:1/", rate=20, duration=0.2, method="GET IT", timeout=0.5)
    with pytest.raises(ValueError, match="Method cannot contain"):
        asyncio.run(run(plan, lambda *_: None, asyncio.Event()))


@pytest.mark.slow
def test_ctrl_c_ends_it_with_a_report_of_what_was_sent(serve: Callable[..., str], load: Callable[..., Program]) -> None:
    program = load(serve(), "--rate", "50", "--duration", "60", "--output", "json")
    time.sleep(2.5)
    program.process.send_signal(signal.SIGINT)
    told = measured(program, 130)
    assert told["interrupted"] is True
    assert 0 < told["answered"] == told["due"] < 3000


class Seen(http.server.BaseHTTPRequestHandler):
    """Keeps what it is asked."""

    protocol_version = "HTTP/1.1"
    requests: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.requests.append((self.command, self.headers["X-Test"], body))
        self.send_response(204)
        self.end_headers()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seen() -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    """The address of a server, and what it was asked."""
    Seen.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Seen) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", Seen.requests
        server.shutdown()


@pytest.mark.slow
def test_method_headers_and_body_are_sent(
    seen: tuple[str, list[tuple[str, str | None, bytes]]], load: Callable[..., Program], tmp_path: Path
) -> None:
    address, requests = seen
    (tmp_path / "body").write_bytes(b"from a file")
    rate = ("--rate", "20", "--duration", "0.2", "--header", "X-Test: yes")
    load(address, *rate, "--method", "put", "--body", "text").check()
    load(address, *rate, "--body", f"@{tmp_path / 'body'}").check()
    assert requests == [("PUT", "yes", b"text")] * 4 + [("POST", "yes", b"from a file")] * 4
