"""The encoder of profiles: whatever is put in is decoded by OpenTelemetry's own messages to what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from examples.telemetry.profiles import samples_of
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest

from perfagent.runtime.otlp import profiles, wire
from perfagent.runtime.span import Scope
from tests.fuzz import deep, quick

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

Frame = tuple[str, str, int, int]


class Put(NamedTuple):
    """A sample as it goes in."""

    stack: tuple[Frame, ...]
    attributes: dict[str, str | int]
    link: tuple[bytes, bytes] | None
    observed: list[tuple[int, int]]


texts = st.text(max_size=12) | st.text(st.characters(categories=("Cs", "Co", "Cc", "So")), max_size=6)
lines = st.integers(0, (1 << 31) - 1)
frames = st.tuples(texts, texts, lines, lines)
values = st.integers(0, (1 << 63) - 1)
puts = st.builds(
    Put,
    st.lists(frames, min_size=1, max_size=5).map(tuple),
    st.dictionaries(texts.filter(bool), texts | st.integers(-(1 << 63), (1 << 63) - 1), max_size=3),
    st.none() | st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)),
    st.lists(st.tuples(values, st.integers(0, (1 << 64) - 1)), min_size=1, max_size=4),
)


def encoded(put: Sequence[Put], with_times: bool) -> bytes:
    dictionary = profiles.Dictionary()
    samples = []
    for stack, attributes, link, observed in put:
        samples.append(
            profiles.sample(
                dictionary.stack(tuple(dictionary.location(*frame) for frame in stack)),
                [dictionary.attribute(key, value) for key, value in attributes.items()],
                0 if link is None else dictionary.link(*link),
                [value for value, _ in observed],
                [time for _, time in observed] if with_times else [],
            )
        )
    profile = profiles.profile(dictionary, ("wall", "nanoseconds"), samples, 1_000, 2_000, 40)
    return profiles.encode(wire.attributes(1, {"service.name": "shop"}), Scope("tested"), [profile], dictionary)


def clean(text: object) -> object:
    """Lone surrogates become question marks: UTF-8 has no place for them."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def check(put: list[Put], with_times: bool) -> None:
    message = ExportProfilesServiceRequest.FromString(encoded(put, with_times))
    found = samples_of(message)
    assert len(found) == len(put)
    for sample, (stack, attributes, link, observed) in zip(found, put, strict=True):
        assert (sample.kind, sample.unit, sample.began, sample.duration, sample.period) == (
            "wall", "nanoseconds", 1_000, 2_000, 40,
        )  # fmt: skip
        told = [(frame.name, frame.file, frame.first, frame.line) for frame in sample.stack]
        assert told == [tuple(map(clean, frame)) for frame in stack]
        if len({clean(key) for key in attributes}) == len(attributes):
            assert sample.attributes == {clean(key): clean(value) for key, value in attributes.items()}
        assert (sample.trace_id, sample.span_id) == (("", "") if link is None else (link[0].hex(), link[1].hex()))
        assert list(sample.values) == [value for value, _ in observed]
        assert list(sample.times) == ([time for _, time in observed] if with_times else [])
    tables = message.dictionary
    for table in (tables.mapping_table, tables.location_table, tables.function_table, tables.link_table,
                  tables.attribute_table, tables.stack_table):  # fmt: skip
        assert not table[0].ByteSize()
    assert tables.string_table[0] == ""
    assert len({stack.SerializeToString() for stack in tables.stack_table}) == len(tables.stack_table)


@quick
@given(st.lists(puts, max_size=5), st.booleans())
def test_samples_come_back_as_they_were(put: list[Put], with_times: bool) -> None:
    check(put, with_times)


@deep
@given(st.lists(puts, max_size=20), st.booleans())
def test_thousands_of_samples_come_back_as_they_were(put: list[Put], with_times: bool) -> None:
    check(put, with_times)
