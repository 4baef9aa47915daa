"""Where a Prometheus tells how often and how long operations ran: span metrics, or the metrics of requests.

Whatever it is, an operation is what its labels say, and a span of Jaeger is an execution of the operation that the very
same attributes of it say: that is how a trace is found from an endpoint, although its counts come from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.hub.receive import operations
from perfagent.hub.receive.operations import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.receive.operations import Shape

KINDS = {
    "SPAN_KIND_INTERNAL": INTERNAL, "SPAN_KIND_SERVER": SERVER, "SPAN_KIND_CLIENT": CLIENT,
    "SPAN_KIND_PRODUCER": PRODUCER, "SPAN_KIND_CONSUMER": CONSUMER,
}  # fmt: skip
DECIDING = tuple(
    sorted(
        operations.DECIDING
        - {*operations.STATEMENT, *operations.FILE, *operations.LINE, *operations.FUNCTION, *operations.BATCH}
    )
)
"""Attributes that an operation depends on and that are labels of metrics; a statement is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """One histogram that tells of operations.

    Args:
        name: in Prometheus, without `_bucket`.
        service: the label of the service's name.
        kind: of the spans that it counts, for metrics of requests; 0 where a label tells it.
        scale: seconds of one of its unit.
        dimensions: attributes that its labels may be.
        title: attributes whose values stand for the name of a span, where no label tells that.
    """

    name: str
    service: str = "service_name"
    kind: int = 0
    scale: float = 1.0
    dimensions: tuple[str, ...] = DECIDING
    title: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The labels that its sums are grouped by."""
        own = () if self.kind else ("span_name", "span_kind", "status_code")
        extra = ("error_type",) if self.kind else ()
        return [self.service, *own, *extra, *(name.replace(".", "_") for name in self.dimensions)]


SPANS = (
    Source("traces_span_metrics_duration_seconds"),
    Source("traces_span_metrics_duration_milliseconds", scale=0.001),
    Source("duration_milliseconds", scale=0.001),  # the connector before it had a namespace
    Source("duration_seconds"),
    Source("traces_spanmetrics_latency", service="service"),  # Tempo's
)
"""Span metrics as collectors have called them; one is used, the first that is there."""

_HTTP = ("http.request.method", "http.response.status_code", "server.address", "server.port")
_DATABASE = ("db.system.name", "db.operation.name", "db.collection.name")
REQUESTS = (
    Source(
        "http_server_request_duration_seconds",
        kind=SERVER,
        dimensions=("http.request.method", "http.route", "http.response.status_code"),
        title=("http.request.method",),
    ),
    Source("http_client_request_duration_seconds", kind=CLIENT, dimensions=_HTTP, title=("http.request.method",)),
    Source(
        "db_client_operation_duration_seconds",
        kind=CLIENT,
        dimensions=_DATABASE,
        title=("db.operation.name", "db.collection.name"),
    ),
    Source(
        "messaging_process_duration_seconds",
        kind=CONSUMER,
        dimensions=("messaging.system", "messaging.operation.name", "messaging.destination.name"),
        title=("messaging.operation.name", "messaging.destination.name"),
    ),
)
"""What programs measure themselves, where no Collector counts spans; all that are there are used."""


ATTRIBUTES = tuple(sorted({*DECIDING, *(name for source in REQUESTS for name in source.dimensions)}))
"""All that an operation may depend on."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The sources in use.

    Args:
        sources: one of span metrics, or some of requests; none where there is nothing.
        present: attributes that span metrics really have as labels; of the others nothing is known.
    """

    sources: tuple[Source, ...] = ()
    present: frozenset[str] = frozenset()

    @property
    def counts_spans(self) -> bool:
        """Whether every span is counted, so that internal ones have figures, too."""
        return any(not source.kind for source in self.sources)

    def of_labels(self, source: Source, labels: Mapping[str, str]) -> tuple[Shape, bool]:
        """What a series counts, and whether these failed."""
        named = {name.replace(".", "_"): name for name in source.dimensions}
        attributes = {named[label]: value for label, value in labels.items() if label in named and value}
        service = labels.get(source.service) or "unknown_service"
        if not source.kind:
            kind = KINDS.get(labels.get("span_kind", ""), 0)
            shape = operations.shape(service, kind, labels.get("span_name", ""), attributes)
            return shape, labels.get("status_code") == "STATUS_CODE_ERROR"
        shape = operations.shape(service, source.kind, _title(source, attributes), attributes)
        if source.kind == SERVER:  # OpenTelemetry: what a client did wrong is no failure of the server
            return shape, shape.status_code >= 500 or (bool(labels.get("error_type")) and not shape.status_code)
        return shape, bool(labels.get("error_type"))

    def of_span(self, service: str, kind: int, name: str, attributes: Mapping[str, Any]) -> Shape:
        """The operation that a span of Jaeger is an execution of, by what the metrics know of it."""
        source = self._source(kind, attributes)
        if source is None:
            present = self.present if self.sources else DECIDING
            known = {key: attributes[key] for key in present if key in attributes}
            return operations.shape(service, kind, name, known)
        told = {key: str(attributes[key]) for key in source.dimensions if attributes.get(key)}
        return operations.shape(service, kind, _title(source, told), told)

    def _source(self, kind: int, attributes: Mapping[str, Any]) -> Source | None:
        """The metric of requests that counts a span; None where span metrics do, or nothing does."""
        for source in self.sources:
            if source.kind == kind and attributes.get(source.dimensions[0]):
                return source
        return None


def _title(source: Source, attributes: Mapping[str, Any]) -> str:
    """What stands for a span's name in metrics of requests, which have none."""
    return " ".join(str(attributes[name]) for name in source.title if attributes.get(name)) or "unknown"
