"""A FastAPI program with everything that ASGI has: streams, background tasks, websockets, mounts, errors."""

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

database = sqlite3.connect(":memory:", check_same_thread=False)


def query(text: str) -> None:
    database.cursor().execute(f"select '{text}'")


app = FastAPI()
router = APIRouter(prefix="/things")


@router.get("/{thing}")
async def thing(thing: str) -> dict[str, str]:
    query("thing")
    return {"thing": thing}


app.include_router(router, prefix="/api")


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/sync")
def sync() -> str:
    query("sync")
    return "done"


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            query("chunk")
            await asyncio.sleep(0.05)
            yield b"%d" % number

    return StreamingResponse(chunks())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    async def work() -> None:
        await asyncio.sleep(0.4)
        query("background")

    tasks.add_task(work)
    return "sent"


@app.get("/boom")
async def boom() -> None:
    raise ValueError("a secret that is nobody's business")


@app.get("/fail")
async def fail() -> PlainTextResponse:
    return PlainTextResponse("no", 503)


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@app.get("/gather")
async def gather() -> str:
    async def one() -> None:
        await asyncio.sleep(0.01)
        query("task")

    await asyncio.gather(one(), asyncio.create_task(one()))
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(query, "thread"))
    thread.start()
    thread.join()
    await asyncio.to_thread(query, "to_thread")
    return "done"


@app.get("/executor")
async def executor() -> str:
    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, query, "bare executor")
    return "done"


@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(30)
    return "late"


@app.websocket("/ws/{room}")
async def ws(socket: WebSocket, room: str) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    query("ws")
    await socket.close()


async def inner(request: Request) -> PlainTextResponse:
    query("inner")
    return PlainTextResponse(request.path_params["item"])


app.mount("/mounted", Starlette(routes=[Mount("/deep/{level}", routes=[Route("/item/{item}", inner)])]))
