"""An aiohttp server whose requests take known amounts of time in one way each; its argument is its port."""

from __future__ import annotations

import asyncio
import sys
import time

from aiohttp import web

from tests.apps import timed_work


async def piece(request: web.Request) -> web.Response:
    """Work on the loop itself."""
    return web.Response(text=str(timed_work.WORK[request.match_info["name"]]()))


async def resting(request: web.Request) -> web.Response:
    """A sleep of asyncio's."""
    began = time.perf_counter()
    await asyncio.sleep(0.3)
    return web.Response(text=str((time.perf_counter() - began) * 1000))


app = web.Application()
app.add_routes([web.get("/piece/{name}", piece), web.get("/resting", resting)])
if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
