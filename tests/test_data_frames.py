"""optimize_dataframe_memory changes no value, whatever is in a frame, and tells what it saves."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfagent.data import memory_report, optimize_dataframe_memory

BOUNDS = [edge + near for bits in (7, 8, 15, 16, 31, 32, 63) for edge in (2**bits, -(2**bits)) for near in (-1, 0, 1)]
SIGNED = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([one for one in BOUNDS if -(2**63) <= one < 2**63]),
    st.integers(-5, 5),
)
UNSIGNED = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([one for one in BOUNDS if one >= 0]), st.integers(0, 5))
FLOATS = st.one_of(
    st.floats(), st.floats(width=32), st.floats(width=16), st.sampled_from([-0.0, 1e-320, 16777217.0, 0.1])
)
TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["a", "b", "B", "", "ä"]))
MIXED = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.just(pd.NA), st.binary(max_size=2), st.just(pd.NaT)
)
STRING = ["string", "str"] if pd.__version__ >= "3" else ["string"]


def series(values: st.SearchStrategy[Any], *types: Any, gaps: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Lists of values and a type that they are to be of."""
    one = st.one_of(values, st.sampled_from(gaps)) if gaps else values
    few = st.lists(one, min_size=1, max_size=3)  # so that there are columns of few distinct values
    return st.tuples(
        st.one_of(few.map(lambda some: some * 9), st.lists(one, min_size=27, max_size=27)), st.sampled_from(types)
    )


COLUMNS = st.one_of(
    series(SIGNED, "int64"),
    series(UNSIGNED, "uint64"),
    series(st.integers(-(2**31), 2**31 - 1), "int32", ">i8", ">i4"),
    series(st.integers(0, 200), "int16", "uint16", "int8", "uint8").filter(lambda c: c[1] != "int8" or max(c[0]) < 128),
    series(SIGNED, "Int64", gaps=(pd.NA,)),
    series(UNSIGNED, "UInt64", gaps=(pd.NA,)),
    series(FLOATS, "float64", ">f8"),
    series(st.floats(allow_nan=False), "Float64", gaps=(pd.NA,)),
    series(st.booleans(), "bool"),
    series(st.booleans(), "boolean", gaps=(pd.NA,)),
    series(TEXTS, *STRING, object),
    series(TEXTS, *STRING, object, gaps=(float("nan"),)),
    series(TEXTS, object, gaps=(None, pd.NA)),
    series(MIXED, object),
    series(
        st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), "datetime64[ns]", gaps=(pd.NaT,)
    ),
    series(TEXTS, "category"),
    series(st.complex_numbers(), "complex128"),
)


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    columns = []
    for values, kind in draw(st.lists(COLUMNS, max_size=4)):
        whole = (values * 27)[:27]
        swapped = str(kind).startswith(">")  # pandas takes the other byte order from numpy alone
        columns.append(pd.Series(np.array(whole, dtype=kind) if swapped else whole, dtype=None if swapped else kind))
    rows = draw(st.sampled_from([0, 1, 27]))
    frame = pd.concat(columns, axis=1).iloc[:rows] if columns else pd.DataFrame(index=range(rows))
    frame.columns = draw(st.lists(st.sampled_from(["a", "b", 1]), min_size=len(columns), max_size=len(columns)))
    frame.index = draw(
        st.sampled_from([pd.RangeIndex(rows), pd.Index([7] * rows), pd.date_range("2024", periods=rows)])
    )
    return frame


def same(before: Any, after: Any) -> bool:
    """Whether two values are one: equal, of the same sign, and missing in the same way."""
    if before is None or before is pd.NA or before is pd.NaT:
        return after is before
    if isinstance(before, (float, np.floating)) and before != before:
        return isinstance(after, (float, np.floating)) and after != after
    if isinstance(before, (float, np.floating)):
        return bool(before == after and np.signbit(before) == np.signbit(after))
    if isinstance(before, complex) and before != before:
        return bool(after != after)
    kinds = (bool, np.bool_), (int, np.integer), str, bytes
    return bool(before == after) and all(isinstance(before, kind) == isinstance(after, kind) for kind in kinds)


@pytest.mark.slow
@given(frames())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_value_is_changed(frame: pd.DataFrame) -> None:
    copied, types = frame.copy(deep=True), list(frame.dtypes)
    smaller = optimize_dataframe_memory(frame)
    assert list(frame.dtypes) == types  # the one given stays as it is; a copy may have another order of bytes
    pd.testing.assert_frame_equal(frame, copied, check_dtype=False)
    assert smaller.index is frame.index or smaller.index.equals(frame.index)
    assert list(smaller.columns) == list(frame.columns)
    assert smaller.shape == frame.shape
    for place in range(frame.shape[1]):
        before, after = frame.iloc[:, place], smaller.iloc[:, place]
        assert all(map(same, before.array, after.array)), (before.dtype, after.dtype)
        assert list(before.isna()) == list(after.isna())
        if before.dtype == object or isinstance(before.dtype, pd.StringDtype):
            assert after.dtype == before.dtype or sorts_and_equals_as(before, after)
    report = memory_report(frame, smaller)
    assert report.bytes_after <= report.bytes_before


def sorts_and_equals_as(texts: pd.Series, category: pd.Series) -> bool:
    present = texts.dropna()
    assert list(category.sort_values(kind="stable").index) == list(texts.sort_values(kind="stable").index)
    assert (category.min(), category.max()) == (min(present), max(present))
    value = present.iloc[0]
    for comparison in ("eq", "ne", "lt", "ge"):
        compared = [getattr(category, comparison)(value), getattr(texts, comparison)(value)]
        if not texts.isna().any():
            assert list(compared[0]) == list(compared[1])
    return True


def test_types_are_as_small_as_their_values_allow() -> None:
    frame = pd.DataFrame(
        {
            "byte": [0, 127, -128],
            "short": [128, 0, -1],
            "word": [40_000, 0, 0],
            "exact": [0.5, np.nan, -np.inf],
            "tenth": [0.1, 0.5, 1.0],
            "big": [2**62, 0, 0],
        }
    )
    frame["gap"] = pd.array([1, None, 2], dtype="Int64")
    frame["unsigned"] = np.array([0, 255, 1], dtype="uint64")
    types = optimize_dataframe_memory(frame).dtypes.astype(str).to_dict()
    assert types == {
        "byte": "int8",
        "short": "int16",
        "word": "int32",
        "exact": "float32",
        "tenth": "float64",
        "big": "int64",
        "gap": "Int8",
        "unsigned": "uint8",
    }
    kept = optimize_dataframe_memory(frame, integers=False, floats=False)
    pd.testing.assert_frame_equal(kept, frame)


def test_only_texts_of_few_distinct_values_become_a_category() -> None:
    few = pd.DataFrame({"few": ["paid", "new"] * 50, "many": [f"order {number}" for number in range(100)]})
    smaller = optimize_dataframe_memory(few)
    assert isinstance(smaller["few"].dtype, pd.CategoricalDtype)
    assert smaller["many"].dtype == few["many"].dtype
    assert optimize_dataframe_memory(few, categories=False)["few"].dtype == few["few"].dtype
    nothing = pd.DataFrame({"x": pd.Series(["a", None] * 50, dtype=object)})
    assert optimize_dataframe_memory(nothing)["x"].dtype == object  # a category would make NaN of None
    report = memory_report(few, smaller)
    assert report.saved_share > 0.2
    assert "few: " in str(report)
    assert "many" not in str(report)


def test_changing_the_result_leaves_the_frame_given_alone() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": [0.1, 0.2]})
    smaller = optimize_dataframe_memory(frame)
    smaller.loc[0, "b"] = False
    smaller.loc[0, "c"] = 9.5
    smaller.loc[0, "a"] = 7
    assert frame.iloc[0].tolist() == [1, True, 0.1]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"df is of type list.*for example"):
        optimize_dataframe_memory([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="after="):
        memory_report(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2]}))
