"""The database: one file, one writer, readers that never wait for it."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from perfagent.hub.store import opening, sql, tables
from perfagent.hub.store.deltas import Deltas
from perfagent.hub.store.errors import StoreFailed, StoreUnavailable
from perfagent.hub.store.known import Known, move
from perfagent.hub.store.rows import Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perfagent.hub.store.rows import Batch, Row

__all__ = ["Store", "StoreFailed", "StoreUnavailable"]

COUNTED = ("spans", "logs", "points", "series", "operations", "resources")
log = logging.getLogger("perfagent.hub")


class Store:
    """What the hub keeps; made by `Store.open`.

    Every method may be called from any thread. Writers wait for each other; readers see the last commit.
    """

    def __init__(self, directory: Path, memory_mib: int) -> None:
        self.path = directory / opening.FILE
        self.notes: list[str] = []
        """What a person should know about the file, such as that a corrupt one was set aside."""
        self._memory = memory_mib
        self._writing = threading.Lock()
        self._open()

    @classmethod
    def open(cls, directory: Path, memory_mib: int) -> Store:
        """The store of a folder, with the newest schema.

        Args:
            directory: of the file `hub.duckdb`.
            memory_mib: the most memory of the database, MiB.

        Raises:
            StoreUnavailable: it is in use, not ours, of a newer version, or there is no room; the text says what to do.
        """
        return cls(directory, memory_mib)

    def _open(self) -> None:
        self._broken = False
        self._damage: BaseException | None = None
        self._connection = opening.connect(self.path.parent, self._memory, self.notes)
        try:
            self.refresh()
        except duckdb.Error as error:
            self._connection.close()
            if not opening.is_damage(error):
                raise StoreUnavailable(f"{self.path} cannot be read: {error}") from error
            self.notes.append(opening.set_aside(self.path, error))
            self._connection = opening.connect(self.path.parent, self._memory, self.notes)
            self.refresh()

    def refresh(self) -> None:
        """Reads anew what the store remembers of the database, after something else than `append` has added to it."""
        self._known = Known(
            (row["id"] for row in self._all("SELECT id FROM resources")),
            ((row["id"], row["service"]) for row in self._all("SELECT id, service FROM operations")),
            (Series(**row) for row in self._all("SELECT * EXCLUDE (first_seen) FROM series")),
        )
        self._deltas = Deltas(self._all("SELECT * FROM running ORDER BY time"))
        self._hours = int(self._all("SELECT hours FROM progress")[0]["hours"])

    def _all(self, text: str) -> list[Row]:
        return _rows(self._connection.cursor().execute(text))

    def append(self, batches: Sequence[Batch]) -> None:
        """Stores batches and their roll-ups in one transaction, durable when this returns.

        Raises:
            StoreFailed: nothing of them is stored; the text says why.
        """
        with self.transaction() as cursor:
            fresh = self._known.fresh(batches)
            self._add(cursor, "resources", list(fresh.resources.values()), tables.RESOURCES)
            self._add(cursor, "operations", list(fresh.operations.values()), tables.OPERATIONS)
            self._add(cursor, "series", list(fresh.series.values()), tables.SERIES)
            spans = move([row for batch in batches for row in batch.spans], fresh.moved)
            self._insert(cursor, "spans", spans, tables.SPANS)
            self._insert(cursor, "logs", [row for batch in batches for row in batch.logs], tables.LOGS)
            points = [row for batch in batches for row in batch.points]
            known = self._known.series
            differences, running = self._deltas.apply(points, {**known, **fresh.series} if fresh.series else known)
            self._insert(cursor, "points", differences, tables.POINTS)
            if running:
                incoming = tables.table(running, tables.RUNNING)  # noqa: F841 - DuckDB finds tables by their variable
                cursor.execute("INSERT INTO running BY NAME SELECT * FROM incoming")
        self._known.committed(fresh)
        self._deltas.committed(running)

    @staticmethod
    def _add(cursor: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> None:
        if rows:
            incoming = tables.table(rows, schema)  # noqa: F841
            cursor.execute(
                f"INSERT OR IGNORE INTO {name} BY NAME SELECT *, {time.time_ns()} AS first_seen FROM incoming"  # noqa: S608
            )

    def _insert(
        self, cursor: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema
    ) -> None:
        """The rows, and their roll-ups by `statements/roll_up_NAME.sql`."""
        if rows:
            incoming = tables.table(rows, schema)
            cursor.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")  # noqa: S608 - a name of ours
            cursor.register("incoming", incoming)
            _run(cursor, f"roll_up_{name}", {"hours": self._hours})
            cursor.unregister("incoming")

    def run(self, statements: str, **parameters: object) -> None:
        """Runs `statements/STATEMENTS.sql` in one transaction.

        Raises:
            StoreFailed: as `append` does.
        """
        with self.transaction() as cursor:
            _run(cursor, statements, parameters)
        self._hours = int(self._all("SELECT hours FROM progress")[0]["hours"])

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor in a transaction that is committed at the block's end, or rolled back where it raises.

        Raises:
            StoreFailed: nothing of it is stored.
        """
        with self._writing:
            if self._broken:
                self._reopen()
            cursor = self._connection.cursor()
            try:
                cursor.execute("BEGIN")
                yield cursor
                cursor.execute("COMMIT")
            except (duckdb.Error, pa.ArrowException, OverflowError) as error:
                self._roll_back(cursor, error)
                raise StoreFailed(self._advice(error)) from error
            except BaseException as error:
                self._roll_back(cursor, error)
                raise
            finally:
                cursor.close()

    def _roll_back(self, cursor: duckdb.DuckDBPyConnection, error: BaseException) -> None:
        if opening.is_damage(error):
            self._damage = error
        fatal = isinstance(error, (duckdb.FatalException, duckdb.InternalException))
        self._broken = fatal or self._damage is not None or "invalidated" in str(error)
        try:
            cursor.execute("ROLLBACK")
        except duckdb.Error:  # the failure has ended the transaction
            pass

    def _reopen(self) -> None:
        """After a failure that DuckDB calls fatal, as a full disk at a commit is: nothing works until it is opened."""
        try:
            self._connection.close()
            if self._damage is not None:
                self.notes.append(opening.set_aside(self.path, self._damage))
                log.error("%s", self.notes[-1])
            self._open()
        except (duckdb.Error, StoreUnavailable) as error:
            raise StoreFailed(self._advice(error)) from error
        log.warning("%s was opened again after a failure", self.path)

    def _advice(self, error: BaseException) -> str:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "space" in text.lower() or "File too large" in text or "Disk quota" in text:
            return f"there is no room for {self.path}: free some, or lower PERFAGENT_RETENTION_SIZE ({text})"
        return f"{self.path} could not be written: {text}"

    def rows(self, query: str, /, **parameters: object) -> list[Row]:
        """The rows of `queries/QUERY.sql`, each a dict by column.

        Args:
            query: the file's name without its ending, such as `traces/search`.
            parameters: values for its `$names`; what it does not name is left out.
        """
        text, names = sql.query(query)
        given = {name: value for name, value in parameters.items() if name in names}
        cursor = self._connection.cursor()
        try:
            return _rows(cursor.execute(text, given))
        except duckdb.Error as error:
            if opening.is_damage(error):  # a file that was cut off is noticed by the first who reads what is missing
                self._broken, self._damage = True, error
            raise
        finally:
            cursor.close()

    def audit(
        self, role: str, client: str, action: str, subject: str, before: object = None, after: object = None
    ) -> None:
        """Notes who changed what.

        Args:
            role: of the one who did.
            client: where from.
            action, subject: such as "thresholds.set" and "memory_usage_percent".
            before, after: what JSON can hold.
        """
        with self.transaction() as cursor:
            values = [time.time_ns(), role, client, action, subject, json.dumps(before), json.dumps(after)]
            cursor.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def document(self, name: str) -> object | None:
        """The document of that name; None where there is none."""
        cursor = self._connection.cursor()
        row = cursor.execute("SELECT content FROM documents WHERE name = ?", [name]).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, name: str, content: object) -> None:
        """Keeps a document of what JSON can hold, in place of the one of that name."""
        with self.transaction() as cursor:
            values = [name, json.dumps(content), time.time_ns()]
            cursor.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", values)

    def sizes(self) -> dict[str, int]:
        """`bytes` of the file with its log, and the rows of each table."""
        wal = self.path.with_name(f"{self.path.name}.wal")
        found = {"bytes": sum(file.stat().st_size for file in (self.path, wal) if file.exists())}
        (row,) = self._all("SELECT " + ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in COUNTED))  # noqa: S608
        return found | row

    def used(self) -> int:
        """Bytes of the file that hold something; what was deleted is used again before the file grows."""
        (row,) = self._all("SELECT used_blocks * block_size AS used FROM pragma_database_size()")
        return int(row["used"])

    def checkpoint(self) -> None:
        """Moves what is in the log into the file, and gives back what was deleted."""
        with self._writing:
            self._connection.execute("CHECKPOINT")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own, for what no query file can say; to be closed."""
        return self._connection.cursor()

    def close(self) -> None:
        """Writes what is only in the log into the file, and lets go of it."""
        with self._writing:
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.Error as error:
                log.warning("%s: the last checkpoint failed (%s); the log is read at the next start", self.path, error)
            self._connection.close()


def _run(cursor: duckdb.DuckDBPyConnection, statements: str, parameters: dict[str, object]) -> None:
    for text, names in sql.statements(statements):
        cursor.execute(text, {name: value for name, value in parameters.items() if name in names})


def _rows(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
