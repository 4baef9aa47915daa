"""A WSGI application whose requests take known amounts of time in one way each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apps import timed_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

started = False


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Does the piece of work that the path names; answers how long it took, ms."""
    global started
    if not started:
        started = True
        timed_work.start()
    took = timed_work.WORK[environ["PATH_INFO"].strip("/")]() if environ["PATH_INFO"] != "/" else 0
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(took).encode()]
