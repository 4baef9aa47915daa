"""The address of a remote: what of it may be shown, and what is sent with each request."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from perfagent.hub.remote.errors import BadAddress

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Address:
    """Where a remote is.

    Args:
        shown: the URL without user, password and query; what logs and answers may tell.
        host, port: what is connected to.
        path: what comes before the API's own paths, such as "/prometheus" of Mimir; without a slash at its end.
        headers: of every request; secret.
        tls: how its certificate is checked; None for http.
    """

    shown: str
    host: str
    port: int
    path: str
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None = None


def address(name: str, url: str, headers: Mapping[str, str], ca_file: str) -> Address:
    """The address that settings tell.

    Args:
        name: of the setting, for messages.
        url: http or https, with the path that its API is below.
        headers: such as a token, or Mimir's tenant.
        ca_file: certificates to trust instead of the system's; "" for those.

    Raises:
        BadAddress: it cannot be used; the text names the setting and shows no password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in ("http", "https") or not host:
        raise BadAddress(f"{name} is no address: it should look like http://prometheus:9090 or https://host/prometheus")
    if parts.query or parts.fragment:
        raise BadAddress(
            f"{name} has a query or a fragment after its path: leave that out; what it said goes in headers"
        )
    shown_host = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{shown_host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    sent = {"Accept": "application/json", "Accept-Encoding": "gzip", **headers}
    if parts.username and not any(key.lower() == "authorization" for key in headers):
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        sent["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
    tls = None
    if parts.scheme == "https":
        try:
            tls = ssl.create_default_context(cafile=ca_file or None)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BadAddress(f"PERFAGENT_REMOTE_CA_FILE={ca_file} cannot be read: {reason}") from None
    return Address(shown, host, port or (443 if tls else 80), parts.path.rstrip("/"), sent, tls)
