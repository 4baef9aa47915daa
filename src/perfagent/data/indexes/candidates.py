"""Indexes that might help a statement; whether they do is for the planner to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.data.indexes.advice import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.advice import Index, Table

MOST_KEYS = 4  # wider indexes cost more to write than they save to read
MOST = 16  # candidates of one statement


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that there is not: its keys, and the condition of a partial one as (column, rest)."""

    schema: str
    table: str
    keys: tuple[Key, ...]
    fixed: tuple[str, str] | None = None

    def begins(self, other: Candidate) -> bool:
        """Whether `other` can serve wherever this one does: the same keys first, under the same condition."""
        same = (self.schema, self.table, self.fixed) == (other.schema, other.table, other.fixed)
        return same and other.keys[: len(self.keys)] == self.keys


def candidates(found: Iterable[Access], *, partial: bool) -> list[Candidate]:
    """The indexes that a statement's accesses may gain from, the promising first, none that there is already.

    Args:
        found: how the statement reads its tables.
        partial: whether the database has partial indexes.
    """
    made: dict[Candidate, None] = {}
    for access in found:
        for keys, fixed in _shapes(access, partial=partial):
            unique = tuple({(key.column, key.function): key for key in keys}.values())[:MOST_KEYS]
            if unique and not _covered(access.table, unique, fixed):
                made[Candidate(access.table.schema, access.table.name, unique, fixed)] = None
    return list(made)[:MOST]


def _shapes(access: Access, *, partial: bool) -> Iterator[tuple[list[Key], tuple[str, str] | None]]:
    """Equality first, then what is a range or sorted: only the keys before the first range narrow what is read."""
    distinct = access.table.distinct
    equal = sorted(access.equal, key=lambda key: -distinct.get(key.column, 0))
    tail = access.order or access.group
    if partial:
        yield from _partial(access, equal, tail)
    yield from ((keys, None) for keys in _full(access, equal, tail))


def _partial(access: Access, equal: list[Key], tail: list[Key]) -> Iterator[tuple[list[Key], tuple[str, str] | None]]:
    for fixed in access.fixed:
        others = [key for key in equal if key.column != fixed[0]]
        if others or tail:
            yield [*others, *tail], fixed
        if access.ranges and not tail:
            yield [*others, access.ranges[0]], fixed
        for key in access.joined:
            yield [key], fixed


def _full(access: Access, equal: list[Key], tail: list[Key]) -> Iterator[list[Key]]:
    nulls = [Key(name) for name, rest in access.fixed if rest == " IS NULL" and Key(name) not in equal]
    for front in [equal, *([[*equal, *nulls]] if nulls else [])]:
        if front and tail:
            yield [*front, *tail]
        yield from ([*front, key] for key in access.ranges)
        if front:
            yield front
    for key in access.joined:
        yield from ([key], [key, *equal], [*equal, key])
    if tail and (access.limited or access.group) and not equal:
        yield list(tail)
    yield from ([key] for key in equal[:3])


def _covered(table: Table, keys: tuple[Key, ...], fixed: tuple[str, str] | None) -> bool:
    """Whether an index of the table begins with these keys; a full one serves in place of a partial one, too."""
    if any(key.function or key.order or key.opclass for key in keys) or fixed is not None:
        return False
    wanted = tuple(key.column for key in keys)
    return any(covers(index, wanted) for index in table.indexes)


def covers(index: Index, columns: tuple[str, ...]) -> bool:
    """Whether an ordinary, valid index begins with these columns."""
    ordered = index.method.lower() == "btree" and index.valid and not index.predicate
    return ordered and index.plain[: len(columns)] == columns
