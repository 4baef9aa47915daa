"""Profiles as OTLP: opentelemetry/proto/profiles/v1development/profiles.proto.

What samples refer to (strings, functions, locations, stacks, attributes, links) stands once in the request, in tables
whose first entry is empty and means that there is none.
"""

from __future__ import annotations

from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.runtime.span import Scope


class Table:
    """The entries of one table, each once.

    Args:
        field: of the table in the dictionary.
    """

    __slots__ = ("entries", "field", "known")

    def __init__(self, field: int) -> None:
        self.field = field
        self.known: dict[object, int] = {}
        self.entries: list[bytes] = [b""]

    def add(self, key: object, entry: bytes) -> int:
        """The index of a new entry, which `known` has by its key from now on."""
        index = self.known[key] = len(self.entries)
        self.entries.append(entry)
        return index

    def encode(self) -> bytes:
        """The table as it stands in the dictionary."""
        return b"".join([wire.message(self.field, entry) for entry in self.entries])


class Dictionary:
    """What the samples of one request refer to; each method returns an index."""

    def __init__(self) -> None:
        self._mappings = Table(1)
        self._locations = Table(2)
        self._functions = Table(3)
        self._links = Table(4)
        self._strings = Table(5)
        self._strings.known[""] = 0
        self._attributes = Table(6)
        self._stacks = Table(7)

    def string(self, value: str) -> int:
        """Of a string."""
        found = self._strings.known.get(value)
        return self._strings.add(value, wire.utf8(value)) if found is None else found

    def location(self, name: str, file: str, first: int, line: int) -> int:
        """Of a line of a function.

        Args:
            name: of the function, qualified.
            file: where it is.
            first: its first line.
            line: the one that runs; 0 where nobody knows.
        """
        key = (name, file, first, line)
        found = self._locations.known.get(key)
        if found is not None:
            return found
        function = self._functions.known.get(key[:3])
        if function is None:
            entry = _number(1, self.string(name)) + _number(3, self.string(file)) + _number(4, max(first, 0))
            function = self._functions.add(key[:3], entry)
        return self._locations.add(key, wire.message(3, _number(1, function) + _number(2, max(line, 0))))

    def stack(self, locations: tuple[int, ...]) -> int:
        """Of a stack, whose leaf comes first."""
        found = self._stacks.known.get(locations)
        return self._stacks.add(locations, _packed(1, locations)) if found is None else found

    def attribute(self, key: str, value: str | int) -> int:
        """Of an attribute."""
        found = self._attributes.known.get((key, value))
        if found is None:
            entry = _number(1, self.string(key)) + wire.message(2, wire.any_value(value))
            found = self._attributes.add((key, value), entry)
        return found

    def link(self, trace_id: bytes, span_id: bytes) -> int:
        """Of a span."""
        found = self._links.known.get((trace_id, span_id))
        if found is None:
            found = self._links.add((trace_id, span_id), wire.message(1, trace_id) + wire.message(2, span_id))
        return found

    def encode(self) -> bytes:
        """The content of a ProfilesDictionary."""
        tables = (
            self._mappings, self._locations, self._functions, self._links, self._strings, self._attributes,
            self._stacks,
        )  # fmt: skip
        return b"".join([table.encode() for table in tables])


def sample(stack: int, attributes: Sequence[int], link: int, values: Sequence[int], times: Sequence[int] = ()) -> bytes:
    """A sample as it stands in its profile.

    Args:
        stack: its index.
        attributes: theirs.
        link: the span's; 0 for none.
        values: what was measured: one number, or one for each of `times`.
        times: when, in Unix ns.
    """
    content = [_number(1, stack), _packed(2, attributes), _number(3, link), _packed(4, values)]
    if times:
        content.append(wire.message(5, b"".join([wire.fixed64(0, time)[1:] for time in times])))
    return wire.message(2, b"".join(content))


def profile(
    dictionary: Dictionary, kind: tuple[str, str], samples: Sequence[bytes], began: int, duration: int, period: int
) -> bytes:
    """A profile as it stands in its ScopeProfiles.

    Args:
        dictionary: that the samples refer to.
        kind: what the values are, and their unit, such as `wall` and `nanoseconds`.
        samples: each as `sample` gives it.
        began: Unix ns.
        duration: ns.
        period: between two looks, ns; or between two events that are counted, in their unit.
    """
    type_ = _number(1, dictionary.string(kind[0])) + _number(2, dictionary.string(kind[1]))
    content = b"".join((
        wire.message(1, type_), *samples, wire.fixed64(3, began), _number(4, duration), wire.message(5, type_),
        _number(6, period),
    ))  # fmt: skip
    return wire.message(2, content)


def encode(resource: bytes, scope: Scope, profiles: Iterable[bytes], dictionary: Dictionary) -> bytes:
    """An ExportProfilesServiceRequest.

    Args:
        resource: the encoded Resource.
        scope: who measured.
        profiles: each as `profile` gives it.
        dictionary: theirs.
    """
    scoped = b"".join((wire.message(1, scope.encoded), *profiles))
    body = wire.message(1, wire.message(1, resource) + wire.message(2, scoped))
    return body + wire.message(2, dictionary.encode())


def _number(field: int, value: int) -> bytes:
    """An integer field; left out where it is 0, as protobuf does."""
    return wire.integer(field, value) if value else b""


def _packed(field: int, values: Iterable[int]) -> bytes:
    content = b"".join([wire.varint(value) for value in values])
    return wire.message(field, content) if content else b""
