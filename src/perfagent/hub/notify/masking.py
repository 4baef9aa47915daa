"""Secrets of channels: where they come from, and how they stay out of what people and logs are shown."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
HIDDEN = "***"
SHORTEST = 4  # characters; to hide shorter ones would make a text unreadable, and they are no secrets
WORD = re.compile(r"[a-z]{1,12}|v?[0-9]{1,2}")
"""What in a path is no secret: plain words such as "services" or "hooks"."""


def expanded(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """A text with its `${NAME}` replaced by variables of the environment, and their values.

    Raises:
        KeyError: with the name of a variable that is not set.
    """
    values: list[str] = []

    def value(found: re.Match[str]) -> str:
        values.append(environ[found[1]])
        return values[-1]

    return VARIABLE.sub(value, text), values


def of_address(url: str) -> list[str]:
    """What in an address may be a secret: user, password, path and query, and where it is no host's name the host."""
    try:
        parts = urlsplit(url)
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return [url]
    found = [user, password, parts.path, parts.query]
    # As it is written: urlsplit makes it lower case, and some of Apprise's services have their token there.
    host = parts.netloc.rpartition("@")[2].partition(":")[0]
    if "." not in host and host != "localhost" and not host.startswith("["):
        found.append(host)
    found += [part for part in parts.path.split("/") if not WORD.fullmatch(part)]
    found += [value for _name, value in parse_qsl(parts.query)]
    if user and password:
        found.append(base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())
    return found + [unquote(one) for one in found]


class Mask:
    """Hides secrets in texts, in each form that they may have there.

    Args:
        secrets: as they are.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(secret for secret in secrets if len(secret) >= SHORTEST)
        forms = {form for secret in self.secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text

    def shortened(self, text: str, longest: int) -> str:
        """The beginning of a text without them; a secret across the end is hidden as a whole.

        Args:
            longest: characters of the text that are looked at.
        """
        if len(text) <= longest:
            return self(text)
        parts, at = [], 0
        for found in self._pattern.finditer(text) if self._pattern is not None else ():
            if found.start() >= longest:
                break
            parts += [text[at : found.start()], HIDDEN]
            at = found.end()
        return "".join([*parts, text[at:longest], "…"])


def _forms(secret: str) -> set[str]:
    coded = base64.b64encode(secret.encode()).decode()
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), escape(secret), repr(secret)[1:-1]}
    return forms | {json.dumps(secret)[1:-1], repr(secret.encode())[2:-1], coded, secret.lower(), secret.strip()}
