"""The files of one service: bounded in size, and each of them anybody's who can lock it.

No process owns a file longer than it writes to it or sends from it. What a worker that was killed has left is therefore
sent by the next worker that looks, and two processes never send from one file at the same time.
"""

from __future__ import annotations

import hashlib
import os

from perfagent.runtime.clock import time_ns
from perfagent.runtime.spool import segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.runtime.pipeline import Payload
    from perfagent.runtime.spool.segment import Segment

SUFFIX = ".otlp"
SHARE = 16  # a file has at most this part of the limit, for the oldest file is what gives way
LARGEST = 4 << 20


class Folder:
    """Where the requests of a service wait.

    Args:
        base: PERFAGENT_SPOOL_DIR; the service gets a folder of its own in it.
        service: its name.
        limit: most bytes of all its files; each process may be beyond it by the one request that it writes.
        lose: told of what gives way where they are full, by signal and number of items.
    """

    def __init__(self, base: str, service: str, limit: int, lose: Callable[[str, int], object]) -> None:
        self.base = os.path.abspath(os.path.expanduser(base))
        self.path = os.path.join(self.base, name(service))
        self.limit = limit
        self.lose = lose
        self._largest = min(limit // SHARE, LARGEST)
        self._own = ""  # the file that this process adds to
        self._held: set[Segment] = set()

    def append(self, payload: Payload) -> None:
        """Adds a request behind all others; the oldest files give way where there is no room.

        Raises:
            OSError: it cannot be written.
        """
        added = len(payload.body) + segment.HEADER.size
        if added > self.limit:
            raise OSError(27, f"a request of {added} bytes is larger than PERFAGENT_SPOOL_SIZE")
        self._make_room(added)
        file = segment.take(self._own) if self._own else None
        if file is not None and file.size + added > max(self._largest, len(segment.MAGIC) + added):
            file.close()
            file = None
        self._prepare()
        while file is None:
            self._own = os.path.join(self.path, f"{time_ns():020d}-{os.getpid()}{SUFFIX}")
            file = segment.create(self._own)
        self._held.add(file)
        try:
            file.append(payload)
        except OSError:
            if file.size <= len(segment.MAGIC):
                os.unlink(file.path)
            raise
        finally:
            self._held.discard(file)
            file.close()

    def files(self) -> Iterator[Segment]:
        """Every file that no other process has, the oldest first; whoever takes one closes or removes it."""
        for own in self.names():
            file = segment.take(os.path.join(self.path, own))
            if file is not None:
                self._held.add(file)
                try:
                    yield file
                finally:
                    self._held.discard(file)
                    if file.descriptor >= 0:
                        file.close()

    def names(self) -> list[str]:
        """The names of the files, the oldest first."""
        try:
            return sorted(found for found in os.listdir(self.path) if found.endswith(SUFFIX))
        except OSError:
            return []

    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _name, size in self._sizes())

    def abandon(self) -> None:
        """In a forked child: its parent goes on with the files that are open."""
        held, self._held = self._held, set()
        for file in held:
            if file.descriptor >= 0:
                os.close(file.descriptor)  # no unlocking: that would unlock the parent's
        self._own = ""

    def _sizes(self) -> list[tuple[str, int]]:
        found = []
        for own in self.names():
            try:
                found.append((own, os.stat(os.path.join(self.path, own)).st_size))
            except OSError:  # it was sent meanwhile
                pass
        return found

    def _make_room(self, added: int) -> None:
        sizes = self._sizes()
        excess = sum(size for _name, size in sizes) + added + len(segment.MAGIC) - self.limit
        for own, size in sizes:
            if excess <= 0:
                return
            file = segment.take(os.path.join(self.path, own))
            if file is None:  # it is being sent
                continue
            for record in file.waiting():
                self.lose(record.signal, record.count)
            file.remove()
            excess -= size

    def _prepare(self) -> None:
        """Makes the folder, for this user alone; raises OSError where somebody else could read or change it."""
        os.makedirs(self.base, 0o700, exist_ok=True)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            found = os.lstat(self.path)
            if found.st_uid != os.geteuid() or found.st_mode & 0o170077 != 0o040000:
                raise PermissionError(
                    1, "not a folder that this user alone may use: chmod 700, or take it away", self.path
                ) from None


def look(base: str) -> list[int]:
    """The sizes of this user's files, of every service; raises OSError where it could not make any there."""
    os.makedirs(base, 0o700, exist_ok=True)
    if not os.access(base, os.W_OK | os.X_OK):
        raise PermissionError(13, "this user may not write there", base)
    found = []
    for folder in os.scandir(base):
        if folder.name.endswith(f"-{os.geteuid()}") and folder.is_dir(follow_symlinks=False):
            files = (file for file in os.scandir(folder.path) if file.name.endswith(SUFFIX))
            found += [file.stat(follow_symlinks=False).st_size for file in files]
    return found


def name(service: str) -> str:
    """The name of a service's folder: readable, and different for different services and users."""
    readable = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in service.lower())[:60]
    digest = hashlib.sha256(service.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{readable.lstrip('.')}-{digest}-{os.geteuid()}"
