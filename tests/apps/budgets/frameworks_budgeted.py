"""Endpoints of frameworks, asked by their test clients without a server."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

connection = sqlite3.connect(":memory:", check_same_thread=False)
connection.execute("CREATE TABLE items (id INTEGER)")


def ask() -> None:
    for number in range(3):
        connection.execute("SELECT id FROM items WHERE id = ?", (number,)).fetchall()


def test_flask() -> None:
    import flask

    app = flask.Flask("shop")

    @app.route("/flask/<int:item>")
    def item(item: int) -> str:
        ask()
        return str(item)

    assert app.test_client().get("/flask/5").text == "5"


def test_fastapi() -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()

    @app.get("/fastapi/{item}")
    def item(item: int) -> int:
        ask()
        return item

    with TestClient(app) as client:
        for number in (1, 2):
            assert client.get(f"/fastapi/{number}").json() == number


def test_plain_asgi_by_httpx() -> None:
    import httpx

    async def app(scope: dict[str, str], receive: object, send: object) -> None:
        ask()
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"ok"})  # type: ignore[operator]

    async def get() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:  # type: ignore[arg-type]
            return (await client.get("/asgi")).text

    assert asyncio.run(get()) == "ok"


def test_plain_wsgi_by_werkzeug() -> None:
    from werkzeug.test import Client

    def app(environ: object, start_response: object) -> list[bytes]:
        ask()
        start_response("200 OK", [])  # type: ignore[operator]
        return [b"ok"]

    assert Client(app).get("/wsgi").text == "ok"


@pytest.fixture(scope="module")
def _django() -> None:
    import django
    from django.conf import settings

    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DATABASES={})
    django.setup()


def item_view(request: object, item: int) -> object:
    from django.http import HttpResponse

    ask()
    return HttpResponse(str(item))


def urls() -> list[object]:
    from django.urls import path

    return [path("django/<int:item>/", item_view)]


@pytest.mark.usefixtures("_django")
def test_django() -> None:
    global urlpatterns
    from django.test import Client

    urlpatterns = urls()
    assert Client().get("/django/7/").content == b"7"


@pytest.mark.usefixtures("_django")
def test_django_async() -> None:
    global urlpatterns
    from django.test import AsyncClient

    urlpatterns = urls()
    assert asyncio.run(AsyncClient().get("/django/7/")).content == b"7"


@pytest.mark.anyio
async def test_aiohttp() -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    async def item(request: web.Request) -> web.Response:
        ask()
        return web.Response(text=request.match_info["item"])

    app = web.Application()
    app.router.add_get("/aiohttp/{item}", item)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/aiohttp/3")
        assert await response.text() == "3"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
