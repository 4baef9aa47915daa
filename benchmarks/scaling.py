"""What a span costs on its way through the stack: `python -m benchmarks.scaling`.

The real programs with the files of collector/ (`python -m tools.stack build`) take distinct spans at a steady rate.
Their CPU time and memory are read from /proc, the disk from their folders. What one process under the agent adds to
Prometheus is measured with the shop. docs/explanation/scaling.md is made of these figures.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tools.stack.programs import Programs
from tools.stack.stack import Stack

from .otlp import Template
from .processes import cpu_seconds, memory

if TYPE_CHECKING:
    from tools.stack.process import Process

BATCH = 1000  # spans of a request, as an agent under load sends
SCRAPED = 60  # seconds until the last of the span metrics is in Prometheus
SETTLING = 8  # seconds after the last span until everything has been decided, sent and written


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process has used so far."""

    cpu: float  # s
    memory: float  # MB
    disk: int  # bytes


def main() -> int:
    """Sends, waits, prints a table; returns 1 where spans were lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long spans are sent")
    parser.add_argument("--rate", type=int, default=2000, help="spans a second")
    parser.add_argument("--keep", type=int, default=10, help="percent of the traces that the gateways keep")
    wanted = parser.parse_args()
    environ = {"KEEP_PERCENT": str(wanted.keep), "DECISION_WAIT": "5s"}
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder, Stack(Path(folder), environ=environ) as stack:
        sent = _spans(stack, wanted.rate, wanted.seconds)
        _processes(stack)
    return int(not sent)


def _spans(stack: Stack, rate: int, seconds: float) -> bool:
    """Sends spans at a rate, and prints what each process of the stack has used for one of them."""
    time.sleep(SETTLING)
    idle_before = _readings(stack)
    time.sleep(SETTLING)
    before = _readings(stack)
    idle = {name: (before[name].cpu - idle_before[name].cpu) / SETTLING for name in before}
    template = Template(BATCH)
    target = urlsplit(stack.url("collector:4318"))
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
    started, sent, size = time.monotonic(), 0, 0
    while (due := sent / rate) < seconds:
        time.sleep(max(0.0, started + due - time.monotonic()))
        body, _ = template.fresh()
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            sent, size = sent + BATCH, size + len(body)
    took = time.monotonic() - started
    time.sleep(SETTLING)
    after, whole = _readings(stack), took + SETTLING
    query = 'sum(traces_span_metrics_calls_total{service_name="shop"})'
    deadline = time.monotonic() + SCRAPED
    while (counted := _value(stack, query)) < sent and time.monotonic() < deadline:
        time.sleep(1)
    print(f"{sent:,} spans in {took:.0f} s, {size / sent:.0f} bytes each as the agent sends them, uncompressed\n")
    print(f"{'':<14}{'us CPU a span':>14}{'MB at most':>12}{'bytes on disk a span':>22}{'% of a core idle':>18}")
    for name, reading in after.items():
        cpu = (reading.cpu - before[name].cpu - idle[name] * whole) / sent * 1e6
        disk = max(0, reading.disk - before[name].disk) / sent
        print(f"{name:<14}{cpu:>14.1f}{reading.memory:>12.0f}{disk:>22.1f}{idle[name] * 100:>18.1f}")
    series = _value(stack, "prometheus_tsdb_head_series")
    print(f"\n{counted:,.0f} of {sent:,} spans in the span metrics; {series:,.0f} series in Prometheus")
    return counted == sent


def _processes(stack: Stack) -> None:
    """Starts the shop, and prints what one process under the agent adds besides spans."""
    programs = Programs(stack.directory)
    started = [programs.payments(stack), programs.shop(stack)]
    before = _value(stack, "prometheus_tsdb_head_series")
    for process in started:
        process.start()
    try:
        for process in started:
            process.wait()
        visitors = programs.visitors(5)
        visitors.start()
        time.sleep(20)
        visitors.stop()
        time.sleep(SETTLING)
        series = _value(stack, 'count({service_name=~"shop|payments", service_instance_id!=""})')
        samples = _value(stack, "rate(prometheus_tsdb_head_samples_appended_total[20s])")
        told = f"{series:.0f} series of 2 processes, {series / 2:.0f} each; Prometheus had {before:.0f} before them"
        print(f"{told}, and appends {samples:.0f} samples a second")
    finally:
        for process in started:
            process.stop()


def _readings(stack: Stack) -> dict[str, Reading]:
    return {process.name: _reading(process) for process in stack.processes}


def _reading(process: Process) -> Reading:
    files = [path for path in process.directory.rglob("*") if path.is_file()]
    disk = sum(path.stat().st_blocks * 512 for path in files)
    return Reading(cpu_seconds(process.pid), memory(process.pid).rss, disk)


def _value(stack: Stack, query: str) -> float:
    """The sum of an instant query's values; 0 where there is none."""
    words = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{stack.url('prometheus:9090')}/api/v1/query?{words}", timeout=30) as response:
        return sum(float(one["value"][1]) for one in json.load(response)["data"]["result"])


if __name__ == "__main__":
    sys.exit(main())
