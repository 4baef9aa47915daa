"""Pages of a Flask program, for the tests of what is measured in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request, send_file

from tests.apps.rum_pages import ANSWERS, HTML, PARTS, SPLIT, STREAM

if TYPE_CHECKING:
    from collections.abc import Callable

app = Flask(__name__)


def _answer(path: str) -> Response:
    status, headers, body = ANSWERS[path]
    return Response(body, status, headers)


@app.get("/items/<int:number>")
def item(number: int) -> Response:
    return _answer("/items")


@app.post("/upload")
def upload() -> Response:
    return Response(str(len(request.get_data())))


@app.get("/parts")
def parts() -> Response:
    return Response(iter(PARTS), content_type=HTML)


@app.get("/split")
def split() -> Response:
    return Response(iter(SPLIT), content_type=HTML)


@app.get("/events")
def events() -> Response:
    return Response(iter(STREAM), content_type="text/event-stream")


@app.get("/file")
def file() -> Response:
    return send_file(request.args["path"], mimetype="text/html")


def _of(path: str) -> Callable[[], Response]:
    return lambda: _answer(path)


for _path in ANSWERS:
    app.add_url_rule(_path, _path, _of(_path))
