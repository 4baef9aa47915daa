"""Frames of pandas in less memory, with every value as it was.

What gets smaller: whole numbers to the smallest type that holds them, floats to 32 bits where each comes back exactly,
texts of few distinct values to an ordered category. What stays: mixed objects, datetimes, booleans, columns with a
missing value that a category would change (None, pd.NA), the index, the names and the order of the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong

np = need("numpy", "optimize_dataframe_memory")

if TYPE_CHECKING:
    from pandas import DataFrame, Series

DISTINCT_SHARE = 0.5
"""A text column becomes a category where at most this share of its values is distinct."""


@dataclass(frozen=True, slots=True)
class ColumnSaving:
    """What became of one column: its place and name, types, and deep memory in bytes."""

    position: int
    name: Any
    before: str
    after: str
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What a frame takes before and after, in bytes, the index included."""

    bytes_before: int
    bytes_after: int
    columns: tuple[ColumnSaving, ...]

    @property
    def saved_share(self) -> float:
        """The part of the memory that was saved, from 0 to 1."""
        return 1 - self.bytes_after / self.bytes_before if self.bytes_before else 0.0

    def __str__(self) -> str:
        lines = [f"{self.bytes_before / 1e6:.1f} MB before, {self.bytes_after / 1e6:.1f} MB after: "]
        lines[0] += f"{self.saved_share:.0%} saved"
        lines += [
            f"  {one.name}: {one.before} to {one.after}, {one.bytes_before / 1e6:.1f} to {one.bytes_after / 1e6:.1f} MB"
            for one in self.columns
            if one.before != one.after
        ]
        return "\n".join(lines)


def optimize_dataframe_memory(
    df: DataFrame, *, integers: bool = True, floats: bool = True, categories: bool = True
) -> DataFrame:
    """A frame of the same values in smaller types; the one given is not changed.

    A smaller type has smaller bounds: `int8` wraps beyond 127, a 32-bit float sums less exactly. A category sorts,
    groups and equals as its texts do, but takes no new text, and compares with another category only where both have
    the same texts. Where a program goes on calculating or assigning, switch that kind off.

    Args:
        df: any frame.
        integers: whether whole numbers may get smaller; signed ones stay signed.
        floats: whether 64-bit floats may become 32-bit ones, where every value comes back exactly.
        categories: whether texts may become a category, where at most half of them are distinct and it takes less.

    Returns:
        A new frame with the index, the columns' names and their order as they were.

    Raises:
        TypeError: where `df` is no frame of pandas.
        ImportError: where pandas is not installed.
    """
    pd = need("pandas", "optimize_dataframe_memory")
    if not isinstance(df, pd.DataFrame):
        raise TypeError(
            f"df is of type {type(df).__name__}: a pandas.DataFrame is accepted; for example "
            "optimize_dataframe_memory(pandas.read_csv(path))"
        )
    smaller = df.copy(deep=False)
    shares = int(pd.__version__.partition(".")[0]) < 3  # without copy on write, the two would share their columns
    for position in range(df.shape[1]):  # by position: names may repeat
        column = df.iloc[:, position]
        found = _smaller(pd, column, integers, floats, categories)
        if found is not column:
            smaller.isetitem(position, found)
        elif shares:
            smaller.isetitem(position, column.copy())
    return smaller


def memory_report(before: DataFrame, after: DataFrame) -> MemoryReport:
    """What `optimize_dataframe_memory` saved, column by column.

    Args:
        before: the frame given to it.
        after: the frame that it returned.

    Raises:
        ValueError: where the two do not have the same number of columns.
    """
    if before.shape != after.shape:
        raise wrong("after", after.shape, f"a frame of the shape {before.shape}", "memory_report(df, smaller)")
    was = before.memory_usage(index=True, deep=True)
    now = after.memory_usage(index=True, deep=True)
    columns = tuple(
        ColumnSaving(
            position,
            name,
            str(before.dtypes.iloc[position]),
            str(after.dtypes.iloc[position]),
            int(was.iloc[position + 1]),
            int(now.iloc[position + 1]),
        )
        for position, name in enumerate(before.columns)
    )
    return MemoryReport(int(was.sum()), int(now.sum()), columns)


def _smaller(pd: Any, column: Series, integers: bool, floats: bool, categories: bool) -> Series:
    """The column in a smaller type, or the very one given."""
    kind: Any = column.dtype
    numeric = isinstance(kind, (np.dtype, *_nullable(pd)))
    if not len(column):
        return column
    if numeric and kind.kind in "iu":
        return _whole(pd, column) if integers else column
    if numeric and kind.kind == "f":
        return _float(column) if floats else column
    if categories and (kind == np.dtype(object) or isinstance(kind, pd.StringDtype)):
        return _category(pd, column)
    return column


def _nullable(pd: Any) -> tuple[type, ...]:
    """The nullable numbers of pandas that a smaller type stands beside; Arrow's own are left alone."""
    return (
        pd.Int64Dtype,
        pd.Int32Dtype,
        pd.Int16Dtype,
        pd.UInt64Dtype,
        pd.UInt32Dtype,
        pd.UInt16Dtype,
        pd.Float64Dtype,
    )


def _whole(pd: Any, column: Series) -> Series:
    kind = column.dtype
    low, high = column.min(), column.max()
    if low is pd.NA:  # nothing but missing values: any type holds it
        low = high = 0
    for bits in (8, 16, 32):
        if bits >= kind.itemsize * 8:
            break
        bottom, top = (0, (1 << bits) - 1) if kind.kind == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
        if bottom <= int(low) and int(high) <= top:
            if isinstance(kind, np.dtype):
                return column.astype(f"{kind.byteorder.strip('=|')}{kind.kind}{bits // 8}")
            return column.astype(f"{'UInt' if kind.kind == 'u' else 'Int'}{bits}")
    return column


def _float(column: Series) -> Series:
    kind = column.dtype
    if kind.itemsize != 8:
        return column
    plain = isinstance(kind, np.dtype)
    values = column.to_numpy() if plain else column.to_numpy("float64", na_value=0.0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        back = values.astype("float32").astype("float64")
    if not ((back == values) | (np.isnan(values) & np.isnan(back))).all():
        return column
    return column.astype(f"{kind.byteorder.strip('=|')}f4" if plain else "Float32")


def _category(pd: Any, column: Series) -> Series:
    """An ordered category in the order of the texts, so that sorting, min and max are those of the texts."""
    missing = column.isna()
    if isinstance(column.dtype, np.dtype):
        kinds = {type(value) for value in column.array}
        if kinds - {str, float} or str not in kinds:
            return column
        if float in kinds and missing.sum() != sum(type(value) is float for value in column.array):
            return column
    elif missing.any() and column.dtype.na_value is pd.NA:
        return column  # a category would make a NaN of it
    present = column[~missing] if missing.any() else column
    distinct = present.unique()
    if not len(distinct) or len(distinct) > DISTINCT_SHARE * len(column):
        return column
    kind = pd.CategoricalDtype(pd.Index(sorted(distinct), dtype=column.dtype), ordered=True)
    found = column.astype(kind)
    return found if found.memory_usage(index=False, deep=True) < column.memory_usage(index=False, deep=True) else column
