"""A paged query that looks like a frame of pandas, and reads only the rows that somebody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pandas import DataFrame, Index, Series

    from perfagent.data.pages import PaginatedQuery

MOST_MARKS = 1000
"""Ends of slices whose keys are remembered, so that the next slice begins there without counting rows."""


class LazyDataFrame:
    """A query as a frame: `head`, slices, columns, types, length, rows, and all of it by `to_pandas`.

    Types follow the columns of the query and not the values, so each slice has the same ones: `Int64`, `Float64`,
    `boolean`, `datetime64[us]`, and `object` for texts, decimals and all else.

    Args:
        query: the query.
        columns: names of the columns that are read; all when left out.
    """

    def __init__(self, query: PaginatedQuery, columns: Sequence[str] | None = None) -> None:
        self._pd = need("pandas", "to_lazy_dataframe")
        self._query = query
        every = dict(query.select.selected_columns.items())
        if columns is not None:
            for name in columns:
                if name not in every:
                    raise wrong("columns", name, f"one of {', '.join(every)}", f'frame[["{next(iter(every))}"]]')
            every = {name: every[name] for name in columns}
        self._columns = every
        self._select = query.select.with_only_columns(*every.values(), maintain_column_froms=True)
        self._marks: dict[int, list[Any]] = {}

    @property
    def columns(self) -> Index:
        """The names of the columns; nothing is read."""
        return self._pd.Index(list(self._columns))

    @property
    def dtypes(self) -> Series:
        """The type of each column in every slice; nothing is read."""
        return self._pd.Series([self._type(column) for column in self._columns.values()], list(self._columns), object)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns; the database counts the rows."""
        return len(self), len(self._columns)

    def __len__(self) -> int:
        return self._query.count()

    def __bool__(self) -> bool:
        raise ValueError("a lazy frame is neither true nor false, as a frame of pandas; use len(frame)")

    def head(self, n: int = 5) -> DataFrame:
        """The first rows, as a frame of pandas; no others are read.

        Args:
            n: how many.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise wrong("n", n, "a whole number from 0", "frame.head(10)")
        return self[0:n]

    def __getitem__(self, wanted: slice | str | list[str]) -> Any:
        """Rows as a frame of pandas for a slice; a lazy frame of some columns for a name or a list of names.

        A slice that begins where another has ended goes on from its last row, whatever was inserted meanwhile. Another
        one makes the database pass over `start` rows, but send no more than the slice has. Bounds below 0 make it
        count all.

        Raises:
            ValueError: for a name that there is not, or a step below 1.
            TypeError: for a number: `frame[5:6]` is a row.
        """
        if isinstance(wanted, str):
            return LazyDataFrame(self._query, [wanted])
        if isinstance(wanted, (list, tuple)):
            return LazyDataFrame(self._query, list(wanted))
        if not isinstance(wanted, slice):
            raise TypeError(
                f"frame[{wanted!r}] is not accepted: a slice of rows or names of columns; such as frame[5:6]"
            )
        step = 1 if wanted.step is None else wanted.step
        if not isinstance(step, int) or step < 1:
            raise wrong("step", wanted.step, "a whole number from 1", "frame[0:100:2]")
        start, stop = wanted.start or 0, wanted.stop
        if start < 0 or (stop is not None and stop < 0):
            start, stop, _ = slice(start, stop).indices(len(self))
        if stop is not None and stop <= start:
            return self._frame([], start)
        rows = self._rows(start, None if stop is None else stop - start)
        frame = self._frame(rows, start)
        return frame if step == 1 else frame.iloc[::step]

    def __iter__(self) -> Iterator[Any]:
        """All rows, as named tuples, with one page of them in memory."""
        for rows in self._pages():
            yield from rows

    def chunks(self) -> Iterator[DataFrame]:
        """All rows, as frames of a page each."""
        start = 0
        for rows in self._pages():
            yield self._frame(rows, start)
            start += len(rows)

    def to_pandas(self) -> DataFrame:
        """All rows as one frame: everything is read, page by page."""
        return self._frame([row for rows in self._pages() for row in rows], 0)

    def __repr__(self) -> str:
        return f"LazyDataFrame(columns={list(self._columns)}): len(), head(), [start:stop], to_pandas()"

    def _pages(self) -> Iterator[list[Any]]:
        values, size = None, self._query.page_size
        while True:
            found = self._query.run(size, values, 0, self._select)
            if found:
                yield [row for row, _ in found]
            if len(found) < size:
                return
            values = found[-1][1]

    def _rows(self, start: int, count: int | None) -> list[Any]:
        values = self._marks.get(start)
        found = self._query.run(count, values, 0 if values else start, self._select)
        if found and len(found) == count:
            if len(self._marks) >= MOST_MARKS:
                self._marks.pop(next(iter(self._marks)))
            self._marks[start + len(found)] = found[-1][1]
        return [row for row, _ in found]

    def _frame(self, rows: list[Any], start: int) -> DataFrame:
        pd = self._pd
        index = pd.RangeIndex(start, start + len(rows))
        columns = []
        for place, column in enumerate(self._columns.values()):
            values = [row[place] for row in rows]
            columns.append(self._series(values, self._type(column), index))
        frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
        frame.columns = list(self._columns)
        return frame

    def _series(self, values: list[Any], kind: str, index: Any) -> Any:
        pd = self._pd
        if kind == "datetime64[us, UTC]":
            return pd.Series(pd.to_datetime(pd.Series(values, index, dtype=object), utc=True).dt.as_unit("us"))
        if kind != "object":
            try:
                return pd.Series(pd.array(values, dtype=kind), index)
            except (TypeError, ValueError, OverflowError):
                pass  # SQLite keeps anything in any column: then the values go before the type
        return pd.Series(values, index, dtype=object)

    def _type(self, column: Any) -> str:
        types = need("sqlalchemy", "to_lazy_dataframe").types
        kind = column.type
        if isinstance(kind, types.TypeDecorator):
            return "object"
        if isinstance(kind, types.Boolean):
            return "boolean"
        if isinstance(kind, types.Integer):
            return "UInt64" if getattr(kind, "unsigned", False) else "Int64"
        if isinstance(kind, (types.Float, types.Numeric)) and not kind.asdecimal:  # siblings since SQLAlchemy 2.1
            return "Float64"
        if isinstance(kind, types.DateTime):
            return "datetime64[us, UTC]" if kind.timezone else "datetime64[us]"
        return "object"
