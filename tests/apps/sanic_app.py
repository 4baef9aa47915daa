"""The Sanic program of the tests, served as `tests.apps.sanic_app:app`."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from sanic import HTTPResponse, Request, Sanic, text
from sanic.exceptions import SanicException

app = Sanic("tested")


def query() -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select 1").fetchone()
    connection.close()
    return int(found)


@app.get("/items/<number:int>")
async def item(request: Request, number: int) -> HTTPResponse:
    return text(f"{number} {query()}")


@app.get("/plain")
def plain(request: Request) -> HTTPResponse:
    return text(str(query()))


@app.get("/stream")
async def stream(request: Request) -> None:
    response = await request.respond(content_type="text/plain")
    await response.send("first ")
    await asyncio.sleep(0.2)
    await response.send(str(query()))
    await response.eof()


@app.get("/boom")
async def boom(request: Request) -> HTTPResponse:
    raise LookupError("nobody handles it")


@app.get("/handled")
async def handled(request: Request) -> HTTPResponse:
    raise ZeroDivisionError("somebody handles it")


@app.exception(ZeroDivisionError)
async def answer(request: Request, error: Exception) -> HTTPResponse:
    return text("handled", 418)


@app.get("/gone")
async def gone(request: Request) -> HTTPResponse:
    raise SanicException("gone", status_code=410)


@app.websocket("/socket/<name>")
async def socket(request: Request, ws: Any, name: str) -> None:
    await ws.send(await ws.recv() + name + str(query()))
