"""The database: one file, one writer, readers that never wait for it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import duckdb

from perfagent.hub.store import rollups, sql, tables
from perfagent.hub.store.changed import Changed
from perfagent.hub.store.database import Database
from perfagent.hub.store.deltas import Deltas
from perfagent.hub.store.errors import StoreFailed, StoreUnavailable
from perfagent.hub.store.known import Known, move
from perfagent.hub.store.profiles import Stacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from perfagent.hub.store.rows import Batch, Row

__all__ = ["Store", "StoreFailed", "StoreUnavailable"]

ATTEMPTS = 3  # to read, while the file is opened again and again
COUNTED = ("spans", "logs", "points", "profile_samples", "stacks", "series", "operations", "resources")


class Store:
    """What the hub keeps; made by `Store.open`.

    Every method may be called from any thread. Writers wait for each other; readers see the last commit.
    """

    def __init__(self, directory: Path, memory_mib: int) -> None:
        sql.read_all()
        self.database = Database(directory, memory_mib)
        self.path = self.database.path
        try:
            self.refresh()
        except duckdb.Error as error:  # damage that had not been noticed, and not only in one part
            self.database.close()
            raise StoreUnavailable(f"{self.path} cannot be read: {error}") from error

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

    @property
    def notes(self) -> list[str]:
        """What a person should know about the file, such as that a corrupt one was set aside."""
        return self.database.notes

    def refresh(self) -> None:
        """Reads anew what the store remembers of the database, after something else than `append` has changed it."""
        with self.database.writing:
            self._generation = self.database.generation
            self._known = Known(
                (row["id"] for row in self._all("SELECT id FROM resources")),
                map(itemgetter("id", "service", "name"), self._all("SELECT id, service, name FROM operations")),
                (row["id"] for row in self._all("SELECT id FROM series")),
            )
            self._stacks = Stacks(lambda name: (row["id"] for row in self._all(f"SELECT id FROM {name}")))  # noqa: S608
            self._deltas = Deltas(self._all("SELECT * FROM running ORDER BY time"))
            self._read_progress()
            self.changed = Changed(int(self._all("SELECT earliest FROM alert_progress")[0]["earliest"]))

    def _read_progress(self) -> None:
        self._hours = int(self._all("SELECT hours FROM progress")[0]["hours"])

    def _all(self, text: str, parameters: dict[str, object] | None = None) -> list[Row]:
        """The rows of a statement for reading; tried again where a failure of somebody else has broken the database."""
        for _ in range(ATTEMPTS):
            generation = self.database.generation
            try:
                with self.database.reading() as cursor:
                    return _rows(cursor.execute(text, parameters or {}))
            except duckdb.Error as error:
                if not self.database.recover(error, generation):
                    raise
                failure = error
        raise failure

    def append(self, batches: Sequence[Batch]) -> None:
        """Stores batches and their roll-ups in one transaction, durable when this returns.

        Raises:
            StoreFailed: nothing of them is stored; the text says why. Unfit where trying again is useless.
        """
        with self.transaction() as cursor:
            fresh = self._known.fresh(batches)
            now = time.time_ns()
            add(cursor, "resources", fresh.resources, tables.RESOURCES, now)
            add(cursor, "operations", fresh.operations, tables.OPERATIONS, now)
            add(cursor, "series", fresh.series, tables.SERIES, now)
            spans = move([row for batch in batches for row in batch.spans], fresh.moved)
            insert(cursor, "spans", spans, tables.SPANS)
            of_spans = rollups.of_spans(spans)
            self._insert_minutes(cursor, "span", of_spans, tables.SPAN_MINUTES)
            logs = [row for batch in batches for row in batch.logs]
            insert(cursor, "logs", logs, tables.LOGS)
            insert(cursor, "log_minutes", rollups.of_logs(logs), tables.LOG_MINUTES)
            points, running = self._deltas.apply(fresh.points(batches), fresh.described)
            insert(cursor, "points", points, tables.POINTS)
            of_points = rollups.of_points(points)
            self._insert_minutes(cursor, "point", of_points, tables.POINT_MINUTES)
            insert(cursor, "running", running, tables.RUNNING)
            insert(cursor, "sketches", [row for batch in batches for row in batch.sketches], tables.SKETCHES)
            stacks = self._stacks.store(cursor, batches, self._hours)
            self.changed.note(cursor, (row[0] for rows in (of_spans, of_points) for row in rows))
        self._known.committed(fresh)
        self._deltas.committed(running)
        self._stacks.committed(stacks)
        fresh.tell_refused(batches)

    def _insert_minutes(
        self, cursor: duckdb.DuckDBPyConnection, kind: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema
    ) -> None:
        insert(cursor, f"{kind}_minutes", rows, schema)
        late = rollups.hourly(rows, self._hours)
        if late:
            insert(cursor, f"{kind}_hours", late, schema)

    def run(self, statements: str, **parameters: object) -> None:
        """Runs `statements/STATEMENTS.sql` in one transaction.

        Raises:
            StoreFailed: as `append` does.
        """
        with self.database.writing:  # a commit in between would miss the hours that are rolled up now
            with self.transaction() as cursor:
                for text, names in sql.statements(statements):
                    cursor.execute(text, {name: value for name, value in parameters.items() if name in names})
            self._read_progress()

    @property
    def crowded_stacks(self) -> bool:
        """Whether there is little room for more stacks."""
        return self._stacks.crowded

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """As `Database.transaction`; what is remembered of the database is read anew where it was opened again."""
        with self.database.writing, self.database.transaction() as cursor:
            if self.database.generation != self._generation:
                self.refresh()
            yield cursor

    def rows(self, query: str, /, **parameters: object) -> list[Row]:
        """The rows of `queries/QUERY.sql`, each a dict by column.

        Args:
            query: the file's name without its ending, such as `traces/search`.
            parameters: values for its `$names`; what it does not name is left out.
        """
        text, names = sql.query(query)
        return self._all(text, {name: value for name, value in parameters.items() if name in names})

    def reaches(self, begin: float, end: float) -> bool:
        """Whether all of a range that was ever told is here; epoch seconds."""
        return True

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
        rows = self._all("SELECT content FROM documents WHERE name = $name", {"name": name})
        return json.loads(rows[0]["content"]) if rows else None

    def keep(self, name: str, content: object) -> None:
        """Keeps a document of what JSON can hold, in place of the one of that name."""
        with self.transaction() as cursor:
            values = [name, json.dumps(content), time.time_ns()]
            cursor.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", values)

    def sizes(self) -> dict[str, int]:
        """`bytes` of the file with its log, and the rows of each table."""
        bytes_ = self.path.stat().st_size + self.database.log_bytes()
        (row,) = self._all("SELECT " + ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in COUNTED))  # noqa: S608
        return {"bytes": bytes_, **row}

    def used(self) -> int:
        """Bytes of the file that hold something, and of its log; what was deleted is used again before it grows."""
        (row,) = self._all("SELECT used_blocks * block_size AS used FROM pragma_database_size()")
        return int(row["used"]) + self.database.log_bytes()

    def checkpoint(self) -> None:
        """Moves what is in the log into the file, and gives back what was deleted."""
        self.database.checkpoint()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own, for what no query file can say; to be closed soon."""
        return self.database.connection.cursor()

    def close(self) -> None:
        """Writes what is only in the log into the file, and lets go of it."""
        self.database.close()


def add(
    cursor: duckdb.DuckDBPyConnection, name: str, rows: Mapping[int, tuple[Any, ...]], schema: pa.Schema, now: int
) -> None:
    if rows:
        incoming = tables.table(list(rows.values()), schema)  # noqa: F841 - DuckDB finds tables by their variable
        cursor.execute(f"INSERT OR IGNORE INTO {name} BY NAME SELECT *, {now} AS first_seen FROM incoming")  # noqa: S608


def insert(cursor: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> None:
    """Rows whose columns are in the order of the table's."""
    if rows:
        incoming = tables.table(rows, schema)  # noqa: F841
        cursor.execute(f"INSERT INTO {name} FROM incoming")


def _rows(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
