"""One index, made on purpose: what its statement is, whether it can be, and making it without stopping anybody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import connect, ddl
from perfagent.data.indexes.advice import Key
from perfagent.data.indexes.advise import named
from perfagent.data.indexes.catalog import Catalog, nearest
from perfagent.data.indexes.catalog import column as column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.data.indexes.advice import Index, Table

_ORDERED = re.compile(r"^(.+):(asc|desc)$", re.IGNORECASE)
_FUNCTION = re.compile(r"^(lower|upper)\((.+)\)$", re.IGNORECASE)
MYSQL_METHODS = ("btree", "hash")
LIKE_METHODS = "btree", ""


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index that is not there yet.

    Args:
        database: its kind and address; never a password.
        dialect: `postgres`, `mysql` or `sqlite`.
        table: its table, with its schema where that is not the default one.
        schema: of the index; "" for the default one.
        index: its name.
        ddl: the statement that makes it.
        exists: the name of an index that is the same already; "" for none.
        notes: what making it does to others, and about how much it will be.
    """

    database: str
    dialect: str
    table: str
    schema: str
    index: str
    ddl: str
    exists: str = ""
    notes: tuple[str, ...] = ()


def new_index(
    table: str,
    columns: Sequence[str],
    url: str = "",
    *,
    unique: bool = False,
    where: str = "",
    method: str = "",
    name: str = "",
) -> NewIndex:
    """The statement for an index; looks at the table, and changes nothing.

    Args:
        table: its name, as `table` or `schema.table`.
        columns: names; also `name:desc`, and `lower(name)` or `upper(name)`.
        url: of the database; PERFAGENT_DATABASE_URL or DATABASE_URL when left out.
        unique: whether duplicates are refused.
        where: the condition of a partial index, such as `paid IS NULL`.
        method: such as `gin`; the database's default when left out.
        name: of the index; made from table and columns when left out.

    Raises:
        ValueError: the table, a column, the method or the condition is not there or not accepted; it names the nearest.
        UnreachableError: the database does not answer; a RuntimeError of one line.
    """
    address = connect.parsed(named(url))
    if not columns:
        raise ValueError("no column is named; such as: index create orders customer_id")
    dialect, database, catalog, methods = _looked(address)
    found = catalog.wanted(table)
    keys = [_key(text, found) for text in columns]
    condition = _condition(where, dialect, found) if where else ""
    if method and method.lower() not in methods:
        raise ValueError(f"no method {method!r} here; {nearest(method, methods)}")
    index = name or ddl.name(found.name, keys, condition, unique=unique, method=method.lower())
    if len(index.encode()) > ddl.LONGEST and dialect != "sqlite":
        raise ValueError(f"the name {index!r} is longer than {ddl.LONGEST} bytes")
    online = not found.partitioned
    text = ddl.create(
        dialect,
        found.schema,
        found.name,
        keys,
        index,
        where=condition,
        unique=unique,
        method=method.lower(),
        online=online,
    )
    plain = not condition and method.lower() in LIKE_METHODS
    same = _same(found, keys, unique=unique) if plain else None
    taken = [one for other in catalog.tables if other.schema == found.schema for one in other.indexes]
    twin = next((one for one in taken if one.name == index), None) if dialect != "mysql" else None
    if same is None and twin is not None:
        invalid = f", but invalid: {ddl.drop(dialect, found.schema, found.name, index)}"
        raise ValueError(
            f"an index {index!r} is there already{'' if twin.valid else invalid}; name this one with --name"
        )
    return NewIndex(
        database,
        dialect,
        catalog.shown(found),
        found.schema,
        index,
        text,
        same.name if same is not None else "",
        _notes(found, dialect, online=online),
    )


def _looked(address: Any) -> tuple[str, str, Catalog, Sequence[str]]:
    """Dialect, database, tables and methods."""
    kind = address.get_backend_name()
    if kind == "sqlite":
        from perfagent.data.indexes import sqlite, sqlite_catalog

        with sqlite.opened(address) as file:
            return "sqlite", f"SQLite, {address.database}", sqlite_catalog.read(file), ()
    if kind == "mysql":
        from perfagent.data.indexes import mysql_catalog

        if not address.database:
            raise ValueError("the URL names no database; it should be such as mysql://user@host/database")
        with connect.reading(address) as connection, connect.answering():
            about = mysql_catalog.server(connection)
            found = mysql_catalog.read(connection, about)
            return "mysql", f"{about.name} {about.version}, {connect.shown(address)}", found, MYSQL_METHODS
    from perfagent.data.indexes import postgres_catalog

    with connect.reading(address) as connection, connect.answering():
        server = postgres_catalog.server(connection)
        catalog = postgres_catalog.read(connection, server)
        methods = [row[0] for row in connection.exec_driver_sql("SELECT amname FROM pg_am WHERE amtype = 'i'")]
        return "postgres", f"PostgreSQL {server.version}, {connect.shown(address)}", catalog, methods


def _key(text: str, table: Table) -> Key:
    name, function, order = text, "", ""
    if column_of(table, name) is None and (found := _ORDERED.match(name)):
        name, order = found[1], "DESC" if found[2].lower() == "desc" else ""
    if column_of(table, name) is None and (found := _FUNCTION.match(name)):
        function, name = found[1].lower(), found[2].strip()
    column = column_of(table, name)
    if column is None:
        raise ValueError(f"no column {name!r} in {table.name}; {nearest(name, list(table.columns))}")
    return Key(column, function, order)


def _condition(text: str, dialect: str, table: Table) -> str:
    """The condition of a partial index, written anew from what the parser understood: nothing else gets through."""
    if dialect == "mysql":
        raise ValueError("--where is not accepted: MySQL and MariaDB have no partial indexes")
    import sqlglot
    from sqlglot import exp

    wrong = f'where={text!r} is not accepted: one condition on columns of the table, such as "paid IS NULL"'
    try:
        trees = sqlglot.parse(f"SELECT 1 WHERE {text}", read=dialect)
    except Exception:  # the parser raises IndexError and more on odd text
        raise ValueError(wrong) from None
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Select) or {key for key, value in tree.args.items() if value} != {
        "expressions",
        "where",
    }:
        raise ValueError(wrong)
    if (
        list(tree.find_all(exp.Subquery, exp.Placeholder, exp.Parameter, exp.Command))
        or len(list(tree.find_all(exp.Select))) > 1
    ):
        raise ValueError(wrong)
    for one in list(tree.find_all(exp.Column)):
        column = column_of(table, one.name)
        if column is None:
            raise ValueError(f"no column {one.name!r} in {table.name}; {nearest(one.name, list(table.columns))}")
        one.replace(exp.column(exp.to_identifier(column, quoted=True)))
    return str(tree.args["where"].this.sql(dialect, comments=False))


def _same(table: Table, keys: Sequence[Key], *, unique: bool) -> Index | None:
    if any(key.function or key.order for key in keys):
        return None
    wanted = tuple(key.column for key in keys)
    for one in table.indexes:
        serves = one.valid and not one.predicate and one.method == "btree" and (one.unique or not unique)
        if serves and one.plain == wanted:
            return one
    return None


def _notes(table: Table, dialect: str, *, online: bool) -> tuple[str, ...]:
    size = f"{table.name} has about {table.rows:,.0f} rows in {table.pages:,.0f} pages, all of which are read"
    if dialect == "sqlite":
        return (f"{table.name} has about {table.rows:,.0f} rows, all of which are read; others cannot write meanwhile",)
    if not online:
        return (size, "the table is partitioned: nobody can write to it meanwhile")
    if dialect == "mysql":
        return (size, "reading and writing go on; a moment's lock on the table's definition at begin and end")
    return (
        size,
        "reading and writing go on; the table is read twice, and transactions that are older are waited for",
        "it cannot run in a transaction, and leaves an invalid index when it fails, which is dropped",
    )


def make_index(new: NewIndex, url: str = "", progress: Callable[[str], None] | None = None) -> None:
    """Makes the index; returns when it is there.

    Args:
        new: from `new_index`.
        url: of the same database.
        progress: is told how far it is, a line at a time.

    Raises:
        UnreachableError: it could not be made; what an attempt left is dropped, or it says how to. A RuntimeError.
    """
    address = connect.parsed(named(url))
    if new.dialect == "postgres":
        from perfagent.data.indexes import building

        building.build(address, new, progress or (lambda _line: None))
    elif new.dialect == "mysql":
        with connect.answering():
            made = connect.engine(address, isolation_level="AUTOCOMMIT")
            with made.connect() as connection:
                connection.exec_driver_sql(new.ddl)
    else:
        import sqlite3

        from perfagent.data.indexes import sqlite

        with sqlite.opened(address, write=True) as file:
            try:
                file.execute(new.ddl)
                file.commit()
            except sqlite3.Error as error:
                raise connect.UnreachableError(str(error)) from None
