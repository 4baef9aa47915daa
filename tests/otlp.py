"""The OTLP/HTTP receiver that the tests export to; it knows OTLP and nothing of perfagent.

`Receiver` keeps what arrives, for assertions. `python -m tests.otlp --port N` runs one that only counts, in a process
of its own, for heavy load: see `tests.otlp_counts`.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from examples.telemetry import signals
from examples.telemetry.profiles import Sample, samples_of
from examples.telemetry.server import HangUp, Reply, Request, Server
from examples.telemetry.signals import Event, Link, LogRecord, Point, Span, Status
from examples.telemetry.totals import Total, Totals
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2 as profiles
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

from tests.otlp_faults import Fault, FaultSwitch, garbage, hang, ok, partial, reset, slow, status
from tests.patience import PATIENCE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = [
    "Event", "Fault", "Link", "LogRecord", "Point", "Receiver", "Reply", "Request", "Sample", "Span", "Status", "Total",
    "garbage", "hang", "ok", "partial", "reset", "slow", "status",
]  # fmt: skip

T = TypeVar("T")


class Receiver:
    """Keeps all that it is sent: `spans`, `points`, `logs`, `samples`, and the `requests` they came in.

    Args:
        port: 0 takes a free one.
        tls: serves https with this context.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.spans: list[Span] = []
        self.points: list[Point] = []
        self.logs: list[LogRecord] = []
        self.samples: list[Sample] = []
        self.totals = Totals()
        self.rejected = 0
        self._arrived = threading.Condition()
        self._switch = FaultSwitch()
        self._server = Server(self._answer, port=port, tls=tls)

    @property
    def url(self) -> str:
        """The address for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return self._server.url

    @property
    def port(self) -> int:
        """The port; it stays the same over `stop` and `start`."""
        return self._server.port

    @property
    def fault(self) -> Fault:
        """What is wrong with the receiver at the moment; set it to one of this module's faults."""
        return self._switch.get()

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._switch.set(fault)

    def start(self) -> Receiver:
        """Listens; after `stop`, on the same port, with all that was kept before."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Closes the port and every open connection, as a collector that goes down does."""
        self._switch.set(self._switch.get())
        self._server.stop()

    def clear(self) -> None:
        """Forgets all that arrived."""
        with self._arrived:
            self.requests.clear()
            self.spans.clear()
            self.points.clear()
            self.logs.clear()
            self.samples.clear()
            self.totals = Totals()
            self.rejected = 0

    def __enter__(self) -> Receiver:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for_spans(
        self, n: int = 1, timeout: float = PATIENCE, *, where: Callable[[Span], bool] | None = None
    ) -> list[Span]:
        """The spans for which `where` holds, as soon as there are at least `n`.

        Raises:
            AssertionError: after `timeout` seconds, telling what arrived instead.
        """
        return self._wait(self.spans, n, timeout, where, _span_line)

    def wait_for_metric(
        self, name: str, timeout: float = PATIENCE, *, where: Callable[[Point], bool] | None = None
    ) -> Point:
        """The latest point of the metric for which `where` holds, as soon as there is one.

        Raises:
            AssertionError: after `timeout` seconds, telling what arrived instead.
        """
        return self._wait(
            self.points, 1, timeout, lambda point: point.name == name and (where is None or where(point)), _point_line
        )[-1]

    def wait_for_logs(
        self, n: int = 1, timeout: float = PATIENCE, *, where: Callable[[LogRecord], bool] | None = None
    ) -> list[LogRecord]:
        """The log records for which `where` holds, as soon as there are at least `n`; raises as `wait_for_spans`."""
        return self._wait(self.logs, n, timeout, where, lambda record: repr(record.body))

    def wait_for_samples(
        self, n: int = 1, timeout: float = PATIENCE, *, where: Callable[[Sample], bool] | None = None
    ) -> list[Sample]:
        """The samples of profiles for which `where` holds, as soon as there are at least `n`; raises alike."""
        return self._wait(self.samples, n, timeout, where, lambda sample: f"{sample.kind} {sample.leaf}")

    def wait_for_requests(
        self, n: int = 1, timeout: float = PATIENCE, *, where: Callable[[Request], bool] | None = None
    ) -> list[Request]:
        """The requests for which `where` holds, kept or not, as soon as there are at least `n`; raises alike."""
        return self._wait(self.requests, n, timeout, where, lambda request: request.path)

    def wait_until_quiet(self, seconds: float = 0.5, timeout: float = PATIENCE, *, path: str = "/v1/traces") -> None:
        """Returns once no request to `path` arrived for so long: what a test that counts to the last one waits for.

        Raises:
            AssertionError: if requests still arrive after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            before = self._number_of_requests(path)
            time.sleep(seconds)
            if self._number_of_requests(path) == before:
                return
        raise AssertionError(f"requests to {path} still arrived after {timeout} s")

    def metric(self, name: str) -> list[Point]:
        """Every point of the metric, oldest first."""
        with self._arrived:
            return [point for point in self.points if point.name == name]

    def total(self, name: str, **attributes: object) -> Total:
        """What a counter or histogram adds up to, over its series with these attributes (`http__route` for a dot)."""
        with self._arrived:
            return self.totals.total(name, **attributes)

    def traces(self) -> dict[str, list[Span]]:
        """The spans by trace id."""
        found = defaultdict(list)
        with self._arrived:
            for span in self.spans:
                found[span.trace_id].append(span)
        return dict(found)

    def children(self, parent: Span) -> list[Span]:
        """The spans whose parent this is, by start time."""
        with self._arrived:
            found = [s for s in self.spans if (s.trace_id, s.parent_id) == (parent.trace_id, parent.span_id)]
        return sorted(found, key=lambda span: span.start)

    def _answer(self, request: Request) -> Reply | HangUp:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return self._switch.answer(request, self._keep)

    def _keep(self, message: Any, rejected: int) -> int:
        items, kept = self._decoded(message)
        left = min(rejected, len(items))
        items = items[: len(items) - left]
        with self._arrived:
            kept += items
            self.rejected += left
            if kept is self.points:
                self.totals.add(items)
            self._arrived.notify_all()
        return left

    def _decoded(self, message: Any) -> tuple[list[Any], list[Any]]:
        if isinstance(message, trace.ExportTraceServiceRequest):
            return signals.spans(message), self.spans
        if isinstance(message, metrics.ExportMetricsServiceRequest):
            return signals.points(message), self.points
        if isinstance(message, profiles.ExportProfilesServiceRequest):
            return samples_of(message), self.samples
        return signals.records(message), self.logs

    def _wait(
        self, items: list[T], n: int, timeout: float, where: Callable[[T], bool] | None, line: Callable[[T], str]
    ) -> list[T]:
        found: list[T] = []
        seen = 0

        def enough() -> bool:
            nonlocal seen
            found.extend(item for item in items[seen:] if where is None or where(item))
            seen = len(items)
            return len(found) >= n

        with self._arrived:
            if self._arrived.wait_for(enough, timeout):
                return found
            arrived = [line(item) for item in items]
        shown = "\n  ".join(sorted(set(arrived))[:40]) or "nothing at all"
        what = f"waited {timeout} s for {n}, found {len(found)}; {len(arrived)} arrived, the distinct ones are"
        raise AssertionError(f"{what}\n  {shown}")

    def _number_of_requests(self, path: str) -> int:
        with self._arrived:
            return sum(request.path == path for request in self.requests)


def _span_line(span: Span) -> str:
    return f"{span.kind} {span.name!r} {span.status.code} [{span.scope.name}]"


def _point_line(point: Point) -> str:
    return f"{point.type} {point.name} {point.attributes}"


if __name__ == "__main__":
    from tests.otlp_counts import main

    main()
