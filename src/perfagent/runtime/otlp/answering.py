"""An answer that must be there in time: all of it, not each of its bytes.

A socket's timeout begins anew with every byte that comes. A receiver that sends one a second would keep `http.client`
reading a status line for 18 hours, and one that sends `100 Continue` without end for ever.
"""

from __future__ import annotations

from http.client import HTTPResponse
from io import BufferedReader, RawIOBase

from perfagent.runtime.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any


class _Reader(RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket, deadline: float) -> None:
        self._sock: socket | None = sock
        self._file = sock.makefile("rb", buffering=0)  # what keeps the descriptor open until the answer is closed
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - monotonic()
        if left <= 0 or self._sock is None:
            raise TimeoutError("the answer did not come in time")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._sock = None
        self._file.close()
        super().close()


class _Socket:
    """What HTTPResponse asks for a file."""

    def __init__(self, sock: socket, deadline: float) -> None:
        self._made = sock, deadline

    def makefile(self, mode: str) -> BufferedReader:
        return BufferedReader(_Reader(*self._made))


def within(seconds: float | None) -> Callable[..., HTTPResponse]:
    """What makes the response of a connection: one that is read by so many seconds from now, or raises TimeoutError."""
    deadline = monotonic() + (60.0 if seconds is None else seconds)

    def make(sock: socket, *arguments: Any, **options: Any) -> HTTPResponse:
        return HTTPResponse(_Socket(sock, deadline), *arguments, **options)  # type: ignore[arg-type]

    return make
