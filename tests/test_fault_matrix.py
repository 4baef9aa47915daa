"""Whatever goes wrong around a web program or in it: its answers are those of the bare one, and what is lost is told.

Each test asks three servers in turns, bare, under the agent, and under one whose collector is well, or runs one program
twice. Every request is a span that a receiver got, or one that the agent said it lost; what is wrong makes no request
late. `make nightly` runs all; the gate runs those that are quick.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests import otlp
from tests.fault_scenes import UVICORN, Misbehaving, Scene, Turn, lost_at_exit, memory, surely_later
from tests.matrices import record
from tests.otlp import Receiver
from tests.patience import AT_ONCE
from tests.program import find_free_port
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.fault_scenes import Served
    from tests.hubs import Home

PERFAGENT = Path(sys.executable).with_name("perfagent")
pytestmark = pytest.mark.slow
SMALL_QUEUE = "500"  # fewer than the requests of a row: some of them must be dropped
GROWTH = 30  # MB that the agent may take beyond the bare program, with every queue full


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings by which a collector is given up, and tried again, soon."""
    return {"OTEL_EXPORTER_OTLP_TIMEOUT": "1000", "OTEL_BSP_MAX_QUEUE_SIZE": SMALL_QUEUE}


def judge(scene: Scene, row: str, elsewhere: set[str] | None = None) -> None:
    """Ends the scene, and writes its row."""
    taken = scene.agent.peak - scene.bare.peak
    assert taken < GROWTH, f"{taken:.1f} MB"
    scene.end()
    record("faults", row, **scene.figures(elsewhere), **scene.latency(), memory_mb=round(taken, 1))


FAULTS = {
    "the collector hangs": otlp.hang(),
    "the collector resets connections": otlp.reset(),
    "the collector answers 400": otlp.status(400),
    "the collector answers 503": otlp.status(503),
    "the collector answers 200 with what is no protobuf": otlp.garbage(),
}


@pytest.mark.nightly
@pytest.mark.parametrize("row", FAULTS)
def test_a_collector_that_misbehaves_and_recovers(
    row: str, receiver: Receiver, tmp_path: Path, quick: dict[str, str]
) -> None:
    receiver.fault = FAULTS[row]
    with Scene(tmp_path, receiver, **quick) as scene:
        scene.load()
        receiver.fault = otlp.ok()
        scene.load(rounds=1)
        judge(scene, row)


def test_the_judge_of_latency_tells_a_late_program_from_a_busy_machine() -> None:
    random = Random(1)

    def took() -> float:
        return 1 + random.expovariate(1) + (30 if random.random() < 0.02 else 0)  # a core is taken away now and then

    same = [[Turn(took(), took(), took()) for _ in range(900)] for _ in range(4)]
    late = [[turn._replace(agent=turn.agent + 40 * (random.random() < 0.03)) for turn in turns] for turns in same]
    assert sum(surely_later(turns) > 1 for turns in same) <= 1
    assert all(surely_later(turns) > 1 for turns in late)


@pytest.mark.nightly
def test_a_collector_that_refuses_connections(receiver: Receiver, tmp_path: Path, quick: dict[str, str]) -> None:
    receiver.stop()
    with Scene(tmp_path, receiver, **quick) as scene:
        scene.load()
        receiver.start()
        scene.load(rounds=1)
        judge(scene, "the collector refuses connections")


STREAMS = {
    "drip": "the collector answers a byte a second",
    "declared": "the collector declares an answer of 1 GB and sends none",
    "streamed": "the collector streams an answer of 1 GB",
    "chunked": "the collector streams 1 GB in chunks",
    "headers": "the collector sends headers without end",
    "nonsense": "the collector answers what is no HTTP",
}


@pytest.fixture
def misbehaving(request: pytest.FixtureRequest) -> Iterator[Misbehaving]:
    server = Misbehaving(request.param)
    yield server
    server.close()


@pytest.mark.nightly
@pytest.mark.parametrize("misbehaving", STREAMS, indirect=True)
def test_a_collector_whose_answer_never_ends(misbehaving: Misbehaving, tmp_path: Path, quick: dict[str, str]) -> None:
    """Its port is taken over by one that works, while the old connections go on as they were."""
    well = Receiver(port=misbehaving.port)
    with Scene(tmp_path, well, **quick) as scene:
        scene.load()
        misbehaving.give_way(well)
        try:
            scene.load(rounds=1)
            assert misbehaving.requests > 0
            assert misbehaving.sent < 20_000_000 * misbehaving.requests, "the answer was read to its end"
            judge(scene, STREAMS[misbehaving.kind], misbehaving.taken)
        finally:
            well.stop()


@pytest.mark.nightly
def test_a_collector_whose_certificate_is_nobodys(receiver: Receiver, tmp_path: Path, quick: dict[str, str]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=nobody"
    subprocess.run(words.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with Receiver(tls=context) as strange:
        spans = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{strange.url}/v1/traces"}
        with Scene(tmp_path, receiver, **quick, **spans, **AT_ONCE) as scene:
            scene.load()
            assert "CERTIFICATE_VERIFY_FAILED" in scene.agent.program.stderr
            judge(scene, "the collector's certificate is nobody's")
        assert strange.requests == []


@pytest.mark.nightly
def test_a_collector_whose_name_nobody_knows(receiver: Receiver, tmp_path: Path, quick: dict[str, str]) -> None:
    spans = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector.invalid:4318/v1/traces"}
    with Scene(tmp_path, receiver, **quick, **spans, **AT_ONCE) as scene:
        scene.load()
        assert "collector.invalid" in scene.agent.program.stderr
        judge(scene, "the collector's name is unknown")


@pytest.mark.nightly
def test_a_collector_that_is_away_while_the_spool_is_on(receiver: Receiver, tmp_path: Path) -> None:
    receiver.stop()
    env = {"PERFAGENT_SPOOL_DIR": str(tmp_path / "spool"), "OTEL_BSP_MAX_QUEUE_SIZE": SMALL_QUEUE}
    with Scene(tmp_path, receiver, **env) as scene:
        scene.load()
        receiver.start()
        scene.load(rounds=1)
        receiver.wait_for_spans(scene.agent.requests)  # what is on disk at an exit stays there until the next start
        judge(scene, "the collector is away, and the spool on")
        assert len(receiver.spans) == scene.agent.requests


@pytest.mark.nightly
@pytest.mark.parametrize("full", ["a file system of 1 MB", "a limit of the size of files"])
def test_a_disk_that_is_full(full: str, receiver: Receiver, tmp_path: Path, quick: dict[str, str]) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    receiver.stop()
    command = UVICORN
    if full.startswith("a file system"):
        command = ("sh", "-c", f"mount -t tmpfs -o size=64k tmpfs {spool} && exec {' '.join(UVICORN)}")
        command = ("unshare", "--mount", *command)
    else:
        command = ("sh", "-c", f"ulimit -f 64; exec {' '.join(UVICORN)}")
    env = {**quick, "PERFAGENT_SPOOL_DIR": str(spool)}
    with Scene(tmp_path, receiver, command, **env) as scene:
        scene.load()
        assert "nothing can be kept" in scene.agent.program.stderr
        receiver.start()
        scene.load(rounds=1)
        judge(scene, f"the disk of the spool is full: {full}")


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_JUMP"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, found);
    if (clock == CLOCK_REALTIME) found->tv_sec += jump();
    return status;
}
"""


@pytest.mark.nightly
@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forwards", "backwards"])
def test_a_clock_that_is_set(seconds: int, receiver: Receiver, tmp_path: Path) -> None:
    """The wall clock of the process, by a library in front of libc; durations stay what they were."""
    (tmp_path / "shim.c").write_text(SHIM)
    shim, jump = tmp_path / "shim.so", tmp_path / "jump"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tmp_path / "shim.c", "-ldl"], check=True)
    jump.write_text("0")
    env = {"LD_PRELOAD": str(shim), "CLOCK_JUMP": str(jump)}
    with Scene(tmp_path, receiver, **env) as scene:
        scene.load(rounds=1)
        receiver.wait_for_spans(300)
        jump.write_text(str(seconds))
        scene.load(rounds=2)
        judge(scene, f"the clock is set an hour {'forwards' if seconds > 0 else 'backwards'}")
    away = [abs(span.start / 1e9 - time.time()) > 1800 for span in receiver.spans]
    assert (away.count(False), away.count(True)) == (pytest.approx(300, abs=30), pytest.approx(600, abs=30))
    assert all(0 <= span.end - span.start < 30e9 for span in receiver.spans)


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_while_requests_are_answered(number: signal.Signals, receiver: Receiver, tmp_path: Path) -> None:
    """What ends the program ends it as without us; of requests that were answered, each is a span."""
    with Scene(tmp_path, receiver) as scene:
        scene.load(rounds=1)
        receiver.wait_for_spans(300)
        answers: dict[str, list[int]] = {"bare": [], "agent": []}
        threads = [
            threading.Thread(target=ask_and_wait, args=(served, answers[name]))
            for name, served in (("bare", scene.bare), ("agent", scene.agent))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)  # they are being answered
        for served in (scene.bare, scene.agent):
            served.program.process.send_signal(number)
        statuses = {served.program.wait() for served in (scene.bare, scene.agent)}
        for thread in threads:
            thread.join()
        assert len(statuses) == 1
        assert answers["agent"] == answers["bare"] == ([] if number == signal.SIGKILL else [200] * 5)
        scene.agent.requests += len(answers["agent"])
        figures = scene.figures()
        record("faults", f"{number.name} while requests are answered", **figures)


def ask_and_wait(served: Served, answers: list[int]) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("GET", "/wait/1")
        answers.append(connection.getresponse().status)


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_a_hub_that_is_killed_and_started_again(home: Home, receiver: Receiver, tmp_path: Path) -> None:
    def start() -> str:
        subprocess.run([PERFAGENT, "hub", "--background"], env=os.environ | env, check=True, capture_output=True)
        return home.hub.address

    env = home.env()
    address = start()
    env["PERFAGENT_HUB_PORT"] = address.rpartition(":")[2]
    with Scene(tmp_path, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=address) as scene:
        scene.load(rounds=1)
        home.wait_for_spans(300, 30)
        os.kill(home.hub.pid, signal.SIGKILL)
        scene.load(rounds=2)
        assert "cannot be delivered" in scene.agent.program.stderr
        assert start() == address
        scene.load(rounds=1)
        home.wait_for_spans(scene.agent.requests, 120)  # the agent tries again by itself, after some seconds
        scene.end()
        assert lost_at_exit(scene.agent.program) == 0
        figures = {"requests": scene.agent.requests, "received": home.spans(), "dropped": 0}
        record("faults", "the hub is killed and started again", **figures, **scene.latency())


class Counted:
    """A receiver in a process of its own that counts."""

    def __init__(self, run: RunProgram) -> None:
        self.port = find_free_port()
        program = run(sys.executable, "-m", "tests.otlp", "--port", str(self.port), cwd=ROOT)
        program.wait_for_port(self.port, 60)

    @property
    def env(self) -> dict[str, str]:
        # An exit that has no time left tells what it gives up, but not what the last export of metrics did not tell.
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "PERFAGENT_EXIT_TIMEOUT": "60000",
        }

    def counts(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts", timeout=120) as response:
            found: dict[str, Any] = json.load(response)
        return found


HOSTILE = {
    "urls": (1_000_000, "1,000,000 distinct URLs", 1),
    "routes": (1_000_000, "1,000,000 distinct URLs of one route", 1),
    "statements": (1_000_000, "1,000,000 distinct SQL texts", 1),
    "attributes": (1_000_000, "1,000,000 distinct attribute sets of a metric", 0),
    "keys": (1_000_000, "1,000,000 distinct attribute keys of metrics and of spans", 1),
    "parameters": (1_000_000, "1,000,000 distinct values of a statement's parameters, and of a query string", 2),
    "large": (0, "100 MB in parameters, SQL, paths, headers, messages", None),
    "unprintable": (0, "exceptions in __repr__, __str__, __eq__, __hash__, __class__", None),
    "undecodable": (0, "invalid UTF-8 everywhere", None),
    "recursion": (0, "RecursionError in our hooks", None),
    "contexts": (0, "hostile traceparent, tracestate and baggage", None),
    "cancelled": (5000, "5,000 tasks cancelled", None),
    "exhausted": (0, "no memory left (RLIMIT_AS)", None),
}
QUICK = ("unprintable", "undecodable", "contexts")
"""What the gate runs."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in QUICK else pytest.mark.nightly) for case in HOSTILE]
)
def test_a_hostile_program_does_what_it_does_without_us(case: str, run_program: RunProgram) -> None:
    number, row, spans = HOSTILE[case]
    if os.environ.get("PERFAGENT_HOSTILE_NUMBER"):  # to try it with fewer
        number = min(number, int(os.environ["PERFAGENT_HOSTILE_NUMBER"]))
        row = row.replace("1,000,000", f"{number:,}")
    counted = Counted(run_program)
    words = ("/usr/bin/env", "python", "-m", "tests.apps.hostile", case, str(number))
    took, peaks, programs = [], [], []
    for agent, env in (((), {}), (("perfagent", "run"), counted.env)):
        began = time.monotonic()
        program = run_program(*agent, *words, env=env, cwd=ROOT)
        peak = 0.0
        while program.running:
            peak = max(peak, memory(program.pid, "VmHWM"))
            time.sleep(0.02)
            assert time.monotonic() - began < 800
        took.append(time.monotonic() - began)
        peaks.append(peak)
        programs.append(program)
    bare, ours = programs
    assert ours.wait() == bare.wait(), ours.stderr[-2000:]
    assert ours.stdout == bare.stdout
    assert "failed (" not in ours.stderr, ours.stderr[-2000:]
    taken = peaks[1] - peaks[0]
    assert taken < (120 if case == "large" else 60), f"{taken:.0f} MB"
    counts = counted.counts()
    dropped = sum(
        int(series["value"])
        for series in counts["totals"].get("perfagent.telemetry.dropped", ())
        if series["attributes"]["signal"] == "span"
    ) + lost_at_exit(ours)
    assert counts["duplicates"] == 0
    if spans is not None:
        assert counts["spans"] + dropped == number * spans
    record(
        "faults", row, requests=number or "", received=counts["spans"], dropped=dropped, memory_mb=round(taken, 1),
        bare_s=round(took[0], 1), agent_s=round(took[1], 1),
    )  # fmt: skip
