"""A Sanic server whose requests take known amounts of time in one way each; its argument is its port."""

from __future__ import annotations

import asyncio
import sys
import time

from sanic import HTTPResponse, Request, Sanic, text

from tests.apps import timed_work

app = Sanic("timed")


@app.get("/piece/<name>")
async def piece(request: Request, name: str) -> HTTPResponse:
    """Work on the loop itself."""
    return text(str(timed_work.WORK[name]()))


@app.get("/resting")
async def resting(request: Request) -> HTTPResponse:
    """A sleep of asyncio's."""
    began = time.perf_counter()
    await asyncio.sleep(0.3)
    return text(str((time.perf_counter() - began) * 1000))


@app.get("/turns")
async def turns(request: Request) -> HTTPResponse:
    """Ten steps of 10 ms of CPU time, with others let in between."""
    for _ in range(10):
        timed_work.burn(10)
        await asyncio.sleep(0)
    return text("100")


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), single_process=True, motd=False, access_log=False)
