"""Advice for SQLite: its planner is asked on an empty copy of the schema in memory, with the statistics copied."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from perfagent.data.indexes import ddl, existing, sampling, sqlite_catalog
from perfagent.data.indexes.advice import IndexReport, Statement
from perfagent.data.indexes.connect import TIMEOUT, UnreachableError
from perfagent.data.indexes.making import missing
from perfagent.data.indexes.search import questions, search
from perfagent.data.indexes.sqlite_plan import Copied, index_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfagent.data.indexes.advice import Table
    from perfagent.data.indexes.catalog import Catalog
    from perfagent.data.indexes.limits import Limits

NO_STATEMENTS = "SQLite records no statements: give them with --statements FILE, or those a hub recorded with --hub"
HOW = "SQLite's planner chooses the index on an empty copy of the schema; the cost is estimated"


def advise(url: Any, statements: Sequence[Statement] | None, limits: Limits) -> IndexReport:
    """The report on one file; arguments as for `perfagent.advise_indexes`; raises UnreachableError, ValueError."""
    with opened(url) as connection:
        try:
            return _advise(connection, url, statements, limits)
        except sqlite3.Error as error:
            raise UnreachableError(f"{url.database}: {error}") from None


@contextlib.contextmanager
def opened(url: Any, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to the file, which must be there; one that only reads, and gives up after 10 s, unless it writes."""
    path = (url.database or "").removeprefix("file:")
    if path in ("", ":memory:"):
        raise ValueError("a database in memory is empty to others; name its file: sqlite:///file.db")
    if not Path(path).is_file():
        raise UnreachableError(f"{path}: no such file")
    connection = sqlite3.connect(f"file:{quote(path)}?mode={'rw' if write else 'ro'}", uri=True, timeout=10)
    if not write:
        until = time.monotonic() + TIMEOUT
        connection.set_progress_handler(lambda: time.monotonic() > until, 100_000)
    try:
        yield connection
    finally:
        connection.close()


def _advise(
    connection: sqlite3.Connection, url: Any, statements: Sequence[Statement] | None, limits: Limits
) -> IndexReport:
    catalog = sqlite_catalog.read(connection)
    notes = [] if statements else [NO_STATEMENTS]
    skipped: list[tuple[str, str]] = []

    def ask(sql: str) -> Any:
        try:
            return connection.execute(sql).fetchone()
        except sqlite3.Error:
            return None

    given = statements or ()
    asked = questions(
        given,
        "sqlite",
        catalog,
        limits.rows,
        lambda *one: skipped.append(one),
        lambda access: sampling.learn(access, ask, sample),
    )
    with Copied(connection, catalog) as planner:
        found = search(asked, planner, limits.factor, lambda *one: skipped.append(one))
        notes += _unused(planner, given, catalog, skipped)
    advice = missing(found, catalog, "sqlite", "plan", HOW, {}, limits, index_name)
    _deleted(given, catalog)
    keys, _quiet = existing.unindexed_keys(catalog, "sqlite", limits.rows)
    begun = {(one.table, one.columns[: len(key.columns)]) for one in advice for key in keys}
    advice += [key for key in keys if (key.table, key.columns) not in begun]
    advice += existing.superfluous(catalog, "sqlite")
    version = f"SQLite {sqlite3.sqlite_version}, {url.database}"
    return IndexReport(version, tuple(advice), len(given), tuple(skipped), tuple(notes))


def sample(table: Table, column: str) -> str:
    """The SELECT of a sample of one column: all rows of a small table, else a tenth from each tenth of the rowids."""
    place, name = ddl.quoted(table.name, "sqlite"), ddl.quoted(column, "sqlite")
    if table.rows <= sampling.ROWS or not table.pages:
        return f"SELECT {name} v FROM {place} LIMIT {sampling.ROWS}"  # noqa: S608 - quoted names
    each = sampling.ROWS // sampling.PARTS
    selects = [
        f"SELECT * FROM (SELECT {name} v FROM {place} WHERE rowid >= {low} AND rowid < {high} LIMIT {each})"  # noqa: S608
        for low, high in sampling.parts(0, int(table.rows))
    ]
    return " UNION ALL ".join(selects)


def _unused(planner: Copied, given: Sequence[Statement], catalog: Catalog, skipped: list[tuple[str, str]]) -> list[str]:
    """Indexes that no statement uses, where all could be planned; only as true as the statements are complete."""
    if len(given) < 2 or skipped:
        return []
    seen = planner.used([one.sql for one in given])
    idle = [
        one.name
        for table in catalog.tables
        for one in table.indexes
        if one.name not in seen and not one.unique and not one.needed
    ]
    if not idle:
        return []
    return [f"none of the {len(given)} statements uses {', '.join(idle)}: unused, if there are no other statements"]


def _deleted(given: Sequence[Statement], catalog: Catalog) -> None:
    """Marks the tables that a statement deletes from."""
    for one in given:
        words = one.sql.split(None, 3)
        if len(words) > 2 and [word.lower() for word in words[:2]] == ["delete", "from"]:
            table = catalog.find(words[2].strip('"`[];'))
            if table is not None:
                table.deletes = 1
