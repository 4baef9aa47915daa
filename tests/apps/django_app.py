"""The Django program of the tests, in one module: `wsgi` and `asgi` are its applications."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.cache import caches
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, models
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import sync_and_async_middleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

HOME = Path(os.environ["HOME"])
settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.guarding", "django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HOME / "shop.db")}},
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(HOME / "cache")},
        "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    },
    USE_TZ=True,
)
django.setup()


class Item(models.Model):
    """Something that is sold."""

    title = models.CharField(max_length=80)

    class Meta:
        app_label = "shop"


def _fill() -> None:
    with sqlite3.connect(HOME / "shop.db") as database:
        database.execute("create table if not exists shop_item (id integer primary key, title varchar(80))")
        database.execute("insert or ignore into shop_item values (7, 'bread')")


_fill()


@sync_and_async_middleware
def guarding(get_response: Any) -> Any:
    def refused(request: HttpRequest) -> HttpResponse | None:
        return HttpResponse("no", status=403) if request.path == "/refused" else None

    if asyncio.iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            return refused(request) or await get_response(request)

        return asynchronous

    def plain(request: HttpRequest) -> HttpResponse:
        return refused(request) or get_response(request)

    return plain


def item(request: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse({"title": Item.objects.get(id=7).title, "number": number})


async def later(request: HttpRequest, number: int) -> JsonResponse:
    found = await Item.objects.aget(id=7)
    return JsonResponse({"title": found.title, "number": number})


def year(request: HttpRequest, year: str) -> HttpResponse:
    return HttpResponse(year)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[str]:
        yield request.path
        with connection.cursor() as cursor:
            cursor.execute("select 'sold out'")
            yield cursor.fetchone()[0]

    return StreamingHttpResponse(chunks())


def boom(request: HttpRequest) -> HttpResponse:
    raise LookupError("nobody handles it")


def absent(request: HttpRequest) -> HttpResponse:
    raise Http404("no such thing")


def cached(request: HttpRequest) -> JsonResponse:
    memory, files = caches["default"], caches["files"]
    memory.set("a", 1)
    memory.set("nothing", None)
    told = [memory.get("a"), memory.get("b", 5), memory.get("nothing", 6), "a" in memory, memory.get_or_set("c", 7)]
    many = memory.get_many(iter(["a", "b"]))
    files.set("d", 1)
    return JsonResponse(
        {"told": told, "many": many, "files": files.get_many(["d", "e"]), "none": caches["none"].get(1)}
    )


inner = [path("<slug:name>/", lambda request, name, year: HttpResponse(name + year))]
urlpatterns = [
    path("items/<int:number>/", item),
    path("later/<int:number>/", later),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", year),
    re_path(r"^archive/(?P<year>[0-9]{4})/", include(inner)),
    path("stream", stream),
    path("boom", boom),
    path("absent", absent),
    path("cached", cached),
    path("", lambda request: HttpResponse("home")),
]
wsgi, asgi = WSGIHandler(), ASGIHandler()
