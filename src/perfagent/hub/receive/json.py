"""OTLP in JSON: ids in hexadecimal, enumerations as numbers or names, 64-bit integers as texts; the rest is ignored.

Rules: OpenTelemetry protocol, "JSON Protobuf Encoding". The messages are made by their descriptors and not by
`google.protobuf.json_format`, which reads ids as base64, takes five times as long, and cannot pause.
"""

from __future__ import annotations

import base64
import binascii
import gc
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from perfagent.hub.receive.limits import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import EnumDescriptor

    from perfagent.hub.receive.wire import Part

    Reader = Callable[[Any], Any]

Names = tuple[str, str]  # in JSON, and the message's own
ITEMS: dict[str, tuple[Names, Names, Names, type[Message]]] = {
    "traces": (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("spans", "spans"), Span),
    "metrics": (
        ("resourceMetrics", "resource_metrics"), ("scopeMetrics", "scope_metrics"), ("metrics", "metrics"), Metric,
    ),
    "logs": (("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs"), ("logRecords", "log_records"), LogRecord),
}  # fmt: skip
CHUNK = 25
"""Items that are read at once: 2 ms, for a span in JSON costs 65 us."""
HEX = frozenset({"trace_id", "span_id", "parent_span_id"})
WHOLE = {
    FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SFIXED32, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SINT32,
}  # fmt: skip
_tables: dict[str, dict[str, tuple[str, bool, Reader]]] = {}


def parts(signal: str, body: bytes) -> Iterator[Part]:
    """The parts of an OTLP request in JSON, with at most 25 items each.

    Args:
        signal: traces, metrics or logs.
        body: UTF-8.

    Raises:
        Malformed: where it is no JSON, or not of the protocol's form; fields that the protocol does not have are none.
    """
    document = _loaded(body)
    try:
        yield from _parts(ITEMS[signal], document)
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None


def profile_parts(body: bytes) -> tuple[bytes, list[Part]]:
    """The dictionary and the parts of a request of profiles in JSON; raises as `parts`."""
    try:
        from opentelemetry.proto.profiles.v1development import profiles_pb2
    except ImportError:
        raise Malformed("profiles in JSON need a newer opentelemetry-proto beside the hub; send protobuf") from None
    names = (
        ("resourceProfiles", "resource_profiles"),
        ("scopeProfiles", "scope_profiles"),
        ("profiles", "profiles"),
        profiles_pb2.Profile,
    )
    document = _loaded(body)
    try:
        found = list(_parts(names, document))
        dictionary = document.get("dictionary")
        return _encoded(profiles_pb2.ProfilesDictionary, dictionary, "dictionary"), found
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None


def _loaded(body: bytes) -> Any:
    """The document. It cannot be read in turns: 16 MiB take 0.15 s, and 0.6 were garbage collected meanwhile."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is no JSON: {error}") from None
    finally:
        if collecting:
            gc.enable()


def _parts(names: tuple[Any, ...], document: Any) -> Iterator[Part]:
    by_resource, by_scope, by_item, kind = names
    for part, place in _listed(document, by_resource, ""):
        resource = _encoded(Resource, part.get("resource"), f"{place}.resource")
        for scoped, within in _listed(part, by_scope, f"{place}."):
            scope = _encoded(InstrumentationScope, scoped.get("scope"), f"{within}.scope")
            items: list[bytes] = []
            for item, at in _listed(scoped, by_item, f"{within}."):
                items.append(_encoded(kind, item, at))
                if len(items) == CHUNK:
                    yield resource, scope, items
                    items = []
            if items:
                yield resource, scope, items


def _listed(holder: Any, names: tuple[str, str], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    if not isinstance(holder, dict):
        raise Malformed(f"{place.rstrip('.') or 'the body'}: an object is needed, not {_shown(holder)}")
    name = names[0] if names[0] in holder else names[1]
    items = holder.get(name)
    if items is None:
        return
    if not isinstance(items, list):
        raise Malformed(f"{place}{name}: a list is needed, not {_shown(items)}")
    for index, item in enumerate(items):
        at = f"{place}{name}[{index}]"
        if not isinstance(item, dict):
            raise Malformed(f"{at}: an object is needed, not {_shown(item)}")
        yield item, at


def _encoded(kind: type[Message], value: Any, place: str) -> bytes:
    if value is None:
        return b""
    try:
        return _message(kind, value).SerializeToString()
    except Malformed as error:
        raise _within(place, error) from None
    except (ValueError, TypeError) as error:  # protobuf's own limits
        raise Malformed(f"{place}: {error}") from None


def _message(kind: type[Message], value: Any) -> Message:
    if not isinstance(value, dict):
        raise Malformed(f": an object is needed, not {_shown(value)}")
    table = _tables.get(kind.DESCRIPTOR.full_name) or _table(kind.DESCRIPTOR)
    fields: dict[str, Any] = {}
    for key, content in value.items():
        known = table.get(key)
        if known is None or content is None:
            continue
        name, repeated, read = known
        try:
            if not repeated:
                fields[name] = read(content)
            elif isinstance(content, list):
                fields[name] = [read(item) for item in content]
            else:
                raise Malformed(f": a list is needed, not {_shown(content)}")
        except Malformed as error:
            raise _within(key, error) from None
    return kind(**fields)


def _table(descriptor: Any) -> dict[str, tuple[str, bool, Reader]]:
    """What reads each field, by both of its names: lowerCamelCase and the message's own."""
    table: dict[str, tuple[str, bool, Reader]] = {}
    for field in descriptor.fields:
        entry = (field.name, field.is_repeated, _reader(field))
        table[field.json_name] = table[field.name] = entry
    _tables[descriptor.full_name] = table
    return table


def _reader(field: Any) -> Reader:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        kind = field.message_type._concrete_class
        return lambda value: _message(kind, value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        enumeration = field.enum_type
        return lambda value: _enumerated(enumeration, value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _hexadecimal if field.name in HEX else _base64
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _flag
    return _whole if field.type in WHOLE else _number


def _hexadecimal(value: Any) -> bytes:
    try:
        return bytes.fromhex(value)
    except (ValueError, TypeError):
        raise Malformed(f": {_shown(value)} is not hexadecimal") from None


def _base64(value: Any) -> bytes:
    try:
        text = value.translate(_URL_SAFE)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise Malformed(f": {_shown(value)} is not base64") from None


_URL_SAFE = str.maketrans("-_", "+/")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Malformed(f": a text is needed, not {_shown(value)}")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Malformed(f": true or false is needed, not {_shown(value)}")


def _whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (int, str)) and not isinstance(value, bool) and len(str(value)) <= 24:
        try:
            return int(value)
        except ValueError:
            pass
    raise Malformed(f": a whole number is needed, not {_shown(value)}")


def _number(value: Any) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise Malformed(f": a number is needed, not {_shown(value)}")


def _enumerated(enumeration: EnumDescriptor, value: Any) -> int:
    if isinstance(value, str):
        member = enumeration.values_by_name.get(value)
        if member is None:
            raise Malformed(f": {_shown(value)} is none of {', '.join(enumeration.values_by_name)}")
        return member.number
    return _whole(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _within(place: str, error: Malformed) -> Malformed:
    """The same error, seen from one level further out."""
    text = str(error)
    return Malformed(f"{place}{text if text.startswith(':') else '.' + text}")
