"""WSGI: one request to a plain application."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from benchmarks.instruments.gateway import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None
IS_REQUEST = True


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A request."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-length", "5")])
        return [b"hello"]

    yield wsgi(application)
