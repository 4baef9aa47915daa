"""Which form a select must have to be paged, and which key tells all of its rows apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfagent.data import keysets
from perfagent.data.extras import need, wrong
from perfagent.data.keysets import Key

_EXAMPLE = "PaginatedQuery(engine, select(orders), key=[orders.c.created.desc()])"


def shaped(select: Any, key: Any, unique: bool) -> tuple[Any, list[Key]]:
    """The statement to be paged, and its whole key.

    Args:
        select: as for `PaginatedQuery`.
        key: as for `PaginatedQuery`.
        unique: as for `PaginatedQuery`.

    Raises:
        ValueError: for a select or a key that will not do.
    """
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    if isinstance(select, (str, bytes)) or select is None:
        raise wrong("select", select, "a select of SQLAlchemy, a table or a mapped class", _EXAMPLE)
    if not isinstance(select, sqlalchemy.sql.expression.SelectBase):
        try:
            select = sqlalchemy.select(select)
        except sqlalchemy.exc.ArgumentError:
            raise wrong("select", select, "a select of SQLAlchemy, a table or a mapped class", _EXAMPLE) from None
    if _is_plain(select):
        return _direct(select, key, unique)
    return _wrapped(select, key, unique)


def _is_plain(select: Any) -> bool:
    """Whether a condition and columns more do not change what the other columns say."""
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    if not isinstance(select, sqlalchemy.Select):
        return False
    limited = (select._limit_clause, select._offset_clause, select._fetch_clause)
    if (
        select._distinct
        or select._group_by_clauses
        or select._having_criteria
        or any(one is not None for one in limited)
    ):
        return False
    over = sqlalchemy.sql.elements.Over
    columns = list(select.selected_columns)
    return not any(isinstance(part, over) for column in columns for part in sqlalchemy.sql.visitors.iterate(column))


def _direct(select: Any, key: Any, unique: bool) -> tuple[Any, list[Key]]:
    tables: list[tuple[Any, bool]] = []
    for source in select.get_final_froms():
        _collect(source, False, tables)
    named = {name: column for table, _ in reversed(tables) for name, column in table.c.items()}
    named.update(select.selected_columns.items())
    outer = {column for table, is_outer in tables if is_outer for column in table.c}
    keys = _given(key, select, named)
    if not unique and not _is_unique(keys, tables):
        for table, _ in tables:
            own = list(table.primary_key)
            if not own:
                raise wrong(
                    "key",
                    [str(one.column) for one in keys],
                    f"{table.name} has no primary key, so rows may be equal in it",
                    "unique=True where you know that no two are, or a table with a primary key",
                )
            known = [one.column for one in keys]
            keys += [Key(column, nullable=False) for column in own if not _has(known, column)]
    if not keys:
        raise wrong("key", key, "one column at least", _EXAMPLE)
    return select, [replace(one, nullable=True) if one.column in outer else one for one in keys]


def _wrapped(select: Any, key: Any, unique: bool) -> tuple[Any, list[Key]]:
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    limited = getattr(select, "_limit_clause", None) is not None or getattr(select, "_offset_clause", None) is not None
    bare = select.order_by(None) if hasattr(select, "order_by") and not limited else select
    inner = bare.subquery("paged")
    named = dict(inner.c.items())
    keys = []
    for one in _given(key, select, named):
        column = one.column if _has(list(inner.c), one.column) else inner.corresponding_column(one.column)
        if column is None:
            column = named.get(getattr(one.column, "key", ""))
        if column is None:
            raise wrong("key", str(one.column), f"a column of the query ({', '.join(named)})", _EXAMPLE)
        keys.append(replace(one, column=column, nullable=True))
    if not unique:
        added = _telling_apart(select, inner)
        if added is None:
            raise wrong(
                "key",
                [str(one.column) for one in keys],
                "this query does not tell whether two rows may be equal in it",
                "unique=True where you know that no two are",
            )
        keys += [Key(column) for column in added if not _has([one.column for one in keys], column)]
    if not keys:
        raise wrong("key", key, "one column at least", _EXAMPLE)
    return sqlalchemy.select(inner), keys


def _telling_apart(select: Any, inner: Any) -> list[Any] | None:
    """The columns of a subquery that no two of its rows have in common; None where that is not known."""
    if getattr(select, "_distinct", False) is True:
        return list(inner.c)
    groups = list(getattr(select, "_group_by_clauses", ()))
    found = [inner.corresponding_column(group) for group in groups]
    return found if groups and all(column is not None for column in found) else None


def _given(key: Any, select: Any, named: dict[str, Any]) -> list[Key]:
    """The key as it was given, or the select's own order."""
    order = list(getattr(select, "_order_by_clauses", ()))
    if key is None:
        parts = order
    elif order:
        raise wrong("key", key, "the select has an ORDER BY of its own", "key=… or select(…).order_by(…), and not both")
    else:
        parts = list(key) if isinstance(key, (list, tuple)) else [key]
    keys = [keysets.parse(part, named) for part in parts]
    columns = [one.column for one in keys]
    if any(_has(columns[:place], column) for place, column in enumerate(columns)):
        raise wrong("key", key, "each column once", _EXAMPLE)
    return keys


def _collect(source: Any, outer: bool, tables: list[tuple[Any, bool]]) -> None:
    """The tables of a FROM, and whether all of their columns may be NULL in it."""
    if hasattr(source, "isouter"):
        _collect(source.left, outer or source.full, tables)
        _collect(source.right, outer or source.isouter or source.full, tables)
    elif getattr(source, "c", None) is not None:
        tables.append((source, outer))


def _is_unique(keys: list[Key], tables: list[tuple[Any, bool]]) -> bool:
    """Whether the key has all columns of a unique constraint of the only table, none of which may be NULL."""
    if len(tables) != 1 or tables[0][1]:
        return False
    table = tables[0][0]
    columns = [one.column for one in keys]
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    found = [
        list(one.columns) for one in getattr(table, "constraints", ()) if isinstance(one, sqlalchemy.UniqueConstraint)
    ]
    found += [[column] for column in table.c if getattr(column, "unique", False)]
    return any(all(_has(columns, one) and not one.nullable for one in group) for group in found if group)


def _has(columns: list[Any], column: Any) -> bool:
    return any(one is column or one.compare(column) for one in columns)
