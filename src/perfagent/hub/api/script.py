"""/rum.js: the script for the pages of measured programs, one file of web-vitals and ours.

Pages of any origin may load it, for it holds nothing; what it tells is taken from some alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from perfagent.hub.api import files
from perfagent.hub.api.security import SCRIPT

if TYPE_CHECKING:
    from starlette.requests import Request

    from perfagent.hub.hub import Hub

PARTS = ("vendor/web-vitals.js", "rum.js")
CACHE = "public, max-age=3600, stale-while-revalidate=86400"
"""The address stays, so that it can be written into pages by hand; a new version is seen within an hour."""
OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Timing-Allow-Origin": "*",
}
NOTHING = b"// This hub reads from Prometheus and Jaeger, and takes nothing from browsers.\n"


def routes(hub: Hub, page: files.Files) -> list[Route]:
    """The route of the script; in a hub that takes no telemetry, of one that does nothing."""

    async def script(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(None, 204, {**OPEN, "Access-Control-Allow-Private-Network": "true"})
        file = await run_in_threadpool(made, page, takes=hub.remote is None)
        response = files.send(request, file, CACHE)
        response.headers.update(OPEN)
        return response

    return [Route(SCRIPT, script, methods=["GET", "OPTIONS"])]


def made(page: files.Files, *, takes: bool = True) -> files.File:
    """The script as it is sent: what web-vitals calls itself stays out of the page's own names."""
    vitals, own = (page.get(path) for path in PARTS)
    if not takes or vitals is None or own is None:
        return files.made(SCRIPT, NOTHING, (0, 0))
    bare = re.sub(r"^\s*(//.*|/\*\*.*\*/)?\n|^\s+", "", own.body.decode(), flags=re.MULTILINE)
    stamp = (max(vitals.stamp[0], own.stamp[0]), vitals.stamp[1] + own.stamp[1])
    return files.made(SCRIPT, b"(() => {\n" + vitals.body.strip() + b"\n" + bare.encode() + b"})();\n", stamp)
