"""The hub's listening socket: that of C, for `socket` would add 16 ms to the start of a program."""

from __future__ import annotations

from perfagent.hub.lock import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from perfagent.settings import Settings

BACKLOG = 2048  # connections that wait while the hub boots


def listen(settings: Settings, before: str) -> tuple[socket, str]:
    """The hub's socket and its address; a free port where the default one is taken, rather the one of last time.

    Args:
        settings: host and port.
        before: the address of the hub that was here last; programs may still send there.

    Raises:
        Unavailable: the port that somebody set is taken, or the host is none of this machine's.
    """
    port, origin = settings.lookup(settings.option("hub_port"))
    assert isinstance(port, int)
    last = before.rpartition(":")[2]
    again = [int(last)] if last.isdecimal() else []
    ports = [port] if port else [*again, 0]
    if port and origin == "default":
        ports += [*again, 0]
    for candidate in ports:
        try:
            return _bind(settings.hub_host, candidate)
        except OSError as error:
            reason = error
    raise _no_port(settings.hub_host, port, reason)


def _bind(host: str, port: int) -> tuple[socket, str]:
    import _socket

    family, kind, protocol, _name, where = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
    listener = _socket.socket(family, kind, protocol)
    try:
        # A hub that begins where another one just ended must not wait until the last one's connections are forgotten.
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        name, number = listener.getsockname()[:2]
    except OSError:
        listener.close()
        raise
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - from here, every address is this one
    return listener, f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"


def _no_port(host: str, port: int, error: OSError) -> Unavailable:
    import errno

    if error.errno == errno.EADDRINUSE:
        reason = (
            "another program listens there; end that one, or set PERFAGENT_HUB_PORT to another port (0: a free one)"
        )
    elif error.errno in (errno.EACCES, errno.EPERM):
        reason = "ports below 1024 are for root; set PERFAGENT_HUB_PORT to a higher one"
    else:
        reason = f"{error.strerror or error}; set PERFAGENT_HUB_HOST to an address of this machine, such as 127.0.0.1"
    return Unavailable(f"the hub cannot listen on {host}, port {port}: {reason}", 4)
