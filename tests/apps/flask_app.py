"""The Flask program of the tests, and two programs that mount it: `dispatched` by WSGI and `mounted` by ASGI."""

from __future__ import annotations

import sqlite3
import warnings
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, redirect, request, stream_with_context
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Flask(__name__)
inner = Blueprint("inner", __name__, url_prefix="/inner")
outer = Blueprint("outer", __name__, url_prefix="/outer/<tenant>")


def query() -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select 1").fetchone()
    connection.close()
    return int(found)


@app.get("/items/<int:number>")
def item(number: int) -> dict[str, int]:
    return {"number": number, "one": query()}


@inner.get("/<path:rest>")
def deep(tenant: str, rest: str) -> str:
    return f"{tenant} {rest}"


@app.get("/folder/")
def folder() -> str:
    return "folder"


@app.get("/stream")
def stream() -> Response:
    @stream_with_context
    def chunks() -> Iterator[str]:
        yield request.path
        yield str(query())

    return Response(chunks())


@app.get("/later")
def later() -> Response:
    response = Response("now")
    response.call_on_close(query)
    return response


@app.get("/asynchronous")
async def asynchronous() -> str:
    return str(query())


@app.get("/moved")
def moved() -> Any:
    return redirect("/items/1")


@app.get("/boom")
def boom() -> str:
    raise LookupError("nobody handles it")


@app.get("/handled")
def handled() -> str:
    raise KeyError("somebody handles it")


@app.errorhandler(KeyError)
def on_key_error(error: KeyError) -> tuple[str, int]:
    return "handled", 409


@app.get("/unavailable")
def unavailable() -> tuple[str, int]:
    return "no", 503


outer.register_blueprint(inner)
app.register_blueprint(outer)

proxied = Flask("proxied")
proxied.add_url_rule("/where", view_func=lambda: request.url)
proxied.wsgi_app = ProxyFix(proxied.wsgi_app, x_prefix=1, x_host=1)  # type: ignore[method-assign]

dispatched = DispatcherMiddleware(app, {"/shop": app, "/proxied": proxied})


def mounted() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.middleware.wsgi import WSGIMiddleware

        return Starlette(routes=[Mount("/old/{version}", WSGIMiddleware(app))])
