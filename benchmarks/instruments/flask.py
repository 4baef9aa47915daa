"""Flask: one request, WSGI's part with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments.gateway import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None
IS_REQUEST = True


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A request."""
    from flask import Flask

    application = Flask("benchmark")
    application.add_url_rule("/hello", view_func=lambda: "hello")
    yield wsgi(application)
