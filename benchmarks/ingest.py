"""How many spans a second one core of the hub takes, safely stored: `python -m benchmarks.ingest`.

A real hub is held to one core; senders on the others post distinct spans over HTTP as fast as it answers. A span counts
when its request was answered with 200, which the hub does after the commit.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from perfagent.hub.access import Access, secret

from . import hubs
from .otlp import Template

BUDGET = 20_000  # spans/s
LOOK = 3.0  # seconds between two looks of somebody at the overview
MB = 1e6


def main() -> int:
    """Sends, prints, and returns 1 under the budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--batch", type=int, default=2048, help="spans of a request")
    parser.add_argument("--connections", type=int, default=4)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hub-"))
    try:
        with hubs.running(folder, before=("taskset", "-c", "0")) as address:
            rate = _measure(address, folder, wanted)
        size = sum(file.stat().st_size for file in folder.glob("hub.duckdb*"))
        print(f"{size / rate.spans:9.0f}  bytes on disk a span, after the last checkpoint")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if rate.a_second < BUDGET:
        print(f"under the budget of {BUDGET:,} spans/s")
    return int(rate.a_second < BUDGET)


class Rate:
    """What was acknowledged, in how long."""

    def __init__(self, spans: int, seconds: float) -> None:
        self.spans, self.a_second = spans, spans / seconds


def _measure(address: str, folder: Path, wanted: argparse.Namespace) -> Rate:
    process = _hub(folder)
    others = sorted(os.sched_getaffinity(0) - {0}) or [0]
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    end = time.monotonic() + wanted.seconds
    senders = [
        multiprocessing.Process(target=_send, args=(address, wanted.batch, end, others, results))
        for _ in range(wanted.connections)
    ]
    before, started = process.cpu_times(), time.monotonic()
    resident = [process.memory_info().rss]
    questions = []
    for sender in senders:
        sender.start()
    looked = time.monotonic()
    while time.monotonic() < end:
        time.sleep(0.2)
        resident.append(process.memory_info().rss)
        if time.monotonic() - looked > LOOK:
            questions.append(_ask(address, folder))
            looked = time.monotonic()
    took = [one for _ in senders for one in results.get()]
    seconds = time.monotonic() - started
    for sender in senders:
        sender.join()
    after = process.cpu_times()
    rate = Rate(len(took) * wanted.batch, seconds)
    cpu = after.user + after.system - before.user - before.system
    took.sort()
    longest, slowest = took[-1], max(questions, default=0.0)
    for figure, text in (
        (f"{rate.a_second:,.0f}", f"spans/s stored and acknowledged, of {rate.spans:,} in {seconds:.0f} s"),
        (f"{cpu / rate.spans * 1e6:.1f}", "us of the hub's CPU a span"),
        (
            f"{max(resident) / MB:.0f}",
            f"MB resident at most, {resident[0] / MB:.0f} at first, {resident[-1] / MB:.0f} last",
        ),
        (f"{statistics.median(took) * 1e3:.0f}", f"ms a request (median), {longest * 1e3:.0f} the longest"),
        (f"{statistics.median(questions or [0]) * 1e3:.0f}", f"ms for the overview, {slowest * 1e3:.0f} the longest"),
    ):
        print(f"{figure:>9}  {text}")
    return rate


def _hub(folder: Path) -> psutil.Process:
    import json

    return psutil.Process(int(json.loads((folder / "hub.lock").read_text())["pid"]))


def _ask(address: str, folder: Path) -> float:
    target = urlsplit(address)
    token = Access(secret(str(folder))).token("viewer")
    started = time.perf_counter()
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    connection.request("GET", "/api/v1/performance/overview", headers={"Authorization": f"Bearer {token}"})
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - started


def _send(address: str, batch: int, end: float, cores: list[int], results: multiprocessing.Queue[list[float]]) -> None:
    os.sched_setaffinity(0, cores)
    target = urlsplit(address)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    template = Template(batch)
    took = []
    while time.monotonic() < end:
        body, _identities = template.fresh()
        started = time.perf_counter()
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            took.append(time.perf_counter() - started)
        elif answer.status in (429, 503):
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        else:
            print(f"the hub answered {answer.status}", file=sys.stderr)
            break
    results.put(took)


if __name__ == "__main__":
    sys.exit(main())
