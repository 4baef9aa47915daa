"""What a service has spent of its error budget: errors by the hour, in a small file that all processes share.

A file is at most 24 numbers for each day of the window, 10 kB for 30 days. It is replaced as a whole under a lock, so
whoever reads sees all of an update or nothing of it, and a process that is killed in the middle leaves the old one.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from hashlib import sha256
from time import monotonic, sleep, time
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600
LONGEST_NAME = 150  # bytes of a file's name; file systems end at 255
PATIENCE = 1.0  # seconds for the lock; an update takes 0.2 ms


class Ledger:
    """The file of one service.

    Args:
        folder: where it is; made when first needed.
        service: whose errors.
        hours: how long an error counts.
    """

    def __init__(self, folder: str, service: str, hours: int) -> None:
        name = quote(service, safe="")
        if len(name) > LONGEST_NAME:
            name = f"{name[:100]}-{sha256(service.encode()).hexdigest()[:16]}"
        self.path = os.path.join(folder, f"{name}.json")
        self._folder = folder
        self._hours = hours
        self._seen: tuple[int, int, int] | None = None
        self._spent: dict[int, int] = {}
        self.broken = ""
        """Where a file was put aside that could not be understood; "" where none was."""

    def spent(self) -> int:
        """Errors within the window, as the file has them.

        Raises:
            OSError: the file cannot be read.
        """
        self._load()
        first = _hour() - self._hours
        return sum(count for hour, count in self._spent.items() if hour > first)

    def add(self, count: int) -> None:
        """Adds errors of this hour.

        Raises:
            OSError: the file cannot be written; nothing is added then.
        """
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        with self._lock():
            self._load()
            hour = _hour()
            spent = {known: errors for known, errors in self._spent.items() if known > hour - self._hours}
            spent[hour] = spent.get(hour, 0) + count
            self._replace(json.dumps({"hours": spent}))
            self._spent = spent
            self._seen = _identity(self.path)

    def _load(self) -> None:
        """Reads the file where it is another one than last time."""
        try:
            seen = _identity(self.path)
        except FileNotFoundError:
            self._seen, self._spent = None, {}
            return
        if seen == self._seen:
            return
        with open(self.path, "rb") as file:
            text = file.read()
        try:
            self._spent = {int(hour): int(count) for hour, count in json.loads(text)["hours"].items()}
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
            self.broken = f"{self.path}.broken"
            os.replace(self.path, self.broken)
            self._seen, self._spent = None, {}
            return
        self._seen = seen

    def _replace(self, text: str) -> None:
        made = f"{self.path}.{os.getpid()}"
        try:
            with open(made, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(made, self.path)
        except OSError:
            try:
                os.unlink(made)
            except OSError:
                pass
            raise

    @contextmanager
    def _lock(self) -> Iterator[None]:
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic() > deadline:
                        raise
                    sleep(0.001)
            yield
        finally:
            os.close(lock)


def _hour() -> int:
    return int(time()) // HOUR


def _identity(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size
