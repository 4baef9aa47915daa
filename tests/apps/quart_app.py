"""The Quart program of the tests, to be served as `tests.apps.quart_app:app`."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

from quart import Blueprint, Quart, abort, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Quart(__name__)
inner = Blueprint("inner", __name__, url_prefix="/inner/<tenant>")


def query() -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select 1").fetchone()
    connection.close()
    return int(found)


@app.get("/items/<int:number>")
async def item(number: int) -> dict[str, int]:
    return {"number": number, "one": query()}


@app.get("/blocking")
def blocking() -> str:  # Quart runs it in a thread
    return str(query())


@inner.get("/<path:rest>")
async def deep(tenant: str, rest: str) -> str:
    return f"{tenant} {rest}"


@app.get("/stream")
async def stream() -> AsyncIterator[str]:
    async def chunks() -> AsyncIterator[str]:
        yield "first "
        await asyncio.sleep(0.2)
        yield str(query())

    return chunks()


@app.get("/boom")
async def boom() -> str:
    raise LookupError("nobody handles it")


@app.get("/gone")
async def gone() -> None:
    abort(410)


@app.websocket("/socket/<name>")
async def socket(name: str) -> None:
    await websocket.send(await websocket.receive() + name + str(query()))


app.register_blueprint(inner)
