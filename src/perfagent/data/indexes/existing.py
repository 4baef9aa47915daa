"""Indexes that are not needed: the same twice, the beginning of another, never used, or invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.data.indexes import ddl
from perfagent.data.indexes.advice import Advice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.data.indexes.advice import Index, Table
    from perfagent.data.indexes.catalog import Catalog

ORDERED = ("btree",)  # of the others, one that begins with the same keys does not serve in the shorter one's place


def superfluous(catalog: Catalog, dialect: str) -> list[Advice]:
    """Duplicate and redundant indexes: each with the index that serves in its place."""
    return [advice for table in catalog.tables for advice in _superfluous(table, catalog, dialect)]


def _superfluous(table: Table, catalog: Catalog, dialect: str) -> Iterator[Advice]:
    gone: set[str] = set()
    # The longer before the shorter: what serves in a shorter one's place must still be there. Of twins the younger.
    for index in sorted(table.indexes, key=lambda one: (one.unique, -len(one.keys), one.scans or 0, -one.order)):
        if index.needed or not index.valid:
            continue
        for other in table.indexes:
            if other is index or other.name in gone or not other.valid:
                continue
            kind = _relation(index, other)
            if kind:
                gone.add(index.name)
                yield _to_drop(kind, table, index, other, catalog, dialect)
                break


def _relation(index: Index, other: Index) -> str:
    """`duplicate` or `redundant` where `other` serves wherever `index` does; else ""."""
    if (index.method, index.predicate) != (other.method, other.predicate):
        return ""
    if index.unique and not (other.unique and index.keys == other.keys):
        return ""
    held = other.included | frozenset(other.plain)
    if index.keys == other.keys and index.included <= held:
        return "duplicate" if index.included == other.included else "redundant"
    begins = other.keys[: len(index.keys)] == index.keys and index.method in ORDERED
    return "redundant" if begins and index.included <= held else ""


def _to_drop(kind: str, table: Table, index: Index, other: Index, catalog: Catalog, dialect: str) -> Advice:
    if kind == "duplicate":
        reason, notes = f"{other.name} is the same index", tuple[str, ...]()
    else:
        reason = f"{other.name} ({', '.join(other.columns)}) begins with the same keys and serves in its place"
        notes = ("the longer index is larger: look at what the statements take before and after",)
    statement = ddl.drop(dialect, table.schema, table.name, index.name)
    return Advice(
        kind,
        catalog.shown(table),
        index.columns,
        index.name,
        statement,
        reason,
        "statistics",
        size_bytes=index.size,
        writes_per_day=table.writes,
        keep=other.name,
        notes=notes,
    )


def unused(catalog: Catalog, dialect: str, since: str, smallest: int, notes: tuple[str, ...]) -> list[Advice]:
    """Indexes without a scan since the statistics count.

    Args:
        catalog: the tables.
        dialect: of the DDL.
        since: how long that is, for people.
        smallest: bytes; a smaller index costs nothing worth a change.
        notes: what to look at before.
    """
    found = []
    for table in catalog.tables:
        for one in table.indexes:
            if one.scans != 0 or one.unique or one.needed or not one.valid or (one.size or 0) < smallest:
                continue
            leads = [name for name, columns, _to in table.foreign if one.plain[: len(columns)] == columns]
            own = (f"serves the foreign key {leads[0]} when rows of the other table are deleted",) if leads else ()
            statement = ddl.drop(dialect, table.schema, table.name, one.name)
            found.append(
                Advice(
                    "unused",
                    catalog.shown(table),
                    one.columns,
                    one.name,
                    statement,
                    f"not used once in {since}",
                    "statistics",
                    size_bytes=one.size,
                    writes_per_day=table.writes,
                    notes=own + notes,
                )
            )
    return found


def invalid(catalog: Catalog, dialect: str) -> list[Advice]:
    """Indexes that a failed CREATE INDEX CONCURRENTLY left: they cost writes and are never read."""
    return [
        Advice(
            "invalid",
            catalog.shown(table),
            one.columns,
            one.name,
            ddl.drop(dialect, table.schema, table.name, one.name),
            "left invalid by a CREATE INDEX CONCURRENTLY that failed: written to and never read",
            "statistics",
            size_bytes=one.size,
            writes_per_day=table.writes,
            notes=("make it again where it is wanted", "one that is being built now is invalid until it is ready"),
        )
        for table in catalog.tables
        for one in table.indexes
        if not one.valid and not table.partitioned
    ]


def unindexed_keys(
    catalog: Catalog, dialect: str, smallest: float
) -> tuple[list[Advice], list[tuple[str, tuple[str, ...]]]]:
    """Foreign keys whose table has no index that begins with their columns.

    Args:
        catalog: the tables.
        dialect: of the DDL.
        smallest: rows; below, a delete in the other table reads the few rows anyway.

    Returns:
        The indexes to make where the other table loses rows, and table and columns where it never did.
    """
    from perfagent.data.indexes.advice import Key

    found, quiet = [], []
    for table in catalog.tables:
        for constraint, columns, leads in table.foreign:
            if table.rows < smallest or _led(table, columns):
                continue
            other = next((one for one in catalog.tables if f"{one.schema}.{one.name}" == leads), None)
            if other is None or not other.deletes:
                quiet.append((catalog.shown(table), tuple(ddl.quoted(column, dialect) for column in columns)))
                continue
            keys = [Key(column) for column in columns]
            index = ddl.name(table.name, keys)
            found.append(
                Advice(
                    "foreign_key",
                    catalog.shown(table),
                    tuple(ddl.key(key, dialect) for key in keys),
                    index,
                    ddl.create(dialect, table.schema, table.name, keys, index, online=not table.partitioned),
                    _deleting(table, other, constraint, catalog),
                    "statistics",
                    writes_per_day=table.writes,
                )
            )
    return found, quiet


def _led(table: Table, columns: tuple[str, ...]) -> bool:
    """Whether an index begins with these columns in whatever order."""
    return any(
        one.valid and not one.predicate and set(one.plain[: len(columns)]) == set(columns) for one in table.indexes
    )


def _deleting(table: Table, other: Table, constraint: str, catalog: Catalog) -> str:
    what = f"looks through {table.rows:,.0f} rows of {catalog.shown(table)} for the foreign key {constraint}"
    if table.writes is None:  # nobody counts
        return f"a statement deletes from {catalog.shown(other)}; each row {what}"
    return f"{other.deletes:,.0f} rows of {catalog.shown(other)} were deleted; each {what}"
