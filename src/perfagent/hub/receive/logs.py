"""Log records, from OTLP's bytes to rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.receive import wire
from perfagent.hub.receive.attributes import dumps, limited, long, plain, text
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import LARGEST, TOO_LARGE
from perfagent.hub.store.rows import LogRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.attributes import Attribute
    from perfagent.hub.receive.known import Scope
    from perfagent.hub.receive.limits import Limits, Receipt
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Batch, Resource

CHUNK = 100
"""Records that are read at once, under 1 ms."""


def decode(body: bytes, size: int = 0, limits: Limits | None = None, known: Known | None = None) -> Batch:
    """The batch of an `ExportLogsServiceRequest`; arguments and errors as in `traces.decode`."""
    known = known or Known(limits)
    receipt = known.receipt("log records", size or len(body))
    for _ in steps(wire.parts(body), known, receipt):
        pass
    return receipt.close()


def steps(parts: Iterable[Part], known: Known, receipt: Receipt) -> Iterator[None]:
    """Fills the receipt's batch and pauses after every 100 records; raises DecodeError."""
    for resource, scope, items in known.parts(parts, receipt):
        allowed = receipt.allow(resource.instance, len(items))
        for start in range(0, allowed, CHUNK):
            _read(items[start : min(start + CHUNK, allowed)], resource, scope, known, receipt)
            receipt.cut += known.attributes.cut()
            yield


def _read(raws: Sequence[bytes], resource: Resource, scope: Scope, known: Known, receipt: Receipt) -> None:
    for raw in raws:
        if len(raw) > LARGEST:
            receipt.refuse(TOO_LARGE)
            continue
        record = wire.LogRecord.FromString(raw)
        time = record.time or record.observed_time or receipt.now  # the moment it was observed is now, if nobody says
        if receipt.misses(time):
            continue
        attributes, left = known.attributes.read(record.attributes, receipt)
        event, body, severity = _text(record.event_name, receipt) or _event(attributes), "", record.severity_number
        if record.body:
            body = _body(b"".join(record.body), receipt)
        trace_id, span_id = record.trace_id, record.span_id
        receipt.batch.logs.append(
            LogRow(
                time,
                resource.id,
                scope.name,
                severity if 0 <= severity <= 24 else 0,
                _text(record.severity_text, receipt),
                event or None,
                body,
                known.attributes.joined(attributes, record.dropped_attributes_count + left, scope.suffix_of_log),
                # "If the field is invalid … assume that it is not associated with a trace" (opentelemetry-proto)
                trace_id if len(trace_id) == 16 and any(trace_id) else None,
                span_id if len(span_id) == 8 and any(span_id) else None,
            )
        )


def _text(raw: bytes, receipt: Receipt) -> str:
    if not raw:
        return ""
    decoded, cut = text(raw, receipt.limits.key)
    receipt.cut += cut
    return decoded


def _event(attributes: list[Attribute]) -> str:
    """The event's name as it was told before records had a field for it."""
    for attribute in attributes:
        if attribute[1] == "event.name":
            return str(attribute[3])
    return ""


def _body(raw: bytes, receipt: Receipt) -> str:
    """A text as it is, all else as JSON."""
    if len(raw) > 4 * receipt.limits.value:
        receipt.cut += 1
        return long(raw, receipt.limits.value)
    content = plain(wire.AnyValue.FromString(raw))
    if content is None:
        return ""
    shown, cut = limited(content if isinstance(content, str) else dumps(content), receipt.limits.value)
    receipt.cut += cut
    return str(shown)
