"""CSV files chunk by chunk, as frames of pandas or as lists of texts; used by one thread at a time."""

from __future__ import annotations

import csv
import io
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from perfagent.data.budget import Budget
from perfagent.data.extras import need, wrong
from perfagent.data.lookahead import Lookahead, open_unpacked
from perfagent.data.measures import FileMeasures

if TYPE_CHECKING:
    import os

    from pandas import DataFrame, Series

# What read_csv would do otherwise than by chunks, or what is decided here.
_REFUSED = {
    "chunksize": "the size of chunks is AsyncFileProcessor(chunk_size=…)",
    "iterator": "chunks are always iterated",
    "memory_map": "the file is read ahead in blocks",
    "skipfooter": "the end of the file is not known before it is read",
    "low_memory": "types are the same within a chunk",
    "storage_options": "the file is a local one",
}


class Chunks(Protocol):
    """Something that gives chunk after chunk, and None at the end."""

    def next(self) -> Any: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class FrameChunks:
    """Frames of a CSV file.

    Args:
        path: the file.
        budget: how large a chunk may be.
        compression: as for `open_unpacked`.
        options: what `pandas.read_csv` takes besides.
    """

    def __init__(self, path: str | os.PathLike[str], budget: Budget, compression: str, options: dict[str, Any]) -> None:
        for name in _REFUSED.keys() & options.keys():
            raise ValueError(f"{name}={options[name]!r} is not accepted: {_REFUSED[name]}")
        if options.get("engine") in ("pyarrow", "python-fwf"):
            raise wrong("engine", options["engine"], "c or python, which read on from where they are", 'engine="c"')
        self._pd = need("pandas", "AsyncFileProcessor.read_csv_chunks")
        self._budget = budget
        self._options = options
        self._file = Lookahead(open_unpacked(path, compression))
        self._reader: Any = None
        self._types: list[Any] = []
        self._measures = FileMeasures("csv")

    def next(self) -> DataFrame | None:
        """The next frame, or None after the last."""
        begin = time.perf_counter()
        before = self._file.total - self._file.waiting
        self._file.fill(self._budget.text)
        rows = self._file.records(self._budget.rows)
        if self._reader is None:
            self._reader = self._pd.read_csv(self._file, iterator=True, low_memory=False, **self._options)
            before = 0
        try:
            frame: DataFrame = self._reader.get_chunk(rows)
        except StopIteration:
            return None
        frame = self._consistent(frame)
        text = self._file.total - self._file.waiting - before
        if len(frame):
            self._budget.learn(text, int(frame.memory_usage(index=True, deep=True).sum()))
        self._measures.rows.record(len(frame))
        self._measures.read.record(text)
        self._measures.duration.record(time.perf_counter() - begin)
        return frame

    def close(self) -> None:
        """Closes the file."""
        if self._reader is not None:
            self._reader.close()
        self._file.close()

    def _consistent(self, frame: DataFrame) -> DataFrame:
        """Types only widen from chunk to chunk, and never go back."""
        types = list(frame.dtypes)
        if types != self._types and self._types:
            for position, (known, found) in enumerate(zip(self._types, types, strict=True)):
                if known != found:
                    column = frame.iloc[:, position]
                    cast, types[position] = _widened(column, known, found)
                    if cast is not None:
                        frame.isetitem(position, column.astype(cast))
        self._types = types
        return frame


def _widened(column: Series, known: Any, found: Any) -> tuple[Any, Any]:
    """What to cast a column to, or None; and the type that counts from now on.

    Args:
        column: of the chunk.
        known: its type so far.
        found: the chunk's type, which is another.
    """
    if known.kind in "iuf" and found.kind in "iuf":
        if known.kind != "f":
            return None, found  # whole numbers so far, and now a gap, a fraction or a huge one
        exact = found.kind == "f" or bool(column.between(-(1 << 53), 1 << 53).all())
        return (known if exact else None), known
    if found.kind == "f" and known.kind in "OMm" and column.isna().all():
        return known, known  # nothing but gaps says nothing of the type
    if known.kind != "O" and found.kind == "O":
        return None, found
    return object, column.iloc[:0].astype(object).dtype


class RowChunks:
    """Rows of a CSV file as lists of texts, without pandas.

    Args:
        path: the file.
        budget: how large a chunk may be.
        compression: as for `open_unpacked`.
        encoding: of the file.
        options: what `csv.reader` takes.
    """

    def __init__(
        self, path: str | os.PathLike[str], budget: Budget, compression: str, encoding: str, options: dict[str, Any]
    ) -> None:
        self._budget = budget
        self._file = Lookahead(open_unpacked(path, compression))
        text = io.TextIOWrapper(self._file, encoding=encoding, newline="")  # type: ignore[type-var]
        self._text = text
        self._reader = csv.reader(text, **options)
        self._measures = FileMeasures("rows")

    def next(self) -> list[list[str]] | None:
        """The next rows, or None after the last."""
        begin = time.perf_counter()
        before = self._file.total - self._file.waiting
        self._file.fill(self._budget.text)
        rows = self._take(self._file.records(self._budget.rows))
        text = self._file.total - self._file.waiting - before
        if not rows:
            return None
        sample = rows[:: max(len(rows) // 100, 1)]
        size = sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in sample) / len(sample)
        self._budget.learn(text, int(size * len(rows)))
        self._measures.rows.record(len(rows))
        self._measures.read.record(text)
        self._measures.duration.record(time.perf_counter() - begin)
        return rows

    def _take(self, most: int) -> list[list[str]]:
        rows: list[list[str]] = []
        while len(rows) < most:  # `islice` lets no other thread run: 1000 rows take about 1 ms
            before = len(rows)
            rows.extend(islice(self._reader, min(1000, most - before)))
            if len(rows) == before:
                break
        return rows

    def close(self) -> None:
        """Closes the file."""
        self._text.close()
