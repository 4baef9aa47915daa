"""Tells a hub about thresholds, when the program asks for that: never by itself, never on the path of a measurement."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfagent.hub import lock
from perfagent.hub.access import Access, secret
from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.settings import current

if TYPE_CHECKING:
    from perfagent.hub.analyse.thresholds import Threshold

PATH = "/api/v1/performance/thresholds"


def send(thresholds: list[Threshold], timeout: float) -> tuple[str, ...]:
    """Sets thresholds in the hub; arguments and errors as for `PerformanceMonitor.send_thresholds_to_hub`."""
    known = [one for one in thresholds if one.name in DEFAULTS and one.comparison == DEFAULTS[one.name].comparison]
    if not known:
        return ()
    address, token = _hub()
    items = [
        {
            "name": one.name,
            "warning": one.warning,
            "critical": one.critical,
            "violations": one.violations,
            "cooldown_minutes": one.cooldown_minutes,
            "enabled": one.enabled,
        }
        for one in known
    ]
    status, answer = _put(address, token, json.dumps({"items": items}).encode(), timeout)
    if status != 200:
        hint = "; it takes an admin's token: give it in PERFAGENT_HUB_TOKEN" if status in (401, 403) else ""
        raise RuntimeError(f"the hub at {address} refused the thresholds ({status}): {_message(answer)}{hint}")
    return tuple(one.name for one in known)


def _hub() -> tuple[str, str]:
    """Address and token: of the hub that the settings name, else of the user's own."""
    settings = current()
    directory = lock.directory(settings)
    own = lock.find(directory)
    if settings.hub_url and (own is None or settings.hub_url.rstrip("/") != own.address):
        return settings.hub_url.rstrip("/"), settings.hub_token
    if own is None:
        raise RuntimeError(
            f"no hub runs (none holds {directory}/hub.lock): start one with `perfagent hub --background`, or name one "
            "in PERFAGENT_HUB_URL"
        )
    try:
        return own.address, Access(secret(directory)).token("admin")
    except OSError as error:
        raise RuntimeError(f"the token of the hub in {directory} cannot be had: {error.strerror}") from None


def _put(address: str, token: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    target = urlsplit(address)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection: http.client.HTTPConnection
    if target.scheme == "https":
        trusted = ssl.create_default_context()
        connection = http.client.HTTPSConnection(target.hostname or "", target.port, timeout=timeout, context=trusted)
    else:
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=timeout)
    try:
        connection.request("PUT", f"{target.path}{PATH}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeError(f"the hub at {address} cannot be asked: {error or type(error).__name__}") from None
    finally:
        connection.close()


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode("utf-8", "replace")
