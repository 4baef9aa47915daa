"""The way in: POST /mcp. What answers is imported with the first question, so that a hub without assistants starts
as fast as ever.

Why our own few modules and not the package `mcp`: the server's side of the streamable transport that has no session is
one JSON-RPC request and one answer, and the hub has the web framework; the package takes 0.7 s to import, and brings
cryptography, OAuth, templates and an HTTP client of its own. The tests speak to it with that package's client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

PATH = "/mcp"


def routes(app: FastAPI) -> list[Route]:
    """The route, for the hub's application; Host, Origin and token are the application's to check."""

    async def answer(request: Request) -> Response:
        from perfagent.hub.mcp import protocol

        return await protocol.answer(app, request)

    return [Route(PATH, answer, methods=["POST"], include_in_schema=False)]
