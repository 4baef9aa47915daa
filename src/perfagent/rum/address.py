"""Where a browser finds the hub, and whether a page's browser and its policies let it."""

from __future__ import annotations

from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT, TARGET = "/rum.js", "/v1/client"
PORTS = {"http": 80, "https": 443}
FORWARDED = ("x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip")
ACCEPTED = "an address such as http://127.0.0.1:4318 or a path such as /perfagent"


class Address:
    """The address of a hub as browsers see it.

    Args:
        text: scheme, host, port and path; or a path alone, of the site of the page.

    Raises:
        ValueError: it is neither.
    """

    __slots__ = ("host", "loopback", "path", "port", "scheme", "text")

    def __init__(self, text: str) -> None:
        self.text = text.rstrip("/")
        unsafe = not text.isascii() or any(mark in text for mark in "\"'<>&\\ ?#") or not text.isprintable()
        try:
            parts = urlsplit(self.text)
            port = parts.port
        except ValueError:
            unsafe = True
        if unsafe:
            raise ValueError(f"{text!r} is no address of a hub: {ACCEPTED}")
        self.scheme, self.host, self.path = parts.scheme, (parts.hostname or "").lower(), parts.path
        own = not self.scheme and not self.host and text.startswith("/")
        if not own and (self.scheme not in PORTS or not self.host or parts.username is not None):
            raise ValueError(f"{text!r} is no address of a hub: {ACCEPTED}")
        self.port = port or PORTS.get(self.scheme, 0)
        self.loopback = is_loopback(self.host)

    @property
    def own(self) -> bool:
        """Whether it is a path of the page's own site."""
        return not self.host

    def is_reached(self, host: str, header: Callable[[str], object], secure: bool) -> bool:
        """Whether the browser that asks has the hub at this address: one on another machine has none at its loopback.

        Args:
            host: the Host header.
            header: looks up a header by its name in lower case.
            secure: whether the page came over https, and may load nothing over http from elsewhere.
        """
        if not self.loopback:
            return self.scheme != "http" or not secure
        return is_loopback(name_of(host)) and not any(header(name) for name in FORWARDED)


def name_of(host: str) -> str:
    """The name of a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Whether a host's name or address means the browser's own machine, and a hub there takes what its pages tell."""
    return name in ("localhost", "127.0.0.1", "::1")
