"""Running sums of what an agent exports: endpoints, queries, outgoing calls, errors and the latest metrics."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import signals
from .totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .signals import LogRecord, Point, Span


@dataclass(slots=True)
class Timing:
    """How often something was done, how long each time took in seconds, and how often it failed."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def calls(self) -> int:
        """How often it was done."""
        return len(self.seconds)

    @property
    def total(self) -> float:
        """All seconds together."""
        return sum(self.seconds)

    def percentile(self, percent: float) -> float:
        """The shortest time that so many per cent of the calls did not exceed, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def add(self, span: Span) -> None:
        """Counts a span."""
        self.seconds.append(span.seconds)
        self.errors += span.status.code == "ERROR"


@dataclass(slots=True)
class Endpoint(Timing):
    """The requests of one method and route, and the time they spent in queries and outgoing calls."""

    in_queries: float = 0
    in_calls: float = 0


@dataclass(slots=True)
class Query(Timing):
    """One text of SQL, and who ran it how often."""

    system: str = ""
    callers: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Trace:
    """What is known of one request; its spans wait until the request's own span has come, which ends last."""

    endpoint: str = ""
    waiting: list[Span] = field(default_factory=list)
    queries: Counter[str] = field(default_factory=Counter)
    exceptions: list[tuple[str, str]] = field(default_factory=list)
    failure: str = ""


class Tally:
    """Takes export messages as they come and sums them up; hold `lock` while reading."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.endpoints: defaultdict[str, Endpoint] = defaultdict(Endpoint)
        self.queries: defaultdict[str, Query] = defaultdict(Query)
        self.calls: defaultdict[str, Timing] = defaultdict(Timing)
        self.totals = Totals()
        self.first: dict[str, dict[str, Point]] = {}
        self.latest: dict[str, dict[str, Point]] = {}
        self.spans = self.points = self.records = self.exports = 0
        self.agent = ""
        self._traces: defaultdict[str, _Trace] = defaultdict(_Trace)

    def add(self, message: Any) -> None:
        """Sums up one decoded export request of traces, metrics or logs."""
        kind = type(message).__name__
        with self.lock:
            self.exports += 1
            if kind == "ExportTraceServiceRequest":
                self._add_spans(signals.spans(message))
            elif kind == "ExportMetricsServiceRequest":
                self._add_points(signals.points(message))
            else:
                self._add_records(signals.records(message))

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(endpoint.calls for endpoint in self.endpoints.values())

    @property
    def errors(self) -> int:
        """How many of them failed."""
        return sum(endpoint.errors for endpoint in self.endpoints.values())

    def failures(self) -> Counter[tuple[str, str]]:
        """How often each endpoint failed by what: an exception with its message, or else an HTTP status."""
        found: Counter[tuple[str, str]] = Counter()
        for trace in self._traces.values():
            if trace.failure:
                exception = ": ".join(trace.exceptions[-1]) if trace.exceptions else trace.failure
                found[trace.endpoint, exception] += 1
        return found

    def repetitions(self) -> dict[tuple[str, str], list[int]]:
        """For each endpoint and query: how often each request that ran the query ran it."""
        found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for trace in self._traces.values():
            for text, times in trace.queries.items():
                found[trace.endpoint, text].append(times)
        return found

    def _add_spans(self, spans: list[Span]) -> None:
        self.spans += len(spans)
        touched = {}
        for span in spans:
            trace = touched[span.trace_id] = self._traces[span.trace_id]
            trace.exceptions += _exceptions(span)
            if span.kind == "SERVER":
                self._add_request(trace, span)
            elif span.kind == "CLIENT":
                trace.waiting.append(span)
        for trace in touched.values():
            if trace.endpoint:
                self._add_work(trace)

    def _add_request(self, trace: _Trace, span: Span) -> None:
        self.agent = self.agent or _agent(span.resource)
        method = span.attributes.get("http.request.method", "")
        trace.endpoint = f"{method} {span.attributes.get('http.route', '(no route)')}"
        self.endpoints[trace.endpoint].add(span)
        if span.status.code == "ERROR":
            status = span.attributes.get("http.response.status_code", "no response")
            trace.failure = str(span.attributes.get("error.type", status))

    def _add_work(self, trace: _Trace) -> None:
        endpoint = self.endpoints[trace.endpoint]
        spans, trace.waiting = trace.waiting, []
        queries = {span.span_id: span for span in spans if _query_text(span)}
        for span in spans:
            if span.span_id not in queries:
                if "http.request.method" in span.attributes:
                    self.calls[_call(span)].add(span)
                    endpoint.in_calls += span.seconds
            elif span.parent_id not in queries:  # an ORM's span and its driver's below it are one query
                text = _query_text(span)
                query = self.queries[text]
                query.add(span)
                query.system = str(_first(span, "db.system.name", "db.system"))
                query.callers[trace.endpoint] += 1
                trace.queries[text] += 1
                endpoint.in_queries += span.seconds

    def _add_points(self, points: list[Point]) -> None:
        self.points += len(points)
        self.totals.add(points)
        for point in points:
            attributes = str(point.attributes)
            self.first.setdefault(point.name, {}).setdefault(attributes, point)
            self.latest.setdefault(point.name, {})[attributes] = point

    def _add_records(self, records: Iterable[LogRecord]) -> None:
        for record in records:
            self.records += 1
            if "exception.type" in record.attributes and record.trace_id:
                self._traces[record.trace_id].exceptions.append(_exception(record.attributes))


def _agent(resource: dict[str, Any]) -> str:
    name = _either(resource, "telemetry.distro.name", "telemetry.sdk.name")
    version = _either(resource, "telemetry.distro.version", "telemetry.sdk.version")
    return f"{name} {version}".strip()


def _exceptions(span: Span) -> list[tuple[str, str]]:
    return [_exception(event.attributes) for event in span.events if event.name == "exception"]


def _exception(attributes: dict[str, Any]) -> tuple[str, str]:
    return str(attributes.get("exception.type", "")), str(attributes.get("exception.message", ""))


def _query_text(span: Span) -> str:
    return " ".join(str(_first(span, "db.query.text", "db.statement")).split())


def _call(span: Span) -> str:
    where = span.attributes.get("server.address", "?")
    return f"{span.attributes['http.request.method']} {where}:{span.attributes.get('server.port', '')}".rstrip(":")


def _first(span: Span, name: str, older: str) -> Any:
    return _either(span.attributes, name, older)


def _either(attributes: dict[str, Any], name: str, older: str) -> Any:
    return attributes.get(name, attributes.get(older, ""))
