"""Django: one request, WSGI's part with it."""

from __future__ import annotations

import contextlib
import types
from typing import TYPE_CHECKING

from benchmarks.instruments.gateway import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None
IS_REQUEST = True


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A request."""
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    module = types.ModuleType("benchmark_urls")
    module.urlpatterns = [path("hello", lambda request: HttpResponse("hello"))]  # type: ignore[attr-defined]
    settings.configure(ROOT_URLCONF=module, ALLOWED_HOSTS=["*"], SECRET_KEY="benchmark", MIDDLEWARE=[])
    django.setup()
    yield wsgi(WSGIHandler())
