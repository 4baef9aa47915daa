"""Keys that rows are sorted by, and the condition for those that come after a row: exact with ties, NULLs and DESC.

Without a word of the user's, NULL stands where the database sorts it by itself, so that a plain index serves: as the
largest value on PostgreSQL, as the smallest on SQLite and MySQL. DuckDB is told, for there a setting decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLE = 'key=[orders.c.created.desc(), orders.c.id] or key="-created"'


@dataclass(frozen=True, slots=True)
class Key:
    """One column of a key: the column, whether descending, where NULLs are (None: there are none, or the default)."""

    column: Any
    descending: bool = False
    nulls_first: bool | None = None
    nullable: bool = True

    def reversed(self) -> Key:
        """The same from the other end."""
        return replace(
            self,
            descending=not self.descending,
            nulls_first=None if self.nulls_first is None else not self.nulls_first,
        )

    def is_null_first(self, dialect: str) -> bool:
        """Where the database has NULLs in this order."""
        if self.nulls_first is not None:
            return self.nulls_first
        return self.descending if dialect == "postgresql" else not self.descending

    def order(self, dialect: str) -> Any:
        """What goes into ORDER BY."""
        found = self.column.desc() if self.descending else self.column.asc()
        if self.nullable and (self.nulls_first is not None or dialect == "duckdb"):
            found = found.nulls_first() if self.is_null_first(dialect) else found.nulls_last()
        return found

    def shape(self) -> str:
        """What tells this key from others, for cursors."""
        return f"{self.column}:{self.descending}:{self.nulls_first}"


def parse(given: Any, columns: Any) -> Key:
    """A key as somebody wrote it.

    Args:
        given: a column, with `.asc()`, `.desc()`, `.nulls_first()`, `.nulls_last()`, or the name of one, with `-`
            before it or ` desc` after it for descending.
        columns: those that a name may mean, by name.

    Raises:
        ValueError: for anything else.
    """
    operators = need("sqlalchemy.sql.operators", "PaginatedQuery")
    if isinstance(given, str):
        name, _, order = given.strip().partition(" ")
        descending = name.startswith("-") or order.strip().lower() == "desc"
        name = name.removeprefix("-")
        if name not in columns or order.strip().lower() not in ("", "asc", "desc"):
            raise wrong("key", given, f"a column of the query ({', '.join(columns.keys())})", _EXAMPLE)
        return _key(columns[name], descending, None)
    column = given.__clause_element__() if hasattr(given, "__clause_element__") else given
    descending, nulls_first = False, None
    while (operator := getattr(column, "modifier", None)) is not None:
        if operator is operators.desc_op:
            descending = True
        elif operator in (operators.nulls_first_op, operators.nulls_last_op):
            nulls_first = operator is operators.nulls_first_op
        elif operator is not operators.asc_op:
            break
        column = column.element
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    if not isinstance(column, sqlalchemy.ColumnElement):
        raise wrong("key", given, "a column, or the name of one", _EXAMPLE)
    return _key(column, descending, nulls_first)


def _key(column: Any, descending: bool, nulls_first: bool | None) -> Key:
    if hasattr(column, "__clause_element__"):
        column = column.__clause_element__()
    types = need("sqlalchemy", "PaginatedQuery").types
    if isinstance(column.type, (types.JSON, types.ARRAY, types.Enum)):
        raise wrong("key", str(column), f"a column of the type {column.type} has no order to page by", _EXAMPLE)
    return Key(column, descending, nulls_first, getattr(column, "nullable", True) is not False)


def check(keys: Sequence[Key], dialect: str) -> None:
    """Raises ValueError for what the database cannot sort or compare exactly."""
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    for key in keys:
        if dialect in ("mysql", "mariadb") and key.nulls_first is not None:
            raise wrong("key", str(key.column), f"{dialect} has no NULLS FIRST and NULLS LAST", "leave it out")
        single = isinstance(key.column.type, sqlalchemy.REAL) or (
            dialect in ("mysql", "mariadb") and type(key.column.type) in (sqlalchemy.Float, sqlalchemy.FLOAT)
        )
        if single and dialect != "sqlite":
            raise wrong("key", str(key.column), "a float of 32 bits does not equal what is read of it", _EXAMPLE)


def after(keys: Sequence[Key], values: Sequence[Any], dialect: str) -> Any:
    """The condition for the rows that come after the one of these values."""
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    bound = [
        None if value is None else sqlalchemy.literal(value, key.column.type)
        for key, value in zip(keys, values, strict=True)
    ]
    if dialect in ("postgresql", "sqlite") and len(keys) > 1 and _is_uniform(keys):
        row, limit = sqlalchemy.tuple_(*(key.column for key in keys)), sqlalchemy.tuple_(*bound)
        return row < limit if keys[0].descending else row > limit
    ways = []
    for position, key in enumerate(keys):
        equal = [_equal(one, value) for one, value in zip(keys[:position], bound[:position], strict=True)]
        beyond = _beyond(key, bound[position], dialect)
        if beyond is not None:
            ways.append(sqlalchemy.and_(*equal, beyond))
    condition = sqlalchemy.or_(*ways) if ways else sqlalchemy.false()
    first, limit = keys[0], bound[0]
    if len(keys) > 1 and not first.nullable:  # says the same once more, and lets an index begin at the row
        edge = first.column <= limit if first.descending else first.column >= limit
        condition = sqlalchemy.and_(edge, condition)
    return condition


def _is_uniform(keys: Sequence[Key]) -> bool:
    return all(not key.nullable and key.descending == keys[0].descending for key in keys)


def _equal(key: Key, value: Any) -> Any:
    return key.column.is_(None) if value is None else key.column == value


def _beyond(key: Key, value: Any, dialect: str) -> Any:
    """What comes after a value in one column alone; None where nothing does."""
    sqlalchemy = need("sqlalchemy", "PaginatedQuery")
    first = key.is_null_first(dialect)
    if value is None:
        return key.column.is_not(None) if first else None
    found = key.column < value if key.descending else key.column > value
    return sqlalchemy.or_(found, key.column.is_(None)) if key.nullable and not first else found
