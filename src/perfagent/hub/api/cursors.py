"""Cursors: where the next page of a list begins, in a form that only the hub makes.

A cursor holds the range of its list's first page and the place after the last item, signed together with the address
and its filters. Thus `from=-1h` stays the same hour on every page, and a cursor of another list is refused instead of
misread.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.api.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

CURSOR = r"^[A-Za-z0-9_-]{1,2000}\.[0-9a-f]{16}$"
NOT_PART_OF_IT = ("cursor", "limit")  # a page may be longer or shorter than the one before


class Place(NamedTuple):
    """Where a page begins."""

    begin: float  # seconds since the epoch, of the list's range
    end: float
    key: tuple[Any, ...]  # of the last item before it, or one number: how many items are before it


def write(request: Request, place: Place) -> str:
    """The cursor of a place in the list that `request` asks for."""
    text = base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{text}.{_signature(request, text)}"


def read(request: Request) -> Place | None:
    """The place that the request's cursor stands for, None without one; raises Refused for another list's."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    text, _, signature = cursor.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(request, text).encode()):
        message = "the cursor is not one of this list with these filters; ask for the first page without a cursor"
        raise Refused(400, "bad_cursor", message, "cursor")
    begin, end, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return Place(begin, end, tuple(key))


def _signature(request: Request, text: str) -> str:
    asked: Sequence[tuple[str, str]] = request.query_params.multi_items()
    filters = sorted(pair for pair in asked if pair[0] not in NOT_PART_OF_IT)
    signed = json.dumps(["cursor", request.url.path, filters, text])
    signature: str = request.app.state.hub.access.sign(signed.encode())[:16]
    return signature
