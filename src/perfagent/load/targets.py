"""Whose machine it is that gets the load: a test against somebody else's is an attack."""

from __future__ import annotations

import ipaddress
import socket


def strangers(host: str) -> list[str]:
    """The addresses of a host that are neither this machine nor in a private network.

    Args:
        host: a name or an address.

    Raises:
        OSError: the name is unknown.
    """
    found = sorted({str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)})
    return [address for address in found if not _is_ours(ipaddress.ip_address(address))]


def _is_ours(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (address.is_private or address.is_loopback or address.is_link_local) and not address.is_unspecified
