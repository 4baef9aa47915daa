"""What a span costs on its way through the stack: `python -m benchmarks.scaling`.

The real programs with the files of collector/ (`python -m tools.stack build`) take distinct spans at a steady rate.
Their CPU time and memory are read from /proc, the disk from their folders. Then a fleet: the metrics that one process
of the shop really exports are sent again and again as those of many. docs/explanation/scaling.md is made of it.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tools.stack.programs import Programs
from tools.stack.stack import Stack

from .otlp import Template
from .processes import cpu_seconds, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
    from tools.stack.process import Process

PROTOBUF = {"Content-Type": "application/x-protobuf"}
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
    parser.add_argument("--processes", type=int, default=400, help="of the fleet that sends metrics")
    parser.add_argument("--exports", type=int, default=6, help="how often each of them does, every 15 s of its time")
    wanted = parser.parse_args()
    environ = {"KEEP_PERCENT": str(wanted.keep), "DECISION_WAIT": "5s"}
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder, Stack(Path(folder), environ=environ) as stack:
        sent = _spans(stack, wanted.rate, wanted.seconds)
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder, Stack(Path(folder), environ=environ) as stack:
        _fleet(stack, wanted.processes, wanted.exports)
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
        connection.request("POST", "/v1/traces", body, PROTOBUF)
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


def _fleet(stack: Stack, processes: int, exports: int) -> None:
    """Sends the metrics of many processes, and prints what each part of the stack has used for one data point."""
    request = _one_export(stack.directory)
    body, points = request.SerializeToString(), _points(request)
    series = _series(request)
    print(f"\none process exports {points} points, {series} series of Prometheus, in {len(body):,} bytes, uncompressed")
    time.sleep(SETTLING)
    before, head = _readings(stack), _value(stack, "prometheus_tsdb_head_series")
    target = urlsplit(stack.url("collector:4318"))
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    began = time.time_ns() - exports * 15_000_000_000
    taken = 0
    for export in range(exports):
        started = time.monotonic()
        for number in range(processes):
            _become(request, number, began + export * 15_000_000_000)
            connection.request("POST", "/v1/metrics", request.SerializeToString(), PROTOBUF)
            answer = connection.getresponse()
            answer.read()
            taken += answer.status == 200
        time.sleep(max(0.0, 2 - (time.monotonic() - started)))  # a fleet does not send everything at once
    sent = taken * points
    query = 'count({service_name="fleet"})'
    deadline = time.monotonic() + SCRAPED
    while _value(stack, query) < processes * series * 0.999 and time.monotonic() < deadline:
        time.sleep(1)
    time.sleep(SETTLING)
    after, held = _readings(stack), _value(stack, "prometheus_tsdb_head_series") - head
    print(f"{taken} of {processes * exports} exports taken, {sent:,} points; {held:,.0f} series more in Prometheus\n")
    print(f"{'':<14}{'us CPU a point':>14}{'MB at most':>12}{'bytes on disk a point':>22}")
    for name, reading in after.items():
        cpu = (reading.cpu - before[name].cpu) / sent * 1e6
        disk = max(0, reading.disk - before[name].disk) / sent
        print(f"{name:<14}{cpu:>14.2f}{reading.memory:>12.0f}{disk:>22.1f}")
    grown = after["prometheus"].memory - before["prometheus"].memory
    print(f"Prometheus: {grown * 1e6 / held:,.0f} bytes of memory a series")


def _one_export(folder: Path) -> ExportMetricsServiceRequest:
    """The last metrics that the shop exports under the agent, after some visitors."""
    exports: list[bytes] = []
    traces: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            {"/v1/metrics": exports, "/v1/traces": traces}.get(self.path, []).append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    programs = Programs(folder)
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    started = [programs.payments(endpoint), programs.shop(endpoint)]
    try:
        for process in started:
            process.start()
        for process in started:
            process.wait()
        visitors = programs.visitors(10)
        visitors.start()
        time.sleep(15)
        visitors.stop()
    finally:
        for process in started:
            process.stop()
        server.shutdown()
    spans = sum(map(_spans_of, traces))
    sizes = [sum(map(len, traces)) / spans, sum(len(gzip.compress(body)) for body in traces) / spans]
    print(f"the shop's agents sent {spans} spans of {sizes[0]:.0f} bytes each, {sizes[1]:.0f} by gzip")
    requests = [ExportMetricsServiceRequest.FromString(body) for body in exports]
    return max(requests, key=_points)


def _spans_of(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _become(request: ExportMetricsServiceRequest, number: int, now: int) -> None:
    """Makes an export that of another process and time."""
    for resource in request.resource_metrics:
        for pair in resource.resource.attributes:
            if pair.key == "service.name":
                pair.value.string_value = "fleet"
            if pair.key == "service.instance.id":
                pair.value.string_value = f"process-{number}"
        for point in _all_points(resource):
            point.time_unix_nano = now
            point.start_time_unix_nano = now - 3600_000_000_000


def _points(request: ExportMetricsServiceRequest) -> int:
    return sum(1 for resource in request.resource_metrics for _ in _all_points(resource))


def _series(request: ExportMetricsServiceRequest) -> int:
    """How many series Prometheus makes of an export: a histogram is one a bucket, its sum and its count."""
    points = (point for resource in request.resource_metrics for point in _all_points(resource))
    return sum(
        len(getattr(point, "bucket_counts", ())) + 2 if hasattr(point, "bucket_counts") else 1 for point in points
    )


def _all_points(resource: ResourceMetrics) -> Iterator[Any]:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            yield from getattr(metric, metric.WhichOneof("data") or "gauge").data_points


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
