"""Spans, from OTLP's bytes to rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.hub.receive import operations, wire
from perfagent.hub.receive.attributes import dumps, text
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import LARGEST, TOO_LARGE
from perfagent.hub.store.rows import SpanRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.attributes import Attribute
    from perfagent.hub.receive.known import Scope
    from perfagent.hub.receive.limits import Limits, Receipt
    from perfagent.hub.receive.operations import Shape
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Batch, Resource

CHUNK = 100
"""Spans that are read at once, 1 ms; then whoever decodes may let others run."""
OPERATIONS = 5_000
"""Operations of one service; what comes beyond shares one of its category, for a name with an id in it never ends."""
NO_TRACE, NO_SPAN = bytes(16), bytes(8)
LONGEST = (1 << 63) - 1


def decode(body: bytes, size: int = 0, limits: Limits | None = None, known: Known | None = None) -> Batch:
    """The batch of an `ExportTraceServiceRequest`.

    Args:
        body: the message as protobuf.
        size: bytes of the request, unpacked; the body's where 0.
        limits: what one item may hold, where `known` is left out.
        known: what was learnt of earlier requests.

    Raises:
        google.protobuf.message.DecodeError: where the body is no such message.
    """
    known = known or Known(limits)
    receipt = known.receipt("spans", size or len(body))
    for _ in steps(wire.parts(body), known, receipt):
        pass
    return receipt.close()


def steps(parts: Iterable[Part], known: Known, receipt: Receipt) -> Iterator[None]:
    """Fills the receipt's batch and pauses after every 100 spans; raises DecodeError."""
    for resource, scope, items in known.parts(parts, receipt):
        allowed = receipt.allow(resource.instance, len(items))
        for start in range(0, allowed, CHUNK):
            _read(items[start : min(start + CHUNK, allowed)], resource, scope, known, receipt)
            receipt.cut += known.attributes.cut()
            yield


def _read(raws: Sequence[bytes], resource: Resource, scope: Scope, known: Known, receipt: Receipt) -> None:
    """One loop with everything in local names: a call for each step of a span would cost 1 us of 10."""
    append, met = receipt.batch.spans.append, receipt.batch.operations
    remembered, shapes, service, at = known.attributes, known.shapes, resource.service, resource.id
    make = tuple.__new__  # SpanRow() is a Python function that does the same: 0.5 us
    parse, limit, earliest, latest = wire.Span.FromString, known.limits.count, receipt.earliest, receipt.latest
    for raw in raws:
        if len(raw) > LARGEST:
            receipt.refuse(TOO_LARGE)
            continue
        span = parse(raw)
        trace_id, span_id, parent_id, started, ended = (
            span.trace_id, span.span_id, span.parent_span_id, span.start, span.end,
        )  # fmt: skip
        if (
            len(trace_id) != 16 or len(span_id) != 8 or trace_id == NO_TRACE or span_id == NO_SPAN
            or not earliest <= started <= latest or not 0 < ended <= latest or len(parent_id) not in (0, 8)
        ):  # fmt: skip
            _refuse(span, receipt)
            continue
        attributes, dropped, state = span.attributes, span.dropped_attributes_count, span.trace_state
        if len(attributes) > limit:
            receipt.cut += len(attributes) - limit
            dropped += len(attributes) - limit
            attributes = attributes[:limit]
        found = [remembered[attribute] for attribute in attributes]
        name, kind = span.name, span.kind
        key = (service, kind, name, *[attribute[0] for attribute in found if attribute[0]])
        shape = shapes.get(key) or _learn(key, service, kind, name, found, known)
        if shape.remote:
            shape = _remote(key, shape, service, kind, found, known)
        operation = shape.operation
        met[operation.id] = operation
        members = {attribute[1]: attribute[2] for attribute in found}  # of two with one key the last counts
        if state or dropped:
            members[""] = _unusual(state, dropped)
        status, message = _status(span.status, receipt) if span.status else (0, None)
        parent = None if not parent_id or parent_id == NO_SPAN else parent_id
        append(
            make(
                SpanRow,
                (
                    trace_id,
                    span_id,
                    parent,
                    at,
                    operation.id,
                    shape.name,
                    kind if 0 <= kind <= 5 else 0,
                    started,
                    min(ended - started, LONGEST) if ended > started else 0,
                    status,
                    message,
                    shape.status_code,
                    parent is None or kind == 2 or kind == 5,
                    _rows(found) if shape.queries else -1,
                    shape.caller,
                    known.weight(state) if state else 1.0,
                    _object(members, scope),
                    _events(span.events, span.dropped_events_count, known, receipt) if span.events else None,
                    _links(span.links, span.dropped_links_count, known, receipt) if span.links else None,
                ),
            )
        )


def _refuse(span: Any, receipt: Receipt) -> None:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        receipt.refuse("without a trace id (16 bytes, not all zero)")
    elif len(span.span_id) != 8 or not any(span.span_id):
        receipt.refuse("without a span id (8 bytes, not all zero)")
    elif len(span.parent_span_id) not in (0, 8):
        receipt.refuse("with a parent's id of other than 8 bytes")
    elif not receipt.misses(span.start):
        receipt.refuse("that ends more than a day in the future" if span.end else "without an end")


def _unusual(state: bytes, dropped: int) -> str:
    """What few spans have, under the names that OpenTelemetry gives them in other formats."""
    told: dict[str, Any] = {}
    if state:
        told["w3c.tracestate"] = state.decode("utf-8", "replace")
    if dropped:
        told["otel.dropped_attributes_count"] = dropped
    return dumps(told)[1:-1]


def _object(members: dict[str, str], scope: Scope) -> str:
    if not scope.suffix:
        return "{" + ",".join(members.values()) + "}"
    return f"{{{','.join(members.values())},{scope.suffix}}}" if members else f"{{{scope.suffix}}}"


def _learn(key: tuple[Any, ...], service: str, kind: int, name: bytes, found: list[Attribute], known: Known) -> Shape:
    attributes = {attribute.key: attribute.value for attribute in found if attribute.token}
    shape = _admitted(operations.shape(service, kind, name.decode("utf-8", "replace"), attributes), known)
    known.shapes.learn(key, shape, len(name) + len(shape.operation.text))
    return shape


def _remote(key: tuple[Any, ...], shape: Shape, service: str, kind: int, found: list[Attribute], known: Known) -> Shape:
    """The shape of a span that tells the host which it calls by its URL alone."""
    attributes = {attribute.key: attribute.value for attribute in found}
    if not (host := operations.host(attributes)):
        return shape
    known_as = (*key, host)
    better = known.shapes.get(known_as)
    if better is None:
        better = _admitted(operations.shape(service, kind, shape.name, attributes, host), known)
        known.shapes.learn(known_as, better, len(key[2]) + len(host))
    return better


def _admitted(shape: Shape, known: Known) -> Shape:
    made = shape.operation
    if known.admits(made.service, made.id, OPERATIONS):
        return shape
    return shape._replace(operation=operations.operation(made.service, made.category, "(other)", made.system))


def _status(raw: bytes, receipt: Receipt) -> tuple[int, str | None]:
    status = wire.Status.FromString(raw)
    message, cut = text(status.message, receipt.limits.value)
    receipt.cut += cut
    return status.code if 0 <= status.code <= 2 else 0, message or None


def _rows(found: list[Attribute]) -> int:
    for attribute in found:
        if attribute[1] == "db.response.returned_rows":
            return attribute[3] if isinstance(attribute[3], int) and attribute[3] >= 0 else -1
    return -1


def _events(raws: Sequence[bytes], dropped: int, known: Known, receipt: Receipt) -> str:
    limit = receipt.limits.events
    parts = []
    for raw in raws[:limit]:
        event = wire.Event.FromString(raw)
        name, cut = text(event.name, receipt.limits.key)
        receipt.cut += cut
        members = known.attributes.object(event.attributes, receipt, event.dropped_attributes_count)
        parts.append(f'{{"time":{event.time},"name":{dumps(name)},"attributes":{members}}}')
    return _listed(parts, len(raws), dropped, receipt)


def _links(raws: Sequence[bytes], dropped: int, known: Known, receipt: Receipt) -> str:
    limit = receipt.limits.events
    parts = []
    for raw in raws[:limit]:
        link = wire.Link.FromString(raw)
        members = known.attributes.object(link.attributes, receipt, link.dropped_attributes_count)
        ids = f'"trace_id":"{link.trace_id.hex()}","span_id":"{link.span_id.hex()}"'
        parts.append(f'{{{ids},"attributes":{members}}}')
    return _listed(parts, len(raws), dropped, receipt)


def _listed(parts: list[str], sent: int, dropped: int, receipt: Receipt) -> str:
    """A JSON list; how many the sender or a limit left out is its last member's `dropped`."""
    receipt.cut += sent - len(parts)
    if left := dropped + sent - len(parts):
        parts.append(f'{{"time":0,"name":"otel.dropped","attributes":{{"count":{left}}}}}')
    return "[" + ",".join(parts) + "]"
