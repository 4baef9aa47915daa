"""Values and keys of caches as bytes: the same value of the same type comes back, and nothing else is ever believed."""

from __future__ import annotations

import contextlib
import enum
import math
import pickle
import subprocess
import sys
import zlib
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfagent.cache import Safe, cacheable
from perfagent.cache.envelope import Envelope, Poisoned, unpacked
from perfagent.cache.key import encoded, local

SAFE = Safe()
ZONES = st.sampled_from(
    [None, timezone.utc, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=1), "own")]
) | st.sampled_from(["Europe/Berlin", "America/St_Johns", "UTC"]).map(ZoneInfo)
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)  # halves of surrogates, too
HASHABLE = (
    st.none() | st.booleans() | st.integers() | st.integers(-(1 << 200), 1 << 200) | st.floats() | TEXTS
    | st.binary(max_size=20) | st.complex_numbers() | st.decimals().filter(lambda one: not one.is_snan())  # has no hash
    | st.uuids()
    | st.datetimes(timezones=ZONES, allow_imaginary=True) | st.dates() | st.times(timezones=ZONES) | st.timedeltas()
)  # fmt: skip
KEYS = st.recursive(
    HASHABLE, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=5
)
VALUES = st.recursive(
    KEYS | st.binary(max_size=20).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.sets(KEYS, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type and value, all the way down; NaN is NaN, 0.0 is not -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        return sorted(map(encoded, one)) == sorted(map(encoded, other))
    if isinstance(one, (datetime, time)):
        return one.replace(tzinfo=None) == other.replace(tzinfo=None) and one.fold == other.fold and (
            type(one.tzinfo), repr(one.tzinfo)
        ) == (type(other.tzinfo), repr(other.tzinfo))  # fmt: skip
    return bool(one == other)


@pytest.mark.slow
@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_what_is_kept_comes_back_equal_in_type_and_value(value: object) -> None:
    assert same(SAFE.loads(SAFE.dumps(value)), value)


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: float


@dataclass(frozen=True)
class Order:
    name: str
    points: tuple[Point, ...] = ()
    colour: Colour | None = None
    total: Decimal = field(default=Decimal(0), init=False)

    def __post_init__(self) -> None:
        raise AssertionError("reading runs no code of a class")


class Unregistered(NamedTuple):
    x: int


for kind in (Colour, Point, Order):
    cacheable(kind)


def test_registered_classes_come_back_as_themselves_and_run_no_code() -> None:
    order = object.__new__(Order)
    for name, value in {
        "name": "a",
        "points": (Point(1, 2.0),),
        "colour": Colour.RED,
        "total": Decimal("1.50"),
    }.items():
        object.__setattr__(order, name, value)
    found = SAFE.loads(SAFE.dumps([order]))
    assert found == [order]
    assert type(found[0].points[0]) is Point  # type: ignore[index]


class Sneaky(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Unregistered(1),
        Sneaky("a"),
        range(3),
        lambda: 1,
        {"a": [object()]},
        {1: Sneaky("b")},
        memoryview(b"a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_type_that_is_not_kept_is_refused_by_name_and_never_changed(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        SAFE.dumps(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(TypeError, match="contains itself"):
        SAFE.dumps(value)
    with pytest.raises(TypeError, match="contains itself"):
        encoded(value)


@pytest.mark.slow
@given(st.binary(max_size=200) | VALUES.map(SAFE.dumps).map(lambda data: data[: len(data) // 2] + data[-1:]))
@settings(max_examples=200, deadline=None)
def test_garbage_is_an_ordinary_error(data: bytes) -> None:
    with contextlib.suppress(Exception):  # a SystemError would be one, too, but a crash would not
        SAFE.loads(data)
    with contextlib.suppress(Poisoned):
        unpacked(data, 1 << 20)


@pytest.mark.slow
@given(KEYS | VALUES, KEYS | VALUES)
@settings(max_examples=200, deadline=None)
def test_keys_are_equal_exactly_where_types_and_values_are(one: Any, other: Any) -> None:
    if same(one, other):
        assert encoded(one) == encoded(other)
        assert local(0, (one,)) == local(0, (other,))
    elif not isinstance(one, dict) or not isinstance(other, dict):  # dicts are equal in any order
        assert encoded(one) != encoded(other)
        assert local(0, (one,)) != local(0, (other,))


def test_the_four_ones_and_the_two_zeros_are_keys_of_their_own() -> None:
    values = [1, 1.0, True, "1", b"1", 0.0, -0.0, 0, False, None, "None", (1,), [1], (True,), ((1,),), {1}, Decimal(1)]
    assert len({encoded(value) for value in values}) == len(values)
    assert len({local(0, (value,)) for value in values}) == len(values)
    assert local(0, ("a", "bc")) != local(0, ("ab", "c"))
    assert encoded(("a", "bc")) != encoded(("ab", "c"))
    assert local(0, (math.nan,)) == local(0, (math.nan,))


def test_keys_are_the_same_in_every_process_whatever_its_hashes() -> None:
    code = (
        "from perfagent.cache.key import Key; from datetime import date;"
        "print(Key(0, ({'b': 1, 'a': {'x', 'y', 'z'}}, date(2026, 1, 1), 'é'), 's').digest)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1


def test_an_argument_that_cannot_be_a_key_is_told_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"builtins\.object cannot be part of a cache's key: give key="):
        local(0, (object(),))


def test_what_a_name_or_the_fields_do_not_tell_apart_is_no_key_or_another() -> None:
    class Right(enum.IntFlag):
        READ, WRITE, RUN = 1, 2, 4

    @dataclass
    class Point:
        x: int

    class Named(Point):
        def __init__(self, x: int, name: str) -> None:
            super().__init__(x)
            self.name = name

    rights = [Right(bits) for bits in range(32)]  # most of them have no name of their own
    assert len({encoded(right) for right in rights}) == len(rights)
    for unclear in (Named(1, "a"), type("Model", (), {}), list[int]):
        with pytest.raises(TypeError, match="cannot be part of a cache's key"):
            encoded(unclear)
    with pytest.raises(TypeError, match="a dataclass, a NamedTuple or an Enum"):
        cacheable(Named)  # what came back would have no name
    with pytest.raises(TypeError, match="a combination of flags has no name"):
        SAFE.dumps(cacheable(Right).READ | Right.RUN)
    assert len({encoded(kind) for kind in (int, Decimal, type(None), type(len), Order)}) == 5


def test_a_class_may_say_what_its_key_is() -> None:
    class User:
        def __init__(self, number: int, name: str) -> None:
            self.number, self.name = number, name

        def __cache_key__(self) -> int:
            return self.number

    assert local(0, (User(1, "a"),)) == local(0, (User(1, "b"),)) != local(0, (User(2, "a"),))


@given(st.binary(max_size=5000), st.floats(0, 1e9), st.booleans(), st.lists(st.binary(min_size=16, max_size=16)))
@settings(deadline=None)
def test_what_is_around_a_value_comes_back(body: bytes, stale: float, failed: bool, tags: list[bytes]) -> None:
    envelope = Envelope(body, "safe", stale, failed, tuple(tags), b"s" * 32, b"o" * 48)
    found = unpacked(envelope.packed(), 1 << 20)
    assert replace(found, body=bytes(found.body)) == envelope


def test_values_above_1_kb_are_compressed_and_small_ones_are_not() -> None:
    assert len(Envelope(b"a" * 5000, "safe").packed()) < 200
    assert b"a" * 1000 in Envelope(b"a" * 1000, "safe").packed()


def test_a_bomb_is_not_unpacked() -> None:
    bomb = Envelope(b"a" * (1 << 24), "safe").packed()
    with pytest.raises(Poisoned, match="larger"):
        unpacked(bomb, 1 << 20)
    with pytest.raises(Poisoned, match="broken"):
        unpacked(bomb[:-100], 1 << 25)
    with pytest.raises(Poisoned, match="larger"):
        unpacked(Envelope(b"", "safe").packed() + b"x" * 2000, 1024)


def test_a_pickle_is_no_entry() -> None:
    for data in (pickle.dumps("a"), zlib.compress(b"a"), b"", b"pc\x02" + b"\0" * 40):
        with pytest.raises(Poisoned):
            unpacked(data, 1 << 20)


def test_dates_and_identities_are_what_they_were() -> None:
    moment = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    value = {UUID(int=1): [moment, date(2026, 1, 1), timedelta(-1)], (1, "a"): Decimal("1.10"), None: {1.5: b""}}
    assert same(SAFE.loads(SAFE.dumps(value)), value)
