"""Places in a paged query as texts: opaque, checked for damage, and signed where there is a secret."""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import hmac
import json
import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIGEST = 16
_LONGEST = 8192
# A type's letter, how a value becomes JSON, and how it comes back.
_CODES: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    type(None): ("n", lambda _: 0, lambda _: None),
    bool: ("o", int, bool),
    int: ("i", str, int),
    float: ("f", float.hex, float.fromhex),
    str: ("s", str, str),
    bytes: ("b", bytes.hex, bytes.fromhex),
    decimal.Decimal: ("d", str, decimal.Decimal),
    datetime.datetime: ("t", datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: ("D", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: ("T", datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: (
        "e",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: datetime.timedelta(*parts),
    ),
    uuid.UUID: ("u", str, uuid.UUID),
}
_DECODERS = {letter: decode for letter, _, decode in _CODES.values()}


class Cursors:
    """Writes and reads the places of one query.

    Args:
        shape: what the query is sorted by; a place of a query that is sorted otherwise is refused.
        secret: signs them, so that nobody else can make one; without it, damage alone is found.
    """

    def __init__(self, shape: str, secret: bytes | str | None = None) -> None:
        if secret is not None and (not isinstance(secret, (bytes, str)) or len(secret) < 16):
            raise wrong("secret", "…", "16 bytes or more", "secret=os.environ['CURSOR_SECRET']")
        key = secret.encode() if isinstance(secret, str) else secret or b""
        self._key = blake2b(key, digest_size=32).digest()
        self._shape = shape.encode()

    def write(self, values: Sequence[Any]) -> str:
        """The place of a row.

        Args:
            values: of the row's key.

        Raises:
            TypeError: for a value of a type that cannot be a key.
        """
        coded = []
        for value in values:
            code = _CODES.get(type(value))
            if code is None:
                raise TypeError(
                    f"a key of type {type(value).__name__} cannot be paged by: accepted are numbers, texts, bytes, "
                    "dates, times, UUIDs and None; choose another column, such as the primary key"
                )
            coded.append([code[0], code[1](value)])
        body = json.dumps(coded, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._digest(body) + body).rstrip(b"=").decode()

    def read(self, cursor: str, count: int) -> list[Any]:
        """The values that a place stands for.

        Args:
            cursor: what `write` gave.
            count: how many values there must be.

        Raises:
            ValueError: for any other text.
        """
        refused = ValueError(
            f"after={str(cursor)[:40]!r} is not accepted: it is no place in this query, or was changed on its way; "
            "take `next` or `previous` of a page, or leave it out for the first page"
        )
        if not isinstance(cursor, str) or len(cursor) > _LONGEST or not cursor.isascii():
            raise refused
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            raise refused from None
        digest, body = raw[:_DIGEST], raw[_DIGEST:]
        if not hmac.compare_digest(digest, self._digest(body)):
            raise refused
        try:
            values = [_DECODERS[letter](value) for letter, value in json.loads(body)]
        except (ValueError, TypeError, KeyError, ArithmeticError):
            raise refused from None
        if len(values) != count:
            raise refused
        return values

    def _digest(self, body: bytes) -> bytes:
        return blake2b(self._shape + b"\0" + body, key=self._key, digest_size=_DIGEST).digest()
