"""What an index would save where no planner can be asked: a small model of a B-tree's cost.

With N rows in P pages, s the part of the rows that the index' leading keys leave, and m = s x N rows:

    cost = 4 x (height + (1 - c²) x min(m, P)) + c² x s x P + 0.0175 x m

in PostgreSQL's unit, one page read in order: 4 is its `random_page_cost`, 0.0175 its cost of a row by an index, c how
well the rows lie in the key's order. s is (1 - NULLs) / distinct for a key that is compared for equality, times 1/3 for
a range with one end and 1/200 for one with two, as PostgreSQL assumes of values it does not know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.advice import Table
    from perfagent.data.indexes.candidates import Candidate

FORMULA = (
    "an estimate: 4 x (height + (1 - c²) x min(m, pages)) + c² x s x pages + 0.0175 x m, with s = (1 - nulls) / "
    "distinct a key (1/3 a range), m = s x rows, c = correlation"
)
PAGE_RANDOM, ROW, ROW_SEQUENTIAL = 4.0, 0.0175, 0.0125
RANGE, RANGE_BOTH, EXPRESSION = (
    1 / 3,
    1 / 200,
    0.005,
)  # PostgreSQL's DEFAULT_INEQ_SEL, DEFAULT_RANGE_INEQ_SEL, DEFAULT_UNK_SEL
LIMIT = 10  # rows, where nobody counted what a LIMIT gives
FAN_OUT = 256  # keys of a page, about
ROW_POINTER = 16  # bytes beside the keys of an entry


def selectivity(table: Table, column: str) -> float | None:
    """The part of the rows that one value of a column has; None where nothing is known of the column."""
    distinct = table.distinct.get(column)
    return None if distinct is None else (1 - table.nulls.get(column, 0)) / max(distinct, 1)


def scan(table: Table) -> float:
    """What reading the whole table costs."""
    return max(table.pages, 1) + ROW_SEQUENTIAL * table.rows


def lookup(table: Table, matched: float, correlation: float = 0.0) -> float:
    """What finding `matched` rows by a B-tree costs; `correlation` as in the formula."""
    height = 1 + math.log(max(table.rows, 2), FAN_OUT)
    fraction = matched / max(table.rows, 1)
    c2 = correlation**2
    pages = PAGE_RANDOM * (1 - c2) * min(matched, table.pages or 1) + c2 * fraction * table.pages
    return PAGE_RANDOM * height + pages + ROW * matched


def matched(access: Access, candidate: Candidate, limit: float | None) -> float | None:
    """Rows that one look into the index gives; None where that is not known, or the index is of no use.

    Args:
        access: of the candidate's table.
        candidate: the index.
        limit: rows that the statement gives, where it is known.
    """
    part, used = _leading(access, candidate)
    if part is None:
        return None
    if candidate.fixed is not None:
        column, rest = candidate.fixed
        nulls = access.table.nulls.get(column)
        if nulls is None or rest not in (" IS NULL", " IS NOT NULL"):
            return None
        part *= nulls if rest == " IS NULL" else 1 - nulls
    tail = list(candidate.keys[used:])
    ordered = bool(access.order) and tail == access.order
    if tail and tail[0] in access.ranges:
        part *= RANGE_BOTH if access.ranges.count(tail[0]) > 1 else RANGE
    elif not ordered and not used:
        return None
    rows = max(part * access.table.rows, 1)
    if not (ordered and access.limited and access.alone):
        return rows
    return min(rows, max(LIMIT if limit is None else limit, 1) / _remaining(access, candidate))


def _remaining(access: Access, candidate: Candidate | None) -> float:
    """The part of what the index gives that the other conditions leave: the rest is read in vain."""
    part = 1.0
    keys, own = (candidate.keys, candidate.fixed) if candidate is not None else ((), None)
    for key in access.equal:
        if key not in keys:
            part *= EXPRESSION if key.function else selectivity(access.table, key.column) or EXPRESSION
    for column, rest in access.fixed:
        if (column, rest) != own and rest in (" IS NULL", " IS NOT NULL"):
            nulls = access.table.nulls.get(column, 0.5)
            part *= nulls if rest == " IS NULL" else 1 - nulls
    part *= RANGE ** len({key for key in access.ranges if key not in keys})
    return max(part, 1e-9)


def _leading(access: Access, candidate: Candidate) -> tuple[float | None, int]:
    """The part of the rows that the leading keys leave, and how many these are."""
    part, used = 1.0, 0
    for key in candidate.keys:
        if key.function or key.opclass:
            if key not in access.equal:
                break
            one: float | None = EXPRESSION
        elif key in access.equal or key in access.joined:
            one = selectivity(access.table, key.column)
        elif (key.column, " IS NULL") in access.fixed:
            one = access.table.nulls.get(key.column, EXPRESSION)
        else:
            break
        if one is None:
            return None, used
        part, used = part * one, used + 1
    return part, used


def with_index(access: Access, candidate: Candidate, limit: float | None) -> float | None:
    """What one look into the index costs; None as for `matched`, whose arguments it takes."""
    rows = matched(access, candidate, limit)
    if rows is None:
        return None
    first = candidate.keys[0]
    correlation = 0.0 if first.function else access.table.correlation.get(first.column, 0.0)
    return lookup(access.table, rows, correlation)


def filtered(access: Access) -> float:
    """The part of the table's rows that the conditions leave, those of joins left out."""
    return _remaining(access, None)


def joins(access: Access, candidate: Candidate) -> bool:
    """Whether the index is looked into once for each row of another table."""
    return any(key in access.joined and key not in access.equal for key in candidate.keys)


def sort(rows: float) -> float:
    """What sorting rows costs."""
    return 0.005 * rows * math.log2(max(rows, 2))


def distinct(rows: float, sampled: float, seen: float, once: float) -> float:
    """How many values a column has, from a sample.

    Args:
        rows: of the table.
        sampled: rows of the sample.
        seen: distinct values in it.
        once: values that are in it once.

    Returns:
        The estimate of Haas and Stokes (1998, Duj1), as PostgreSQL's ANALYZE has it.
    """
    if not sampled:
        return 1
    if sampled >= rows:
        return max(seen, 1)
    return min(max(sampled * seen / (sampled - once + once * sampled / rows), seen, 1), rows)


def size(table: Table, candidate: Candidate) -> int | None:
    """Bytes of the index: its entries in leaves that are 90 % full; None where the width of a key is not known."""
    widths = [table.widths.get(key.column) for key in candidate.keys]
    if None in widths:
        return None
    rows = table.rows
    if candidate.fixed is not None:
        nulls = table.nulls.get(candidate.fixed[0], 0.5)
        rows *= nulls if candidate.fixed[1] == " IS NULL" else 1 - nulls
    return int(rows * (sum(width or 0 for width in widths) + ROW_POINTER) / 0.9)
