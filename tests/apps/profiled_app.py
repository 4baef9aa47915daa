"""Web programs that use CPU time and memory; `burn` uses a known amount of the first."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from flask import Flask

from perfagent import TimingMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BURNT = 0.05  # seconds of CPU
kept: list[bytearray] = []


def burn() -> None:
    end = time.thread_time() + BURNT
    while time.thread_time() < end:
        pass


app = FastAPI()
app.add_middleware(TimingMiddleware)


@app.middleware("http")
async def in_a_task_of_its_own(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    return await call_next(request)


@app.get("/burning/{number}")
async def burning(number: int) -> str:
    burn()
    await asyncio.sleep(0.01)
    burn()
    return "burnt"


@app.get("/thread")
def thread() -> str:
    burn()
    return "burnt"


@app.get("/waiting")
async def waiting() -> str:
    for _ in range(20):
        await asyncio.sleep(0.02)
    return "waited"


@app.get("/growing")
async def growing() -> str:
    kept.append(bytearray(b"x" * 30_000_000))
    return "grown"


@app.get("/failing")
async def failing() -> str:
    burn()
    raise ValueError


wsgi = Flask("wsgi")
wsgi.wsgi_app = TimingMiddleware(wsgi.wsgi_app)  # type: ignore[method-assign]


@wsgi.get("/burning/<int:number>")
def burning_here(number: int) -> str:
    burn()
    return "burnt"


@wsgi.get("/waiting")
def waiting_here() -> str:
    time.sleep(0.3)
    return "waited"


@wsgi.get("/stream")
def stream() -> Any:
    def chunks() -> Any:
        for _ in range(3):
            burn()
            yield b"x"

    return chunks()
