"""How the page's browser is let in: a link with a code becomes a cookie.

The cookie is no token: it ends after a week, and with it changes are made only by requests with the page's own Origin.
"""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from perfagent.hub.access import Access

COOKIE = "perfagent"
COOKIE_SECONDS = 7 * 24 * 3600
ENDED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>perfagent: the link has ended</title>
<h1>This link has ended</h1><p>A link opens the page for 15 minutes.
<code>perfagent hub --open</code> prints a new one, and so does <code>perfagent run</code>.</p></html>
"""


def session(access: Access, now: float | None = None) -> str:
    """What the cookie holds: when it ends, and our signature of that."""
    until = f"{int((time.time() if now is None else now) + COOKIE_SECONDS):x}"
    return f"{until}-{_signature(access, until)}"


def holds(access: Access, cookie: str, now: float | None = None) -> bool:
    """Whether a cookie is one of ours and has not ended."""
    until, _, signature = cookie.partition("-")
    if not hmac.compare_digest(signature.encode(), _signature(access, until).encode()):
        return False
    return int(until, 16) >= (time.time() if now is None else now)


def _signature(access: Access, until: str) -> str:
    return access.sign(f"session {until}".encode())[:40]


def enter(request: Request, access: Access, code: str) -> Response:
    """Answers a link: the cookie and the page for a good code, else how to get a new link.

    The caller counts failures: see `security`.
    """
    if not access.opens(code):
        return HTMLResponse(ENDED, 401, {"Cache-Control": "no-store"})
    response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE,
        session(access),
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


def leave() -> Response:
    """Drops the cookie."""
    response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
