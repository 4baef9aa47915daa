"""CREATE INDEX CONCURRENTLY on PostgreSQL: tells how far it is, ends with who waits, leaves nothing behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import connect, ddl

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.data.indexes.create import NewIndex

EVERY = 0.5  # seconds between two looks at how far it is
PROGRESS = (
    "SELECT phase, blocks_done, blocks_total, lockers_done, lockers_total, current_locker_pid "
    "FROM pg_stat_progress_create_index WHERE pid = {pid:d}"
)


def build(address: Any, new: NewIndex, progress: Callable[[str], None]) -> None:
    """Makes the index; raises UnreachableError, and cancels the work on KeyboardInterrupt.

    Args:
        address: of the database.
        new: the index.
        progress: is told how far it is.
    """
    engine = connect.engine(address, isolation_level="AUTOCOMMIT")
    with connect.answering(), engine.connect() as worker, engine.connect() as watcher:
        worker.exec_driver_sql("SET statement_timeout = 0")
        pid = int(worker.exec_driver_sql("SELECT pg_backend_pid()").scalar())
        failures: list[BaseException] = []
        thread = threading.Thread(target=_run, args=(worker, new.ddl, failures), daemon=True)
        thread.start()
        try:
            _watch(thread, watcher, pid, progress)
        except BaseException:
            watcher.exec_driver_sql(f"SELECT pg_cancel_backend({pid})")
            thread.join()
            progress(_clean(watcher, new))
            raise
        if failures:
            raise connect.UnreachableError(f"{connect.reason(failures[0])}; {_clean(watcher, new)}")


def _run(worker: Any, text: str, failures: list[BaseException]) -> None:
    try:
        worker.exec_driver_sql(text)
    except BaseException as error:
        failures.append(error)


def _watch(thread: threading.Thread, watcher: Any, pid: int, progress: Callable[[str], None]) -> None:
    last = ""
    while True:
        thread.join(EVERY)
        if not thread.is_alive():
            return
        row = watcher.exec_driver_sql(PROGRESS.format(pid=pid)).first()
        if row is None:
            continue
        phase, done, total, lockers, all_lockers, locker = row
        line = f"{phase}: {done / total:.0%}" if total else str(phase)
        if all_lockers:
            line += f", {lockers} of {all_lockers} transactions waited for, now that of process {locker}"
        if line != last:
            progress(line)
            last = line


def _clean(watcher: Any, new: NewIndex) -> str:
    """Drops the invalid index that a failed attempt left, and says so."""
    from sqlalchemy.exc import DBAPIError

    place = ddl.qualified(new.schema, new.index, "postgres")
    literal = place.replace("'", "''")
    asked = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{literal}')"  # noqa: S608 - quoted
    valid = watcher.exec_driver_sql(asked).scalar()
    if valid is not False:
        return "nothing was left behind"
    try:
        watcher.exec_driver_sql("SET lock_timeout = '5s'")
        watcher.exec_driver_sql(f"DROP INDEX CONCURRENTLY {place}")
    except DBAPIError as error:
        return f"the invalid index it left is still there ({connect.reason(error)}): DROP INDEX CONCURRENTLY {place}"
    return "the invalid index it left was dropped"
