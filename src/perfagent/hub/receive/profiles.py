"""Samples of stacks, from OTLP's bytes to rows.

Rules: opentelemetry-proto, profiles/v1development: samples refer by index to tables that the whole request shares. Only
what samples refer to is read, an index beyond its table refuses the sample alone, and what a request may unfold to is
bounded: a stack of one byte a call becomes 20 bytes a call in the database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.receive import wire
from perfagent.hub.receive.attributes import plain, text
from perfagent.hub.receive.known import Known
from perfagent.hub.receive.limits import Malformed
from perfagent.hub.store.profiles import frame_of, node_of, stack_of
from perfagent.hub.store.rows import Context, Path, SampleRow, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.limits import Limits, Receipt
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Batch, Frame, Resource, StackNode

CHUNK = 100
"""Samples that are read at once: 0.3 ms where their stacks are known, 10 where each is new and 50 calls deep."""
LARGEST = 8_388_608
"""Bytes of a dictionary, and of a profile; those of a program with 5,000 stacks in 10 s have 0.5 MB."""
COUNTED = 262_144
"""Bytes from which the entries of both are counted before they are parsed."""
DEEPEST = 512
"""Calls of a stack: of a deeper one, as many as half of that of each end are kept."""
CALLS = 2_000_000
"""Calls of all stacks of a request."""
INLINED = 16
"""Lines of one location."""
TIMES, ALL_TIMES = 2_000, 200_000
"""Moments that are kept of a sample, and of a request's samples."""
CONTEXTS = 5_000
"""Contexts of one service; what comes beyond shares one of its kind, for a task's name with an id in it never ends."""
OTHER = "(other)"
NUMBERED = re.compile(r"^(Thread|Dummy)-\d+")
"""Names that Python gives: a server with a thread a request would have a context a request."""
NAME = 255
MOST_VALUE = 10**15  # 11 days in ns
MOST_LINE = 2**31 - 1
SKIPPED = "(calls left out)"
UNKNOWN = "(no stack)"
KINDS = {"alloc_space": "alloc", "on_cpu": "cpu", "off_cpu": "wall"}
UNITS = {"ns": 1, "nanoseconds": 1, "microseconds": 1_000, "milliseconds": 1_000_000, "seconds": 1_000_000_000}
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
LABELS = {
    "perfagent.endpoint": "endpoint",
    "http.route": "endpoint",
    "thread.name": "thread",
    "perfagent.task": "task",
    "perfagent.state": "state",
}


class Type(NamedTuple):
    """What the values of a profile are."""

    kind: str
    unit: str
    scale: int  # of a value as it was sent


def decode(body: bytes, size: int = 0, limits: Limits | None = None, known: Known | None = None) -> Batch:
    """The batch of an `ExportProfilesServiceRequest`; arguments and errors as in `traces.decode`."""
    known = known or Known(limits)
    receipt = known.receipt("samples", size or len(body))
    for _ in steps(wire.profile_parts(body), known, receipt):
        pass
    return receipt.close()


def steps(request: tuple[bytes, Iterable[Part]], known: Known, receipt: Receipt) -> Iterator[None]:
    """Fills the receipt's batch and pauses after every 100 samples; raises DecodeError, or Malformed."""
    raw, parts = request
    _check(raw, "the dictionary of the profiles")
    tables = Tables(raw, known, receipt)
    for resource, _scope, items in known.parts(parts, receipt):
        for item in items:
            _check(item, "a profile")
            profile = wire.Profile.FromString(item)
            allowed = receipt.allow(resource.instance, len(profile.samples))
            type_ = _type(profile, tables, receipt, allowed)
            if type_ is None or not allowed:
                continue
            for start in range(0, allowed, CHUNK):
                chunk = profile.samples[start : min(start + CHUNK, allowed)]
                _read(chunk, profile, type_, resource, tables, known, receipt)
                yield


def _check(raw: bytes, what: str) -> None:
    if len(raw) > LARGEST:
        raise Malformed(f"{what} has {len(raw)} bytes; {LARGEST} are read: send shorter windows")
    if len(raw) > COUNTED and wire.fields(raw, wire.MOST) > wire.MOST:
        raise Malformed(f"{what} has more than {wire.MOST} entries: send shorter windows")


def _type(profile: Any, tables: Tables, receipt: Receipt, samples: int) -> Type | None:
    """What a profile measures; None where its samples are refused, which are counted."""
    if not samples:
        return None
    reason = ""
    if not receipt.earliest <= profile.time <= receipt.latest:
        receipt.misses(profile.time)
        receipt.refuse("of the same profile", samples - 1)
        return None
    try:
        kind, unit = tables.text(profile.sample_type.type), tables.text(profile.sample_type.unit)
        per = tables.text(profile.period_type.type), tables.text(profile.period_type.unit)
    except IndexError:
        reason = "whose type is not in the dictionary"
    else:
        scale = 1
        if unit == "count" and per[1] in UNITS and 0 < profile.period <= MOST_VALUE:
            kind, unit, scale = (per[0] or kind), per[1], profile.period  # so many a period: time, in fact
        kind = KINDS.get(kind, kind)
        if unit in UNITS:
            unit, scale = "nanoseconds", scale * UNITS[unit]
        if KIND.fullmatch(kind):
            return Type(kind, unit[:NAME], scale)
        reason = "of a type without a proper name, such as wall"
    receipt.refuse(reason, samples)
    return None


def _read(
    samples: Sequence[Any],
    profile: Any,
    type_: Type,
    resource: Resource,
    tables: Tables,
    known: Known,
    receipt: Receipt,
) -> None:
    append, stacks = receipt.batch.profiles.append, receipt.batch.stacks
    begin, duration = profile.time, min(profile.duration, MOST_VALUE)
    for sample in samples:
        times = list(sample.times)
        values = sample.values
        value = (sum(values) if values else len(times)) * type_.scale
        if not 0 <= value <= MOST_VALUE:
            receipt.refuse(f"with a value that is negative or beyond {MOST_VALUE}")
            continue
        try:
            path = tables.stack(sample.stack)
            context = tables.context(type_, resource.service, tuple(sample.attributes))
            trace_id, span_id = tables.link(sample.link)
        except IndexError:
            receipt.refuse("that refer to what is not in the dictionary")
            continue
        if path is None:
            receipt.refuse(f"of stacks beyond {CALLS} calls of a request")
            continue
        stacks[path.stack.id] = path
        append(
            SampleRow(
                begin,
                duration,
                resource.id,
                context,
                path.stack.id,
                trace_id,
                span_id,
                value,
                _samples(profile, values, times, type_),
                tables.times(times),
            )
        )


def _samples(profile: Any, values: Sequence[int], times: list[int], type_: Type) -> int:
    if times:
        return len(times)
    if type_.scale == profile.period:
        return min(sum(values), MOST_VALUE)
    return max(1, round(sum(values) / profile.period)) if profile.period > 0 else 1


class Tables:
    """The dictionary of a request.

    Every method raises IndexError where something is not in it.

    Args:
        raw: its bytes.
        known: what was learnt of earlier requests.
        receipt: of the request; its batch gets the contexts.
    """

    def __init__(self, raw: bytes, known: Known, receipt: Receipt) -> None:
        self._raw = wire.Dictionary.FromString(raw)
        self._known, self._receipt = known, receipt
        self._strings, self._stacks = self._raw.strings, self._raw.stacks
        self._read: dict[int, Path | None] = {}
        self._locations: dict[int, list[tuple[Frame, int]]] = {}
        self._links: dict[int, tuple[bytes | None, bytes | None]] = {}
        self._contexts: dict[tuple[Type, str, tuple[int, ...]], int] = {}
        self._calls, self._times = CALLS, ALL_TIMES

    def text(self, index: int) -> str:
        """A string; "" for the first one."""
        if not index:
            return ""
        return text(_at(self._strings, index), 4 * NAME)[0]

    def times(self, moments: list[int]) -> list[int] | None:
        """The moments of a sample that are kept, those alone that can be."""
        kept = [one for one in moments[:TIMES] if self._receipt.earliest <= one <= self._receipt.latest]
        if not kept or len(kept) > self._times:
            return None
        self._times -= len(kept)
        return kept

    def link(self, index: int) -> tuple[bytes | None, bytes | None]:
        """Trace and span of a sample; None for those that it has not."""
        if not index:
            return None, None
        found = self._links.get(index)
        if found is None:
            link = _at(self._raw.links, index)
            trace_id, span_id = link.trace_id, link.span_id
            valid = len(trace_id) == 16 and any(trace_id)
            span = span_id if valid and len(span_id) == 8 and any(span_id) else None
            found = self._links[index] = (trace_id if valid else None, span)
        return found

    def context(self, type_: Type, service: str, attributes: tuple[int, ...]) -> int:
        """What a sample is grouped by, put into the batch."""
        key = (type_, service, attributes)
        found = self._contexts.get(key)
        if found is None:
            told = {"endpoint": "", "thread": "", "task": "", "state": ""}
            for index in attributes[: self._receipt.limits.count]:
                name, value = self._attribute(index)
                label = LABELS.get(name)
                if label and (name != "http.route" or not told[label]):
                    told[label] = value
                elif name == "thread.id" and not told["thread"]:
                    told["thread"] = f"thread {value}"
            told["thread"] = NUMBERED.sub(r"\1-N", told["thread"])
            context = _context(type_, told)
            if not self._known.admits(("profiles", service), context.id, CONTEXTS):
                context = _context(type_, {**told, "thread": OTHER, "task": OTHER})
                if not self._known.admits(("profiles", service, OTHER), context.id, CONTEXTS):
                    context = _context(type_, dict.fromkeys(told, OTHER))
            self._receipt.batch.contexts[context.id] = context
            found = self._contexts[key] = context.id
        return found

    def _attribute(self, index: int) -> tuple[str, str]:
        attribute = _at(self._raw.attributes, index)
        name = self.text(attribute.key)
        if name not in LABELS and name != "thread.id":
            return "", ""
        raw = b"".join(attribute.value)
        if len(raw) > 4 * NAME + 16:
            raw = b""  # no name is so long
        return name, str(plain(wire.AnyValue.FromString(raw)) or "")[:NAME]

    def stack(self, index: int) -> Path | None:
        """A stack; None where the request has no calls left."""
        if index in self._read:
            return self._read[index]
        calls: list[tuple[Frame, int]] = []
        locations = _at(self._stacks, index).locations
        if len(locations) > self._calls:
            return None
        self._calls -= len(locations)
        if len(locations) > DEEPEST:
            half = DEEPEST // 2
            kept = [*locations[:half], None, *locations[-half:]]
        else:
            kept = list(locations)
        for at in reversed(kept):
            calls += [(self._frame(SKIPPED, "", 0), 0)] if at is None else self._location(at)
        found = self._read[index] = self._path(calls[: 2 * DEEPEST] or [(self._frame(UNKNOWN, "", 0), 0)])
        return found

    def _location(self, index: int) -> list[tuple[Frame, int]]:
        """The calls of a location, the outermost first: those that were inlined come after it."""
        found = self._locations.get(index)
        if found is None:
            location = _at(self._raw.locations, index)
            found = []
            for line in reversed(location.lines[:INLINED]):
                function = _at(self._raw.functions, line.function)
                name = self.text(function.name) or self.text(function.system_name) or "(no name)"
                frame = self._frame(name, self.text(function.file), _line(function.start_line))
                found.append((frame, _line(line.line)))
            self._locations[index] = found = found or [(self._frame("(no name)", "", 0), 0)]
        return found

    def _frame(self, name: str, file: str, line: int) -> Frame:
        key = (name, file, line)
        found = self._known.frames.get(key)
        if found is None:
            found = frame_of(name, file, line)
            self._known.frames.learn(key, found, len(name) + len(file))
        return found

    def _path(self, calls: list[tuple[Frame, int]]) -> Path:
        key = tuple([part for frame, line in calls for part in (frame.id, line)])
        found = self._known.paths.get(key)
        if found is None:
            nodes: list[StackNode] = []
            parent = 0
            for depth, (frame, _) in enumerate(calls):
                node = self._known.nodes.get((parent, frame.id))
                if node is None:
                    node = node_of(parent, frame.id, depth)
                    self._known.nodes.learn((parent, frame.id), node, 64)
                nodes.append(node)
                parent = node.id
            stack = stack_of(nodes, [line for _, line in calls])
            found = Path(stack, nodes, [frame for frame, _ in calls])
            self._known.paths.learn(key, found, 64 * len(calls))
        return found


def _at(table: Sequence[Any], index: int) -> Any:
    """An entry; an index from the end is none."""
    if index < 0:
        raise IndexError(index)
    return table[index]


def _line(number: int) -> int:
    return number if 0 <= number <= MOST_LINE else 0


def _context(type_: Type, told: dict[str, str]) -> Context:
    parts = (type_.kind, type_.unit, told["endpoint"], told["thread"], told["task"], told["state"])
    return Context(identity("context", *parts), *parts)
