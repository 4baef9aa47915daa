"""Connections of a program whose sockets gevent or eventlet has replaced.

They look addresses up in a pool of threads, and Python 3.12 lets nobody start a thread at the end of a process: the
last spans could not be sent. Our thread may wait for the system's own answer, which is what these pools ask for, too.
"""

from __future__ import annotations

import _socket
import socket

GREEN = ("eventlet", "gevent")


def is_green() -> bool:
    """Whether one of them looks up addresses."""
    return str(getattr(socket.getaddrinfo, "__module__", "")).partition(".")[0] in GREEN


def connect(address: tuple[str, int], timeout: float, source: tuple[str, int] | None = None) -> socket.socket:
    """As `socket.create_connection`, which `http.client` calls.

    Args:
        address: host and port.
        timeout: seconds for each address of the host.
        source: what to bind to, or None.

    Raises:
        OSError: no address of the host answers; that of the last one.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, found in _socket.getaddrinfo(*address, 0, _socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            if source:
                connection.bind(source)
            connection.connect(found)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure or OSError(f"{address[0]} has no address")
