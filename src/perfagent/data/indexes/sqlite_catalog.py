"""What SQLite tells of its tables, indexes and statistics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl
from perfagent.data.indexes.advice import Index, Table
from perfagent.data.indexes.catalog import Catalog

if TYPE_CHECKING:
    import sqlite3

_WHERE = re.compile(r"\)\s*WHERE\b(.*)$", re.IGNORECASE | re.DOTALL)
WIDTH = 20  # bytes of a column, about
COUNTED = 1_000_000  # rows that are counted where there is no rowid


def read(connection: sqlite3.Connection) -> Catalog:
    """The tables with their columns, indexes and foreign keys; rows as ANALYZE counted them, else the largest rowid."""
    counts = statistics(connection)
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    tables = []
    for name, text in connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchall():
        if str(text).upper().startswith("CREATE VIRTUAL"):
            continue
        table = Table("", name)
        for _cid, column, kind, *_rest in connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)):
            table.columns[column] = kind
        rowid = not re.search(r"\bWITHOUT\s+ROWID\b", str(text), re.IGNORECASE)
        table.rows = _rows(connection, name, counts, rowid=rowid)
        table.pages = table.rows * WIDTH * len(table.columns) / page if rowid else 0  # 0 also says: no rowid to go by
        table.indexes = _indexes(connection, name)
        _known(table, counts)
        table.foreign = _keys(connection, name)
        tables.append(table)
    return Catalog(tables)


def statistics(connection: sqlite3.Connection) -> dict[tuple[str, str | None], list[int]]:
    """What ANALYZE found: rows, and rows that each of the leading keys leaves, by table and index."""
    found: dict[tuple[str, str | None], list[int]] = {}
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        for table, index, text in connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1"):
            numbers = [int(word) for word in str(text).split() if word.isdigit()]
            if numbers:
                found[table, index] = numbers
    return found


def _rows(connection: sqlite3.Connection, name: str, counts: dict[Any, list[int]], *, rowid: bool) -> float:
    counted = [numbers[0] for (table, _index), numbers in counts.items() if table == name]
    place = ddl.quoted(name, "sqlite")
    if counted:
        return max(counted)
    if rowid:
        found = connection.execute(f"SELECT max(rowid) FROM {place}").fetchone()[0]  # noqa: S608 - a quoted name
        return float(found or 0)
    limited = f"SELECT count(*) FROM (SELECT 1 FROM {place} LIMIT {COUNTED})"  # noqa: S608
    return float(connection.execute(limited).fetchone()[0])


def _indexes(connection: sqlite3.Connection, table: str) -> list[Index]:
    found = []
    texts = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
    for order, (name, unique, origin, partial) in enumerate(
        connection.execute('SELECT name, "unique", origin, partial FROM pragma_index_list(?)', (table,)).fetchall()
    ):
        text = texts.get(name) or ""
        rows = connection.execute(
            'SELECT cid, name, "desc", coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno', (name,)
        ).fetchall()
        shown = tuple(column or "(expression)" for _cid, column, _desc, _coll in rows)
        keys = tuple(f"{column or text.partition('(')[2]} {coll} {desc}" for _cid, column, desc, coll in rows)
        where = _WHERE.search(text) if partial else None
        found.append(
            Index(
                name,
                keys,
                shown,
                tuple(column or "" for _cid, column, _desc, _coll in rows),
                unique=bool(unique),
                needed=origin != "c",
                predicate=" ".join(where[1].split()) if where else "",
                order=-order,  # the list has the youngest first
            )
        )
    return found


def _known(table: Table, counts: dict[tuple[str, str | None], list[int]]) -> None:
    for index in table.indexes:
        numbers = counts.get((table.name, index.name))
        if numbers and len(numbers) > 1 and index.plain[0] and not index.predicate:
            table.distinct[index.plain[0]] = max(numbers[0] / max(numbers[1], 1), 1)


def _keys(connection: sqlite3.Connection, table: str) -> list[tuple[str, tuple[str, ...], str]]:
    found: dict[int, tuple[str, list[str]]] = {}
    for key, leads, column in connection.execute(
        'SELECT id, "table", "from" FROM pragma_foreign_key_list(?) ORDER BY id, seq', (table,)
    ):
        found.setdefault(key, (leads, []))[1].append(column)
    return [("to " + leads, tuple(columns), f".{leads}") for leads, columns in found.values()]
