"""Opens the database: brings its schema up to date, and sets a file aside that cannot be read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import duckdb

from perfagent.hub.store import sql
from perfagent.hub.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

FILE = "hub.duckdb"
_DAMAGED = (
    "not a valid DuckDB",
    "checksum",
    "Corrupt",
    "corrupt",
    "serializ",
    "Failure while replaying WAL",
    "magic bytes",
    "Could not read enough bytes",
)


def connect(directory: Path, memory_mib: int, notes: list[str]) -> duckdb.DuckDBPyConnection:
    """The database of the folder with the newest schema.

    Args:
        directory: of the file; made where it is missing.
        memory_mib: the most memory that DuckDB may use, MiB.
        notes: takes a sentence for a file that was set aside.

    Raises:
        StoreUnavailable: why not, and what to do.
    """
    path = directory / FILE
    for _ in range(2):  # the log may be set aside, then the file
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _open(path, memory_mib)
        except (duckdb.Error, OSError) as error:
            if not is_damage(error):
                raise StoreUnavailable(_reason(path, error)) from error
            notes.append(set_aside(path, error))
    return _open(path, memory_mib)


def is_damage(error: BaseException) -> bool:
    """Whether DuckDB says that the file is damaged, as opposed to locked, not ours, or without room."""
    return isinstance(error, duckdb.Error) and any(word in str(error) for word in _DAMAGED)


def _open(path: Path, memory_mib: int) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib}MiB",
        # A query of one thread takes 180 ms of the overview and two thirds of the CPU of one of two, which takes 230.
        "threads": 1,
        "temp_directory": str(path.parent / "overflow"),
        "checkpoint_threshold": "1TiB",  # never by itself: see Database
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(str(path), config=config)
    try:
        os.chmod(path, 0o600)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def set_aside(path: Path, error: BaseException) -> str:
    """Renames the log, where that alone is damaged, or the file with its log; returns a sentence about it."""
    aside = f"corrupt-{time.strftime('%Y%m%d-%H%M%S')}"
    reason = str(error).splitlines()[0]
    log = path.with_name(f"{path.name}.wal")
    if "replaying WAL" in reason and log.exists():
        log.replace(log.with_name(f"{log.name}.{aside}"))
        return f"{log} could not be read ({reason}); what was stored last, up to some minutes, is lost"
    path.replace(path.with_name(f"{path.name}.{aside}"))
    if log.exists():
        log.replace(path.with_name(f"{path.name}.{aside}.wal"))
    return f"{path} could not be read ({reason}); it was set aside as {path.name}.{aside}, and a new one was begun"


def _migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied BIGINT NOT NULL)")
    done = {row[0] for row in connection.execute("SELECT number FROM migrations").fetchall()}
    steps = sql.migrations()
    newest = steps[-1][0]
    if done and max(done) > newest:
        raise StoreUnavailable(
            f"{path} is of schema {max(done)}, made by a newer perfagent; this one knows {newest}: "
            'pip install --upgrade "perfagent[hub]", or set PERFAGENT_HUB_DIR to another folder'
        )
    for number, text in steps:
        if number not in done:
            connection.execute("BEGIN")
            connection.execute(text)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", [number, time.time_ns()])
            connection.execute("COMMIT")


def _reason(path: Path, error: Exception) -> str:
    text = str(error).splitlines()[0]
    if "lock" in text:
        return (
            f"{path} is in use by another process: `perfagent hub --status` tells which, `perfagent hub --stop` ends it"
        )
    if "version" in text:
        return f'{path} was written by a newer DuckDB: pip install --upgrade "perfagent[hub]" ({text})'
    if isinstance(error, PermissionError) or "ermission" in text:
        return f"{path} may not be written: set PERFAGENT_HUB_DIR to a folder of yours ({text})"
    if "space" in text or "Read-only" in text:
        return f"{path} has no room: free some, or set PERFAGENT_HUB_DIR to another disk ({text})"
    return f"{path} cannot be opened: {text}"
