"""Which minutes have changed since somebody looked at what is wrong: late telemetry changes minutes of long ago."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

LATE = 120  # s: what is no later is looked at again in any case, so that a commit need not write it down


class Changed:
    """The earliest minute that was stored since the last look; on the disk, too, where it is long before that.

    Args:
        earliest: what the database says of it, seconds since the epoch.
    """

    def __init__(self, earliest: int) -> None:
        self._lock = threading.Lock()
        self._written = earliest
        self._earliest: int | None = earliest

    def note(self, cursor: duckdb.DuckDBPyConnection, minutes: Iterable[int]) -> None:
        """Notes minutes that a transaction changes, which may still fail."""
        earliest = min(minutes, default=None)
        if earliest is None:
            return
        with self._lock:
            if self._earliest is None or earliest < self._earliest:
                self._earliest = earliest
            late = earliest < self._written
            if late:
                self._written = earliest
        if late:
            cursor.execute("UPDATE alert_progress SET earliest = ?", [earliest])

    def take(self) -> int | None:
        """The earliest minute since this was asked last; None for none."""
        with self._lock:
            found, self._earliest = self._earliest, None
            return found

    def give_back(self, earliest: int) -> None:
        """Has a minute looked at another time."""
        with self._lock:
            self._earliest = earliest if self._earliest is None else min(earliest, self._earliest)

    def looked(self, cursor: duckdb.DuckDBPyConnection, now: float) -> None:
        """Writes down that all was looked at until now, but for what has come meanwhile."""
        with self._lock:
            written = int(now) // 60 * 60 - LATE
            if self._earliest is not None:
                written = min(written, self._earliest)
            self._written = written
        cursor.execute("UPDATE alert_progress SET earliest = ?", [written])
