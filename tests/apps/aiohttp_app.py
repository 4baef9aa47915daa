"""The aiohttp program of the tests: `python -m tests.apps.aiohttp_app PORT`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

from aiohttp import web

routes = web.RouteTableDef()


def query() -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select 1").fetchone()
    connection.close()
    return int(found)


@routes.get("/items/{number:[0-9]+}")
async def item(request: web.Request) -> web.Response:
    return web.json_response({"number": int(request.match_info["number"]), "one": query()})


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first ")
    await asyncio.sleep(0.2)
    await response.write(str(query()).encode())
    await response.write_eof()
    return response


@routes.get("/boom")
async def boom(request: web.Request) -> web.Response:
    raise LookupError("nobody handles it")


@routes.get("/gone")
async def gone(request: web.Request) -> web.Response:
    raise web.HTTPGone


@routes.get("/unavailable")
async def unavailable(request: web.Request) -> web.Response:
    raise web.HTTPServiceUnavailable


@routes.get("/slow")
async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


@routes.get("/socket")
async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        await response.send_str(message.data + str(query()))
        await response.close()
    return response


def application() -> web.Application:
    app, inner = web.Application(), web.Application()
    inner.router.add_get("/deep/{name}", lambda request: _text(request.match_info["name"]))
    app.add_routes(routes)
    app.add_subapp("/sub", inner)
    return app


async def _text(text: str) -> web.Response:
    return web.Response(text=text)


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), handler_cancellation=True)
