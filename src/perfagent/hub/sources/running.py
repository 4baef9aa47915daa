"""One run of a program: bounded in time and in what it writes, and ended with all that it started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SAID = 1_000  # bytes of the end of its standard error


class Written(NamedTuple):
    """What a program left.

    Args:
        code: that it exited with; negative for a signal.
        output: all of its standard output.
        said: the end of its standard error.
    """

    code: int
    output: bytes
    said: bytes


class TooMuch(Exception):  # noqa: N818
    """It wrote more than was allowed, and was ended."""


def run(words: Sequence[str], timeout: float, most: int) -> Written:
    """Runs a program to its end.

    Args:
        words: its path and arguments; no shell sees them.
        timeout: seconds, after which it is ended with all that it started.
        most: bytes of its standard output.

    Raises:
        OSError: it cannot be run.
        TimeoutError: it, or what it started and what holds its output, did not end.
        TooMuch: it wrote more.
    """
    until = time.monotonic() + timeout
    process = subprocess.Popen(  # noqa: S603 - what a file of the hub's own user says
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        return _read(process, until, most)
    except BaseException:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _read(process: subprocess.Popen[bytes], until: float, most: int) -> Written:
    output, said = bytearray(), b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        waiting.register(process.stderr, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting.get_map():
            ready = waiting.select(max(until - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    waiting.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    said = (said + part)[-MOST_SAID:]
                else:
                    output += part
                    if len(output) > most:
                        raise TooMuch
            if time.monotonic() >= until:
                raise TimeoutError
    try:
        code = process.wait(max(until - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return Written(code, bytes(output), said)
