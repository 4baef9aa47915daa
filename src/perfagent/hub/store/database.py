"""The open file: who reads and writes it when, how much room it needs, and how it comes back after a failure."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from perfagent.hub.store import opening
from perfagent.hub.store.errors import StoreFailed, StoreUnavailable, Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
LOG = 48 * MIB
"""Bytes of the write-ahead log from which it is moved into the file: half a second of work for 150,000 spans."""
RESERVE = 32 * MIB
"""Bytes that stay free on the disk, besides as many as the log has: a checkpoint without room is fatal to DuckDB."""
AGAIN = 30.0
"""Seconds until a checkpoint that failed is tried again."""
UNFIT = (pa.ArrowException, OverflowError, duckdb.ConversionException, duckdb.ConstraintException)
log = logging.getLogger("perfagent.hub")


class Database:
    """One writer at a time, and readers that do not wait for it.

    DuckDB declares a database invalid when a checkpoint fails, as on a full disk: reads fail, too, until it is opened
    again, which needs that nobody has a cursor. Hence readers are counted, checkpoints are made here and not by
    DuckDB, and only where there is room; a commit without room fails alone, and the next one may succeed.

    Args:
        directory: of the file.
        memory_mib: the most memory that DuckDB may use, MiB.

    Raises:
        StoreUnavailable: it is in use, not ours, of a newer version, or there is no room; the text says what to do.
    """

    def __init__(self, directory: Path, memory_mib: int) -> None:
        self.path = directory / opening.FILE
        self.notes: list[str] = []
        self._log = self.path.with_name(f"{self.path.name}.wal")
        self._memory = memory_mib
        self.writing = threading.RLock()
        """What a writer holds, where it does more than one transaction."""
        self._gate = threading.Condition()
        self._readers = 0
        self.generation = 0
        """Times that the file was opened again."""
        self._next_checkpoint = 0.0
        self.connection = opening.connect(directory, memory_mib, self.notes)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for reading; it sees the last commit."""
        with self._gate:
            self._readers += 1
            connection = self.connection
        try:
            cursor = connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor in a transaction that is committed at the block's end, or rolled back where it raises.

        Raises:
            StoreFailed: nothing of it is stored.
        """
        with self.writing:
            self._make_room()
            generation = self.generation
            try:
                with self.reading() as cursor:
                    cursor.execute("BEGIN")
                    try:
                        yield cursor
                        cursor.execute("COMMIT")
                    except BaseException:
                        _roll_back(cursor)
                        raise
            except UNFIT as error:
                raise Unfit(f"a value does not fit its column: {_first_line(error)}") from error
            except duckdb.Error as error:
                self.recover(error, generation)
                raise StoreFailed(self.advice(error)) from error

    def _make_room(self) -> None:
        """Empties a log that has grown long; raises StoreFailed where the disk is about to be full."""
        waiting, free = self.log_bytes(), self.free_bytes()
        if waiting > LOG and free > waiting + RESERVE and time.monotonic() > self._next_checkpoint:
            self.checkpoint()
        elif free < RESERVE:
            raise StoreFailed(self.advice(OSError(f"No space left on device: {free // MIB} MiB are free")))

    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def free_bytes(self) -> int:
        """What the disk has left for this user."""
        disk = os.statvfs(self.path.parent)
        return disk.f_bavail * disk.f_frsize

    def checkpoint(self) -> None:
        """Moves what is in the log into the file, and gives back what was deleted, where there is room for it."""
        with self.writing:
            if self.free_bytes() < self.log_bytes() + RESERVE:
                return
            generation = self.generation
            try:
                with self.reading() as cursor:
                    cursor.execute("CHECKPOINT")
            except duckdb.Error as error:
                self._next_checkpoint = time.monotonic() + AGAIN
                log.warning("%s: the log could not be moved into the file (%s)", self.path, _first_line(error))
                self.recover(error, generation)

    def recover(self, error: duckdb.Error, generation: int) -> bool:
        """Opens the file again where a failure has made the open one useless; sets it aside where it is damaged.

        Args:
            error: the failure; of a caller that has no cursor any more.
            generation: which one it was of.

        Returns:
            Whether what failed may be tried again.
        """
        damaged = opening.is_damage(error)
        if not damaged and not _is_fatal(error):
            return False
        with self.writing:
            if self.generation != generation:
                return True  # another thread has done it meanwhile
            try:
                if damaged or not self._works():
                    self._open_again(error if damaged else None)
            except (StoreUnavailable, TimeoutError) as reason:
                log.error("%s could not be opened again: %s", self.path, reason)
                return False
            return True

    def _works(self) -> bool:
        """Whether the failure was of one statement alone."""
        try:
            with self.reading() as cursor:
                cursor.execute("SELECT 1")
        except duckdb.Error:
            return False
        return True

    def _open_again(self, damage: duckdb.Error | None) -> None:
        with self._gate:
            if not self._gate.wait_for(lambda: self._readers == 0, timeout=10):
                raise TimeoutError("somebody still reads")
            self.connection.close()  # holding the gate, so that nobody begins to read
            if damage is not None:
                self.notes.append(opening.set_aside(self.path, damage))
                log.error("%s", self.notes[-1])
            self.connection = opening.connect(self.path.parent, self._memory, self.notes)
            self.generation += 1
        log.warning("%s was opened again after a failure", self.path)

    def advice(self, error: BaseException) -> str:
        """What failed and what to do, for whoever sent what could not be stored."""
        text = _first_line(error)
        if any(word in text for word in ("No space", "File too large", "Disk quota")):
            return f"there is no room for {self.path}: free some, or lower PERFAGENT_RETENTION_SIZE ({text})"
        return f"{self.path} could not be written: {text}"

    def close(self) -> None:
        """Writes what is only in the log into the file, and lets go of it."""
        with self.writing:
            self.checkpoint()
            self.connection.close()


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    try:
        cursor.execute("ROLLBACK")
    except duckdb.Error:  # the failure has ended the transaction
        pass


def _is_fatal(error: BaseException) -> bool:
    return isinstance(error, (duckdb.FatalException, duckdb.InternalException)) or "invalidated" in str(error)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
