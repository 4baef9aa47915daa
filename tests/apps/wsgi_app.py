"""The WSGI program of the tests: one route for each way of answering that PEP 3333 allows."""

from __future__ import annotations

import io
import os
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Environ = dict[str, Any]
    Start = Callable[..., Callable[[bytes], object]]

TEXT = [("Content-Type", "text/plain")]


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answers by the first part of the path; what it does not know, by 404."""
    name = environ.get("PATH_INFO", "").split("/")[1]
    return ROUTES.get(name, missing)(environ, start)


def query() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    connection.close()


def plain(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "2"), ("X-Answer", "42"), ("Set-Cookie", "secret=1")])
    return [b"ok"]


def unsized(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])
    return (b"four",)


def missing(environ: Environ, start: Start) -> Iterable[bytes]:
    start("404 Not Found", [*TEXT])
    return [b"no"]


def stream(environ: Environ, start: Start) -> Iterator[bytes]:
    """A generator: nothing of it runs, not even `start`, before the server asks for the first chunk."""
    start("200 OK", [*TEXT])
    yield b"one "
    query()
    yield b"two"


class Closing:
    """An iterable whose `close` works on."""

    size = 3

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"abc"])

    def close(self) -> None:
        query()


def closing(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])
    return Closing()


def endless(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [*TEXT])
    while True:
        yield b"x" * 65536


def written(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])(b"by ")
    return [b"hand"]


def file(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])
    wrapper = environ.get("wsgi.file_wrapper", lambda opened: [opened.read()])
    return wrapper(open(__file__, "rb"))  # type: ignore[no-any-return]


def fails(environ: Environ, start: Start) -> Iterable[bytes]:
    raise LookupError("before the response")


def fails_late(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])
    raise LookupError("after start_response")


def breaks(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [*TEXT])
    yield b"some"
    raise LookupError("in the midst")


def corrected(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT])
    try:
        raise LookupError
    except LookupError:
        start("503 Service Unavailable", [*TEXT], sys.exc_info())
    return [b"later"]


def proxied(environ: Environ, start: Start) -> Iterable[bytes]:
    """What ProxyFix does, below the server's entry."""
    environ.update(REMOTE_ADDR="203.0.113.7", HTTP_HOST="shop.example", **{"wsgi.url_scheme": "https"})
    return plain(environ, start)


def copied(environ: Environ, start: Start) -> Iterable[bytes]:
    """A middleware that hands a copy on, to an application that is measured by itself."""
    from flask import Flask

    below = Flask("below")
    below.add_url_rule("/copied", view_func=lambda: "copied")
    return below(dict(environ), start)


def seen(environ: Environ, start: Start) -> Iterable[bytes]:
    """What the program sees of the environ."""
    start("200 OK", [*TEXT])
    ours = [key for key, value in environ.items() if "perfagent" in f"{key} {value!r}".lower()]
    return [" ".join(sorted(set(ours) - set(os.environ))).encode()]


ROUTES: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    function.__name__: function
    for function in (
        plain, unsized, stream, closing, endless, written, file, fails, fails_late, breaks, corrected, proxied, copied,
        seen,
    )
}  # fmt: skip


def check_output(environ: Environ, start: Start) -> Iterable[bytes]:
    """As `app`, with the protocol checked from below by the standard library."""
    from wsgiref.validate import validator

    return validator(app)(environ, start)


def serve(kind: str, port: int) -> None:
    """Serves `app` by a server that has no command of its own."""
    if kind == "wsgiref":
        from wsgiref.simple_server import make_server

        make_server("127.0.0.1", port, app).serve_forever()
    elif kind == "werkzeug":
        from werkzeug.serving import run_simple

        run_simple("127.0.0.1", port, app, threaded=True)
    elif kind == "waitress":
        import waitress

        waitress.serve(app, listen=f"127.0.0.1:{port}")


if __name__ == "__main__":
    sys.stderr = io.TextIOWrapper(open("/dev/null", "wb"))  # noqa: SIM115 - every server logs in a way of its own
    serve(sys.argv[1], int(sys.argv[2]))
