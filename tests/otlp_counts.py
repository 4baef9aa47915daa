"""A receiver that only counts, fast enough for a load test: `python -m tests.otlp --port 4318`.

It prints one line a second and serves, next to the three OTLP paths:

- `GET /counts`: what arrived so far, as JSON (see `Counts.report`); `DELETE /counts` starts again at zero.
- `POST /fault`: changes the fault, for instance `{"name": "status", "code": 503, "retry_after": 1}`.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from examples.telemetry import signals
from examples.telemetry.server import HangUp, RefusedError, Reply, Request, Server
from examples.telemetry.signals import KINDS
from examples.telemetry.totals import Totals
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests import otlp_faults
from tests.otlp_faults import FaultSwitch


class Counts:
    """Counts spans straight from the messages: 2 to 3 us a span, and about 250 bytes for its id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Starts again at zero."""
        with self._lock:
            self.requests: Counter[str] = Counter()
            self.wire_bytes = 0
            self.spans = self.duplicates = self.errors = self.roots = self.points = self.records = 0
            self.rejected: Counter[str] = Counter()
            self.processes: Counter[str] = Counter()
            self._names: Counter[tuple[int, str]] = Counter()
            self._known: dict[bytes, tuple[int, str]] = {}
            self._children: defaultdict[bytes, int] = defaultdict(int)
            self._totals = Totals()

    def saw(self, request: Request) -> None:
        """Counts a request, whatever becomes of it."""
        with self._lock:
            self.requests[request.path] += 1
            self.wire_bytes += request.wire_size

    def keep(self, message: Any, rejected: int) -> int:
        """Counts the items of a message but the last `rejected` ones; returns how many were left out."""
        with self._lock:
            if isinstance(message, ExportTraceServiceRequest):
                return self._keep_spans(message, rejected)
            if isinstance(message, ExportMetricsServiceRequest):
                points = signals.points(message)
                left = min(rejected, len(points))
                self._totals.add(points[: len(points) - left])
                self.points += len(points) - left
                self.rejected["points"] += left
                return left
            if not hasattr(message, "resource_logs"):
                return 0  # profiles
            records = sum(len(s.log_records) for r in message.resource_logs for s in r.scope_logs)
            left = min(rejected, records)
            self.records += records - left
            self.rejected["records"] += left
            return left

    def _keep_spans(self, message: ExportTraceServiceRequest, rejected: int) -> int:
        total = sum(len(s.spans) for r in message.resource_spans for s in r.scope_spans)
        left = min(rejected, total)
        room = total - left
        known, names, children = self._known, self._names, self._children
        for group in message.resource_spans:
            resource = signals.attributes_of(group.resource.attributes)
            process = f"{resource.get('service.name')} {resource.get('process.pid')}"
            for scoped in group.scope_spans:
                for span in scoped.spans[:room]:
                    span_id = span.span_id
                    if span_id in known:
                        self.duplicates += 1
                        continue
                    key = (span.kind, span.name)
                    known[span_id] = key
                    names[key] += 1
                    if span.parent_span_id:
                        children[span.parent_span_id] += 1
                    else:
                        self.roots += 1
                    if span.status.code == 2:
                        self.errors += 1
                kept = min(room, len(scoped.spans))
                self.processes[process] += kept
                room -= kept
        self.spans += total - left
        self.rejected["spans"] += left
        return left

    def report(self) -> dict[str, Any]:
        """All counts, ready for JSON.

        `parents_missing` counts the spans whose parent did not arrive (remote parents are among them); `children` tells
        for each kind and name of span how many had how many direct children; `totals` has every series of counters and
        histograms summed over processes; `processes` has the spans by service name and process id.
        """
        with self._lock:
            shape: dict[str, Counter[int]] = defaultdict(Counter)
            for span_id, (kind, name) in self._known.items():
                shape[f"{KINDS[kind]} {name}"][self._children.get(span_id, 0)] += 1
            return {
                "requests": dict(self.requests),
                "wire_bytes": self.wire_bytes,
                "spans": self.spans,
                "spans_by_name": {f"{KINDS[kind]} {name}": n for (kind, name), n in self._names.most_common()},
                "duplicates": self.duplicates,
                "errors": self.errors,
                "roots": self.roots,
                "parents_missing": sum(n for parent, n in self._children.items() if parent not in self._known),
                "children": {name: {str(n): spans for n, spans in sorted(c.items())} for name, c in shape.items()},
                "processes": dict(self.processes),
                "points": self.points,
                "records": self.records,
                "rejected": dict(self.rejected),
                "totals": {
                    name: [
                        {"attributes": dict(labels), **asdict(total)}
                        for labels, total in self._totals.series(name).items()
                    ]
                    for name in sorted(self._totals.names())
                },
            }


class CountingReceiver:
    """The counting receiver with its control paths; `python -m tests.otlp` runs one."""

    def __init__(self, port: int = 0) -> None:
        self.counts = Counts()
        self.switch = FaultSwitch()
        self.server = Server(self._answer, port=port)

    def _answer(self, request: Request) -> Reply | HangUp:
        if request.path == "/counts":
            if request.method == "DELETE":
                self.counts.clear()
            return Reply(body=json.dumps(self.counts.report()).encode(), content_type="application/json")
        if request.path == "/fault" and request.method == "POST":
            return self._change_fault(json.loads(request.body))
        self.counts.saw(request)
        return self.switch.answer(request, self.counts.keep)

    def _change_fault(self, wanted: dict[str, Any]) -> Reply:
        name = wanted.pop("name", None)
        if name not in ("ok", "hang", "slow", "status", "garbage", "partial", "reset"):
            raise RefusedError(400, f"no such fault: {name!r}")
        self.switch.set(getattr(otlp_faults, name)(**wanted))
        return Reply(body=b"{}", content_type="application/json")


def main() -> None:
    """Serves until interrupted and prints a line of counts a second."""
    parser = argparse.ArgumentParser(prog="python -m tests.otlp", description=__doc__)
    parser.add_argument("--port", type=int, default=4318)
    receiver = CountingReceiver(parser.parse_args().port)
    counts, before = receiver.counts, 0
    with receiver.server:
        print(f"listening on {receiver.server.url}", flush=True)
        while True:
            try:
                time.sleep(1)
            except KeyboardInterrupt:
                return
            spans = counts.spans
            print(
                f"spans {spans} ({spans - before}/s), duplicates {counts.duplicates}, points {counts.points},"
                f" records {counts.records}, requests {counts.requests.total()}, rejected {counts.rejected.total()}",
                flush=True,
            )
            before = spans
