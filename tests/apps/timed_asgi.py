"""An ASGI application whose requests take known amounts of time in one way each."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.apps import timed_work

if TYPE_CHECKING:
    from starlette.requests import Request

timed_work.start()


def answer(began: float) -> PlainTextResponse:
    """How long it took, ms."""
    return PlainTextResponse(str((time.perf_counter() - began) * 1000))


async def piece(request: Request) -> PlainTextResponse:
    """Work on the loop itself."""
    return PlainTextResponse(str(timed_work.WORK[request.path_params["name"]]()))


async def in_thread(request: Request) -> PlainTextResponse:
    """Work in a worker thread."""
    return PlainTextResponse(str(await run_in_threadpool(timed_work.WORK[request.path_params["name"]])))


async def queueing(request: Request) -> PlainTextResponse:
    """Ready at once, and 250 ms later its turn."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.call_soon(time.sleep, 0.25)
    loop.call_soon(ready.set_result, None)
    began = time.perf_counter()
    await ready
    return answer(began)


async def resting(request: Request) -> PlainTextResponse:
    """A sleep of asyncio's."""
    began = time.perf_counter()
    await asyncio.sleep(0.3)
    return answer(began)


async def waiting(request: Request) -> PlainTextResponse:
    """A lock of asyncio's that is held for 300 ms."""
    lock = asyncio.Lock()
    await lock.acquire()
    asyncio.get_running_loop().call_later(0.3, lock.release)
    began = time.perf_counter()
    async with lock:
        return answer(began)


async def fetching(request: Request) -> PlainTextResponse:
    """Two calls of a slow server at once, which take as long as one."""
    async with httpx.AsyncClient() as client:
        address = f"http://127.0.0.1:{timed_work.SERVER.server_port}/"
        began = time.perf_counter()
        await asyncio.gather(client.get(address), client.get(address))
        return answer(began)


async def turns(request: Request) -> PlainTextResponse:
    """Ten steps of 10 ms of CPU time, with others let in between."""
    for _ in range(10):
        timed_work.burn(10)
        await asyncio.sleep(0)
    return PlainTextResponse("100")


app = Starlette(
    routes=[
        Route("/piece/{name}", piece),
        Route("/thread/{name}", in_thread),
        *(Route(f"/{one.__name__}", one) for one in (queueing, resting, waiting, fetching, turns)),
    ]
)
