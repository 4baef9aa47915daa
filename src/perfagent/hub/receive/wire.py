"""OTLP's messages as the hub reads them: those parts that repeat from item to item stay bytes.

The same field numbers as opentelemetry-proto 1.x, so the same bytes are read; only the declared types differ. A span's
attribute is then one `bytes` that a dictionary knows already (`attributes.py`), and not three objects of which each
is made anew: a span with 10 attributes takes 2.9 us to take apart and not 11.6. Texts are bytes too, for a sender's
invalid UTF-8 is a reason to replace a character and none to refuse a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from perfagent.hub.receive.limits import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGE = 4_194_304
"""Bytes of a body from which its items are counted before it is parsed."""
MOST = 400_000
"""Items of a request; those that a rate of 100,000 a second lets in come in far smaller ones."""

Part = tuple[bytes, bytes, "Sequence[bytes]"]
"""A resource, a scope, and the items that these two made: spans, log records or metrics."""

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "double": _Field.TYPE_DOUBLE,
    "fixed64": _Field.TYPE_FIXED64,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "sfixed64": _Field.TYPE_SFIXED64,
    "sint32": _Field.TYPE_SINT32,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}

# Each line: message: number name type; `*` repeated, `?` with presence, `|` one of several. A message that may come
# once is repeated bytes: joined, its pieces are the merged message, as protobuf has it.
_SCHEMA = """
Request: 1 resources *Resources
Resources: 1 resource *bytes, 2 scopes *Scopes
Scopes: 1 scope *bytes, 2 items *bytes
Resource: 1 attributes *bytes, 2 dropped_attributes_count uint32
Scope: 1 name bytes, 2 version bytes, 3 attributes *bytes
KeyValue: 1 key bytes, 2 value ?AnyValue
LongKeyValue: 1 key bytes, 2 value *bytes
LongText: 1 string_value |bytes
AnyValue: 1 string_value |bytes, 2 bool_value |bool, 3 int_value |int64, 4 double_value |double, 5 array_value |ArrayValue, 6 kvlist_value |KeyValueList, 7 bytes_value |bytes
ArrayValue: 1 values *AnyValue
KeyValueList: 1 values *KeyValue
Span: 1 trace_id bytes, 2 span_id bytes, 3 trace_state bytes, 4 parent_span_id bytes, 5 name bytes, 6 kind int32, 7 start fixed64, 8 end fixed64, 9 attributes *bytes, 10 dropped_attributes_count uint32, 11 events *bytes, 12 dropped_events_count uint32, 13 links *bytes, 14 dropped_links_count uint32, 15 status bytes
Status: 2 message bytes, 3 code int32
Event: 1 time fixed64, 2 name bytes, 3 attributes *bytes, 4 dropped_attributes_count uint32
Link: 1 trace_id bytes, 2 span_id bytes, 3 trace_state bytes, 4 attributes *bytes, 5 dropped_attributes_count uint32
LogRecord: 1 time fixed64, 2 severity_number int32, 3 severity_text bytes, 5 body *bytes, 6 attributes *bytes, 7 dropped_attributes_count uint32, 9 trace_id bytes, 10 span_id bytes, 11 observed_time fixed64, 12 event_name bytes
Metric: 1 name bytes, 2 description bytes, 3 unit bytes, 5 gauge |Gauge, 7 sum |Sum, 9 histogram |Histogram, 10 exponential |Exponential, 11 summary |Summary
Gauge: 1 points *bytes
Sum: 1 points *bytes, 2 temporality int32, 3 monotonic bool
Histogram: 1 points *bytes, 2 temporality int32
Exponential: 1 points *bytes, 2 temporality int32
Summary: 1 points *bytes
NumberPoint: 2 start fixed64, 3 time fixed64, 4 as_double |double, 5 exemplars *bytes, 6 as_int |sfixed64, 7 attributes *bytes, 8 flags uint32
HistogramPoint: 2 start fixed64, 3 time fixed64, 4 count fixed64, 5 sum ?double, 6 bucket_counts *fixed64, 7 explicit_bounds *double, 8 exemplars *bytes, 9 attributes *bytes, 10 flags uint32, 11 min ?double, 12 max ?double
ExponentialPoint: 1 attributes *bytes, 2 start fixed64, 3 time fixed64, 4 count fixed64, 5 sum ?double, 6 scale sint32, 7 zero_count fixed64, 8 positive ?Buckets, 9 negative ?Buckets, 10 flags uint32, 11 exemplars *bytes, 12 min ?double, 13 max ?double, 14 zero_threshold double
Buckets: 1 offset sint32, 2 bucket_counts *uint64
SummaryPoint: 2 start fixed64, 3 time fixed64, 4 count fixed64, 5 sum double, 6 quantiles *Quantile, 7 attributes *bytes, 8 flags uint32
Quantile: 1 quantile double, 2 value double
Profiles: 1 resources *Resources, 2 dictionary *bytes
Dictionary: 2 locations *Location, 3 functions *Function, 4 links *Link, 5 strings *bytes, 6 attributes *KeyValueAndUnit, 7 stacks *Stack
Location: 3 lines *Line
Line: 1 function int32, 2 line int64
Function: 1 name int32, 2 system_name int32, 3 file int32, 4 start_line int64
KeyValueAndUnit: 1 key int32, 2 value *bytes
Stack: 1 locations *int32
Profile: 1 sample_type ?ValueType, 2 samples *Sample, 3 time fixed64, 4 duration uint64, 5 period_type ?ValueType, 6 period int64, 11 attributes *int32
ValueType: 1 type int32, 2 unit int32
Sample: 1 stack int32, 2 attributes *int32, 3 link int32, 4 values *int64, 5 times *fixed64
Response: 1 partial_success ?Partial
Partial: 1 rejected int64, 2 error_message bytes
Failure: 1 code int32, 2 message bytes, 3 details *Detail
Detail: 1 type_url bytes, 2 value bytes
RetryInfo: 1 retry_delay ?Duration
Duration: 1 seconds int64, 2 nanos int32
Exemplar: 2 time fixed64, 3 as_double |double, 4 span_id bytes, 5 trace_id bytes, 6 as_int |sfixed64, 7 attributes *bytes
"""  # noqa: E501


def _field(message: descriptor_pb2.DescriptorProto, number: str, name: str, kind: str) -> None:
    mark, kind = (kind[0], kind[1:]) if kind[0] in "*?|" else ("", kind)
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if mark == "*" else _Field.LABEL_OPTIONAL
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".perfagent.{kind}"
    if mark == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0
    elif mark == "?" and kind in _TYPES:
        field.proto3_optional = True


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="perfagent/otlp.proto", package="perfagent", syntax="proto3")
    for line in _SCHEMA.strip().splitlines():
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _field(message, *field.split(" "))
        # A synthetic `oneof` for each field with presence; protobuf wants them after the real ones.
        for optional in [made for made in message.field if made.proto3_optional]:
            message.oneof_decl.add(name=f"_{optional.name}")
            optional.oneof_index = len(message.oneof_decl) - 1
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"perfagent.{name}") for name in [m.name for m in file.message_type]}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


_made = _classes()
Request, Resources, Scopes, Resource, Scope = (
    _made[n] for n in ("Request", "Resources", "Scopes", "Resource", "Scope")
)
KeyValue, AnyValue = _made["KeyValue"], _made["AnyValue"]
LongKeyValue, LongText = _made["LongKeyValue"], _made["LongText"]
Span, Status, Event, Link = (_made[name] for name in ("Span", "Status", "Event", "Link"))
LogRecord, Metric = _made["LogRecord"], _made["Metric"]
NumberPoint, HistogramPoint = _made["NumberPoint"], _made["HistogramPoint"]
ExponentialPoint, SummaryPoint, Exemplar = (_made[n] for n in ("ExponentialPoint", "SummaryPoint", "Exemplar"))
Profiles, Dictionary, Profile = (_made[name] for name in ("Profiles", "Dictionary", "Profile"))
Response, Partial = _made["Response"], _made["Partial"]
Failure, Detail, RetryInfo = _made["Failure"], _made["Detail"], _made["RetryInfo"]  # google.rpc.Status and its parts


def parts(body: bytes) -> Iterator[Part]:
    """The parts of an OTLP request of any signal; raises DecodeError, or Malformed where it has too many items.

    One call takes the whole body apart down to its items, 1 ms a MiB; what they hold is read later, in turns.
    """
    if len(body) > LARGE and _count(body, 0, len(body)) > MOST:
        raise Malformed(f"the request has more than {MOST} items, or is no OTLP message; send smaller batches")
    for resources in Request.FromString(body).resources:
        resource = b"".join(resources.resource)
        for scopes in resources.scopes:
            if items := scopes.items:
                yield resource, b"".join(scopes.scope), items


def profile_parts(body: bytes) -> tuple[bytes, list[Part]]:
    """The dictionary of a request of profiles, and its parts, whose items are profiles; raises as `parts`."""
    request = Profiles.FromString(body)
    found = [
        (b"".join(resources.resource), b"".join(scopes.scope), scopes.items)
        for resources in request.resources
        for scopes in resources.scopes
        if scopes.items
    ]
    return b"".join(request.dictionary), found


def fields(body: bytes, most: int) -> int:
    """How many fields a message has, up to `most` + 1; 0.3 us each, for messages that must not be parsed to know it."""
    found, begin, end = 0, 0, len(body)
    while begin < end and found <= most:
        found += 1
        kind, number, shift = body[begin] & 7, 0, 0
        while begin < end and body[begin] >= 0x80:
            begin += 1
        begin += 1
        while begin < end and kind in (0, 2):
            byte = body[begin]
            begin, number, shift = begin + 1, number | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80 or shift > 63:
                break
        begin += {1: 8, 2: number, 5: 4}.get(kind, 0)
    return found


def _count(body: bytes, begin: int, end: int, depth: int = 0) -> int:
    """How many fields the body has down to its items; more than MOST where it is counted no further, or is odd.

    An item of two bytes takes 35 in memory once it is parsed: 64 MiB of them, which are 255 KiB with gzip, took 1.1 GB
    and 1.5 s. This takes 0.3 us an item.
    """
    inner, found = (0x0A, 0x12, -1)[depth], 0
    while begin < end and found <= MOST:
        found += 1
        tag, size, shift = body[begin], 0, 0
        begin += 1
        if tag >= 0x80 or tag & 7 not in (0, 2):
            return MOST + 1  # no field of these three messages
        while begin < end:
            byte = body[begin]
            begin, size, shift = begin + 1, size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80 or shift > 63:
                break
        if tag & 7 == 2:
            if tag == inner:
                found += _count(body, begin, min(begin + size, end), depth + 1)
            begin += size
    return found
