"""Addresses with secrets in them: filled from the environment, read, and shown without."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PASSWORD = re.compile(r"password\s*=\s*('[^']*'|[^\s'&]+)", re.IGNORECASE)
_USER = re.compile(r"[^:/]+://[^:@]*:(.+)@")  # however many signs that end a host its password has
_SECRET = re.compile(r"pass|secret|token|key|auth|sig", re.IGNORECASE)


class MissingVariable(ValueError):  # noqa: N818
    """A `${NAME}` without a value; the text says what to do."""


def filled(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with the value of each `${NAME}`.

    Raises:
        MissingVariable: the environment has none of that name.
    """
    known = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        found = known.get(match.group(1))
        if found is None:
            raise MissingVariable(
                f"${{{match.group(1)}}} has no value: set {match.group(1)} where `perfagent hub` is started; one that "
                "`perfagent run` starts gets PERFAGENT_* alone"
            )
        return found

    return _VARIABLE.sub(value, text)


def shown(address: str) -> str:
    """The address without its password and its query."""
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return "(an address that cannot be read)"
    if not url.scheme or not url.netloc:
        return _PASSWORD.sub("password=…", address)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    user = f"{url.username}@" if url.username else ""
    return f"{url.scheme}://{user}{host}{f':{port}' if port else ''}{url.path}"


def secrets(address: str) -> list[str]:
    """What in an address nobody may see, the longest first."""
    found = {address} if shown(address) != address else set()
    try:
        url = urlsplit(address)
        found |= {url.password or "", unquote(url.password or "")}
        found |= {value for key, value in parse_qsl(url.query) if _SECRET.search(key)}
    except ValueError:
        pass
    if match := _USER.match(address):
        found |= {match.group(1), *re.split(r"[/?#]", match.group(1))}
    found |= {match.group(1).strip("'") for match in _PASSWORD.finditer(address)}
    return sorted((one for one in found if len(one) > 2 or one == address), key=len, reverse=True)


def without(text: str, hidden: Iterable[str]) -> str:
    """The text in one line of at most 400 characters, without secrets."""
    line = " ".join(text.split())
    for secret in hidden:
        if secret:
            line = line.replace(secret, "…")
    return line[:400]
