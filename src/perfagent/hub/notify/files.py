"""The file channel: a JSON object a line, kept small by keeping what was before in a second file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.notify.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Mapping


def append(path: str, most: int, content: Mapping[str, Any]) -> None:
    """Adds a line, on the disk when this returns.

    Args:
        path: of the file; `PATH.1` holds what was before.
        most: bytes of the file.
        content: what JSON can hold.

    Raises:
        NotDelivered: it cannot be written; nothing of the line is there then.
    """
    line = json.dumps({"written": round(time.time(), 3), **content}, ensure_ascii=False, separators=(",", ":")) + "\n"
    data = line.encode("utf-8", "backslashreplace")
    try:
        _rotate(path, most, len(data))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            _write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotDelivered(f"{path} cannot be written: {error.strerror or error}") from None


def _rotate(path: str, most: int, more: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        size = os.stat(path).st_size
        if size and size + more > most and os.path.isfile(path):
            os.replace(path, f"{path}.1")


def _write(descriptor: int, data: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            raise OSError(28, "No space left on device")
        with contextlib.suppress(OSError):  # a pipe has nothing to bring to a disk
            os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)  # half a line would spoil the next one
        raise
