"""How many values a column has, from 10,000 rows at most, for databases that keep no such statistics."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes.estimate import distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.advice import Table

ROWS = 10_000  # of a sample
PARTS = 10  # places of the table that it is taken from

FIGURES = (
    "SELECT COALESCE(SUM(c), 0), COUNT(v), COALESCE(SUM(c = 1 AND v IS NOT NULL), 0), "
    "COALESCE(SUM(CASE WHEN v IS NULL THEN c ELSE 0 END), 0), AVG(LENGTH(v)) "
    "FROM (SELECT v, COUNT(*) c FROM ({sample}) s GROUP BY v) g"
)


def learn(access: Access, ask: Callable[[str], Any], sample: Callable[[Table, str], str]) -> None:
    """Finds out what is not known of the columns that a statement compares and sorts by.

    Args:
        access: whose table gets it.
        ask: runs a SELECT and returns its one row, or None where it fails.
        sample: the SELECT of a sample, its column called `v`.
    """
    table = access.table
    keys = (*access.equal, *access.joined, *access.ranges, *access.order, *access.group)
    for name in dict.fromkeys([*(key.column for key in keys), *(column for column, _ in access.fixed)]):
        if name in table.distinct and name in table.nulls:
            continue
        row = ask(FIGURES.format(sample=sample(table, name)))
        if row is None or not row[0]:
            continue
        sampled, seen, once, nulls, width = (float(value or 0) for value in row)
        table.distinct.setdefault(name, distinct(table.rows, sampled, seen, once))
        table.nulls[name] = nulls / sampled
        table.widths[name] = width


def parts(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Ranges of a whole-number key, from which the parts of a sample are taken: [begin, end)."""
    bounds: Sequence[int] = [low + (high + 1 - low) * at // PARTS for at in range(PARTS + 1)]
    return pairwise(bounds)
