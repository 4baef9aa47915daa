"""Log records as OTLP: opentelemetry/proto/logs/v1/logs.proto."""

from __future__ import annotations

from perfagent.runtime import guard, outbox
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.runtime.log import LogRecord
    from perfagent.runtime.span import Scope


def encode(resource: bytes, records: Iterable[LogRecord]) -> tuple[bytes, int]:
    """An ExportLogsServiceRequest, and the number of records in it.

    Args:
        resource: the encoded Resource.
        records: one that cannot be encoded is dropped and counted.
    """
    by_scope: dict[Scope, list[bytes]] = {}
    count = 0
    for record in records:
        try:
            encoded = wire.message(2, _record(record))
            by_scope.setdefault(record.scope, []).append(encoded)
            count += 1
        except Exception:
            outbox.drop("log", "encode_error", 1)
            guard.failed("encoder")
    parts = [wire.message(1, resource)]
    for scope, of_scope in by_scope.items():
        schema = wire.text(3, scope.schema_url) if scope.schema_url else b""
        parts.append(wire.message(2, b"".join((wire.message(1, scope.encoded), *of_scope, schema))))
    return wire.message(1, b"".join(parts)), count


def _record(record: LogRecord) -> bytes:
    from perfagent.runtime import scrub

    parts = [
        wire.fixed64(1, record.time) if record.time else b"",
        wire.integer(2, record.severity) if record.severity else b"",
        wire.text(3, record.level) if record.level else b"",
        wire.message(5, wire.any_value(scrub.values(record.body))),
        wire.attributes(6, scrub.values(record.attributes)),
        wire.integer(7, record.lost) if record.lost else b"",
        wire.fixed32(8, record.flags) if record.flags else b"",
    ]
    if record.span_id:
        parts += (wire.message(9, record.trace_id), wire.message(10, record.span_id))
    parts.append(wire.fixed64(11, record.observed))
    if record.event_name:
        parts.append(wire.text(12, record.event_name))
    return b"".join(parts)
