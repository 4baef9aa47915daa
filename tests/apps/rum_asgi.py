"""Pages of a FastAPI program, for the tests of what is measured in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from tests.apps.rum_pages import ANSWERS, PARTS, SPLIT, STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

app = FastAPI()
packed = FastAPI()
packed.add_middleware(GZipMiddleware, minimum_size=100)


async def _each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _answer(path: str) -> Response:
    status, headers, body = ANSWERS[path]
    return Response(body, status, headers)


@app.api_route("/items/{number}", methods=["GET", "HEAD"])
async def item(number: int) -> Response:
    return _answer("/items")


@packed.get("/")
async def packed_page() -> Response:
    return _answer("/items")


@app.post("/upload")
async def upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@app.get("/parts")
async def parts() -> Response:
    return StreamingResponse(_each(PARTS), media_type="text/html")


@app.get("/split")
async def split() -> Response:
    return StreamingResponse(_each(SPLIT), media_type="text/html")


@app.get("/events")
async def events() -> Response:
    return StreamingResponse(_each(STREAM), media_type="text/event-stream")


@app.get("/file")
async def file(path: str) -> Response:
    return FileResponse(path, media_type="text/html")


app.mount("/packed", packed)


async def any_answer(request: Request) -> Response:
    return _answer(request.url.path)


for _path in ANSWERS:
    app.add_route(_path, any_answer)


@app.middleware("http")
async def nothing(request: Request, call_next):  # type: ignore[no-untyped-def]
    """A middleware that passes bodies on in parts, as those of `@app.middleware("http")` do."""
    return await call_next(request)
