"""A range of time as a folder of Parquet files, and back: to keep it, to move it, or to look at it with other tools."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import duckdb

from perfagent.hub.store import sql
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from pathlib import Path

    from perfagent.hub.store.store import Store

MANIFEST = "manifest.json"
IDENTIFIED = ("resources", "operations", "series")
# Which rows of a table belong to a range of ns, or of s for roll-ups; None for all.
TIMES = {
    "resources": None,
    "operations": None,
    "series": None,
    "frames": None,
    "stack_nodes": None,
    "stacks": None,
    "profile_contexts": None,
    "spans": "started >= {since} AND started < {until}",
    "logs": "time >= {since} AND time < {until}",
    "points": "time >= {since} AND time < {until}",
    "profile_samples": "time >= {since} AND time < {until}",
    "span_minutes": "minute * 1000000000 >= {since} AND minute * 1000000000 < {until}",
    "point_minutes": "minute * 1000000000 >= {since} AND minute * 1000000000 < {until}",
    "log_minutes": "minute * 1000000000 >= {since} AND minute * 1000000000 < {until}",
    "span_hours": "hour * 1000000000 >= {since} AND hour * 1000000000 < {until}",
    "profile_minutes": "minute * 1000000000 >= {since} AND minute * 1000000000 < {until}",
    "profile_hours": "hour * 1000000000 >= {since} AND hour * 1000000000 < {until}",
    "point_hours": "hour * 1000000000 >= {since} AND hour * 1000000000 < {until}",
}
# The schema that brought a table, for archives of before.
NEWER = dict.fromkeys(
    ("frames", "stack_nodes", "stacks", "profile_contexts", "profile_samples", "profile_minutes", "profile_hours"), 7
)


class ArchiveError(Exception):
    """An archive cannot be written or read; the text says why and what to do."""


def export(store: Store, folder: Path, since: float, until: float) -> dict[str, int]:
    """Writes a file for each table, and a manifest last: a folder without one is not complete.

    Args:
        store: where from.
        folder: made where it is missing; must be empty.
        since, until: seconds since the epoch; `until` is left out.

    Returns:
        Rows by table.

    Raises:
        ArchiveError: the folder is not empty, or cannot be written.
    """
    bounds = {"since": int(since * 1e9), "until": int(until * 1e9)}
    rows: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise ArchiveError(f"{folder} is not empty: name a new folder")
        with store.database.reading() as cursor:
            cursor.execute("BEGIN")  # one moment for every table, while others write
            for table, condition in TIMES.items():
                where = "" if condition is None else f"WHERE {condition.format(**bounds)}"
                target = _quoted(folder / f"{table}.parquet")
                cursor.execute(f"COPY (FROM {table} {where}) TO {target} (FORMAT parquet, COMPRESSION zstd)")
                rows[table] = int((cursor.fetchone() or (0,))[0])
            cursor.execute("COMMIT")
        manifest = {
            "schema": sql.migrations()[-1][0],
            "since": since,
            "until": until,
            "written": time.time(),
            "rows": rows,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    except (OSError, duckdb.Error) as error:
        raise ArchiveError(f"{folder} could not be written: {error}") from error
    return rows


def import_(store: Store, folder: Path) -> dict[str, int]:
    """Adds what an archive holds and the store has not; a second time adds nothing.

    Returns:
        Rows added by table.

    Raises:
        ArchiveError: there is no complete archive, or it is of a newer schema.
        StoreFailed: it could not be written; nothing was added.
    """
    schema = _check(folder)
    before = store.sizes()
    with store.transaction() as cursor:
        for table in TIMES:
            file = folder / f"{table}.parquet"
            if NEWER.get(table, 0) > schema:
                cursor.execute(f"CREATE OR REPLACE TEMP VIEW archived_{table} AS FROM {table} WHERE false")
                continue
            if not file.exists():
                raise ArchiveError(f"{file} is missing: the archive is not complete")
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW archived_{table} AS FROM read_parquet({_quoted(file)})")
        for text, _names in sql.statements("import"):
            cursor.execute(text)
        for kind in ("span", "point"):
            store.changed.note(cursor, _first(cursor, f"new_{kind}_minutes"))
    store.refresh()
    after = store.sizes()
    return {table: after[table] - before[table] for table in TIMES if table in after}


def _first(cursor: duckdb.DuckDBPyConnection, table: str) -> list[int]:
    (earliest,) = cursor.execute(f"SELECT min(minute) FROM {table}").fetchone() or (None,)  # noqa: S608 - one of two
    return [] if earliest is None else [int(earliest)]


def _check(folder: Path) -> int:
    """The schema of a complete archive."""
    if any(sign in str(folder) for sign in "*?["):
        raise ArchiveError(f"{folder}: DuckDB takes *, ? and [ in a name for a pattern; rename the folder")
    try:
        schema = int(json.loads((folder / MANIFEST).read_text())["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{folder} is no complete archive: {MANIFEST} cannot be read ({error})") from error
    newest = sql.migrations()[-1][0]
    if schema > newest:
        raise ArchiveError(
            f"{folder} is of schema {schema}, made by a newer perfagent; this one knows {newest}: "
            'pip install --upgrade "perfagent[hub]"'
        )
    return schema


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


__all__ = ["ArchiveError", "StoreFailed", "export", "import_"]
