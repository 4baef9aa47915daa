"""Spans from Jaeger's answers to rows: decoded as those that arrive, and named as the metrics name their operations."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from perfagent.hub.receive import json as reader
from perfagent.hub.receive import traces
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import HOUR, Limits, Malformed
from perfagent.hub.remote.dialects import ATTRIBUTES
from perfagent.hub.store.rows import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.receive.operations import Shape
    from perfagent.hub.remote.dialects import Dialect
    from perfagent.hub.remote.processes import Processes
    from perfagent.hub.store.rows import SpanRow

YEARS = 20 * 366 * 24 * HOUR  # ns; an old trace is asked for because somebody has its id
ENDLESS = 1_000_000_000  # items a second: what was asked for is not refused
TEXTS = 3  # statements that are remembered of an operation
LONGEST = 2_000  # characters of what is shown of them
SHAPES = 20_000


class Decoded(NamedTuple):
    """What an answer holds.

    Args:
        batch: spans with their processes and operations.
        texts: what the database operations among them say.
        names: for each operation, its service and the name of a span.
    """

    batch: Batch
    texts: dict[int, str]
    names: dict[int, tuple[str, str]]


class Spans:
    """The decoder, with what it remembers from answer to answer.

    Args:
        processes: who sends.
    """

    def __init__(self, processes: Processes) -> None:
        self._known = Known(Limits(rate=ENDLESS, retention=YEARS))
        self._processes = processes
        self._shapes: dict[tuple[Any, ...], Shape] = {}
        self._texts: dict[int, dict[str, None]] = {}
        self._lock = threading.Lock()
        self._dialect: Dialect | None = None

    def decode(self, documents: Iterable[dict[str, Any]], dialect: Dialect) -> Decoded:
        """The rows of an answer; what is malformed in it is left out.

        Args:
            documents: of OTLP.
            dialect: what the metrics know of operations.
        """
        with self._lock:  # the receiver's memory is for one thread
            if dialect is not self._dialect:
                self._dialect = dialect
                self._shapes.clear()
            receipt = self._known.receipt("spans", 0)
            for document in documents:
                try:
                    for _ in traces.steps(reader.parts("traces", orjson.dumps(document)), self._known, receipt):
                        pass
                except Malformed:
                    receipt.refuse("of a document that is no OTLP")
            return self._named(receipt.close(), dialect)

    def _named(self, batch: Batch, dialect: Dialect) -> Decoded:
        """The batch with the processes and operations that the metrics tell of."""
        known = {
            number: self._processes.of_spans(orjson.loads(resource.attributes))
            for number, resource in batch.resources.items()
        }
        found = Batch(rejected=batch.rejected, reason=batch.reason)
        found.resources = {resource.id: resource for resource in known.values()}
        names: dict[int, tuple[str, str]] = {}
        texts: dict[int, str] = {}
        for span in batch.spans:
            resource = known[span.resource]
            made = batch.operations[span.operation]
            shape = self._shape(span, resource.service, dialect)
            operation = shape.operation
            found.operations[operation.id] = operation
            names[operation.id] = (resource.service, span.name)
            found.spans.append(span._replace(resource=resource.id, operation=operation.id))
            if made.text:
                texts[operation.id] = self._text(operation.id, made.text)
        return Decoded(found, texts, names)

    def _shape(self, span: SpanRow, service: str, dialect: Dialect) -> Shape:
        attributes = orjson.loads(span.attributes)
        key = (service, span.kind, span.name, *[str(attributes.get(name, "")) for name in ATTRIBUTES])
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = dialect.of_span(service, span.kind, span.name, attributes)
        return shape

    def _text(self, operation: int, text: str) -> str:
        """The statements of an operation: metrics know it by its summary, which several may share."""
        known = self._texts.setdefault(operation, {})
        if text not in known and len(known) < TEXTS:
            known[text] = None
        first, *others = known
        if not others:
            return first[:LONGEST]
        more = "another statement" if len(others) == 1 else f"{len(others)} other statements or more"
        return f"{first[:LONGEST]} -- and {more} of this summary"
