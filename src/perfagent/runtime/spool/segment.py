"""One file of encoded requests, which one process at a time has open.

A record is a header and the bytes of an OTLP request. The header's first byte tells whether a receiver has taken it,
and is overwritten in place once one has: so a process that is killed between two records sends none of them twice.
"""

from __future__ import annotations

import fcntl
import os
from struct import Struct
from zlib import crc32

from perfagent.runtime.pipeline import Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"perfagent spool\x001"
WAITING, DONE = b"W", b"D"
LETTERS = {"traces": b"t", "metrics": b"m", "logs": b"l"}
SIGNALS = {letter: signal for signal, letter in LETTERS.items()}
HEADER = Struct("<ccIII")  # state, signal, number of items, bytes of the request, checksum of these and the request


class Record:
    """A request on disk.

    Args:
        offset: of its header in the file.
        signal: `traces`, `metrics` or `logs`.
        count: items in it.
        length: bytes of it.
        checksum: what it must have.
        whole: whether all of it was written.
    """

    __slots__ = ("checksum", "count", "length", "offset", "signal", "whole")

    def __init__(self, offset: int, signal: str, count: int, length: int, checksum: int, whole: bool) -> None:
        self.offset = offset
        self.signal = signal
        self.count = count
        self.length = length
        self.checksum = checksum
        self.whole = whole


class Segment:
    """An open file, locked against every other process until it is closed.

    Args:
        path: of the file.
        descriptor: of the file, locked.
        size: bytes in it.
    """

    __slots__ = ("descriptor", "path", "size")

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size

    def append(self, payload: Payload) -> None:
        """Adds a request; where the disk does not take all of it, none of it stays.

        Raises:
            OSError: the disk is full, for one.
        """
        letter = LETTERS[payload.signal]
        body = payload.body
        checksum = _checksum(letter, payload.count, body)
        record = HEADER.pack(WAITING, letter, payload.count, len(body), checksum) + body
        try:
            _write(self.descriptor, record, self.size)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(record)

    def waiting(self) -> Iterator[Record]:
        """The records that no receiver has taken, in their order; what comes after a torn header is lost with it."""
        at = len(MAGIC)
        while at + HEADER.size <= self.size:
            state, letter, count, length, checksum = HEADER.unpack(os.pread(self.descriptor, HEADER.size, at))
            if state not in (WAITING, DONE) or letter not in SIGNALS:
                return
            if state == WAITING:
                whole = at + HEADER.size + length <= self.size
                yield Record(at, SIGNALS[letter], count, length, checksum, whole)
            at += HEADER.size + length

    def read(self, record: Record) -> Payload | None:
        """The request, or None where its bytes are not those that were written."""
        if not record.whole:
            return None
        body = os.pread(self.descriptor, record.length, record.offset + HEADER.size)
        if _checksum(LETTERS[record.signal], record.count, body) != record.checksum:
            return None
        return Payload(record.signal, body, record.count)

    def done(self, record: Record) -> None:
        """Marks a record as one that is not to be sent again."""
        os.pwrite(self.descriptor, DONE, record.offset)

    def remove(self) -> None:
        """Takes the file away and closes it."""
        try:
            os.unlink(self.path)
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Lets another process have it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # by name: a forked child may have a copy of the descriptor
        os.close(self.descriptor)
        self.descriptor = -1


def create(path: str) -> Segment | None:
    """A new file without records; None where another process has taken it away already, as it does with empty ones.

    Raises:
        OSError: there can be none.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # whoever has it removes it at once
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return None
        _write(descriptor, MAGIC, 0)
    except OSError:
        os.unlink(path)
        os.close(descriptor)
        raise
    return Segment(path, descriptor, len(MAGIC))


def take(path: str) -> Segment | None:
    """The file, locked for this process; None where it is gone, another process has it, or it is none of ours."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        is_ours = os.pread(descriptor, len(MAGIC), 0) == MAGIC[: found.st_size]  # an empty one was only just begun
        if found.st_nlink and is_ours:
            return Segment(path, descriptor, found.st_size)
    except OSError:
        pass
    os.close(descriptor)
    return None


def _write(descriptor: int, data: bytes, at: int) -> None:
    """All of it, or OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        at += written
        view = view[written:]


def _checksum(letter: bytes, count: int, body: bytes) -> int:
    return crc32(body, crc32(b"%s %d %d" % (letter, count, len(body))))
