"""WSGI: keeps `start_response` of a page back until the first part of its body, which may get the script's tag.

PEP 3333 lets an application call it as late as that. What is no plain iterable of parts keeps its identity, and is
begun at once: a `wsgi.file_wrapper`, a file, a server's own mark.
"""

from __future__ import annotations

from perfagent.rum.page import look, skip
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from perfagent.rum.page import Page
    from perfagent.runtime.http import ServerSpan

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def answer(app: Application, environ: Environ, start_response: StartResponse, span: ServerSpan) -> Iterable[bytes]:
    """Calls an application, and changes its answer where that is a page."""
    begin = Begin(environ, start_response, span)
    body: Any = app(environ, begin)
    kind = type(body)
    if kind is list or kind is tuple:
        whole: Iterable[bytes] = _whole(begin, body)
        return whole
    wrapper = environ.get("wsgi.file_wrapper")
    is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
    if is_file or not hasattr(kind, "__iter__") or hasattr(kind, "__len__") or hasattr(kind, "read"):
        begin.as_it_is("file")
        return body  # type: ignore[no-any-return]
    if begin.page is None and begin.started:
        return body  # type: ignore[no-any-return]
    return Parts(begin, body)


class Begin:
    """The `start_response` that the application gets.

    Args:
        environ: the request's.
        start_response: what it stands for.
        span: the request's.
    """

    __slots__ = ("environ", "kept", "page", "span", "start_response", "started", "write")

    def __init__(self, environ: Environ, start_response: StartResponse, span: ServerSpan) -> None:
        self.environ = environ
        self.start_response = start_response
        self.span = span
        self.kept: tuple[Any, ...] = ()
        self.page: Page | None = None
        self.started = False
        self.write: Callable[[bytes], object] | None = None

    def __call__(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Begins the answer, or keeps what it begins with."""
        if self.started:  # again, with the error that came after the first part
            return self.start_response(status, headers, *exc_info)
        try:
            raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            self.page = look(int(status[:3]), raw, self._header, self.span)
        except Exception:
            guard.failed("rum")
            self.page = None
        self.kept = (status, headers, *exc_info)
        return self.start() if self.page is None else self._write

    def start(self, headers: list[tuple[str, str]] | None = None) -> Any:
        """Calls the server's, once."""
        self.page = None
        if self.started or not self.kept:
            return None
        self.started = True
        status, own, *exc_info = self.kept
        self.kept = ()
        return self.start_response(status, own if headers is None else headers, *exc_info)

    def as_it_is(self, reason: str) -> Any:
        """Begins the answer unchanged, and counts why where it is a page."""
        if self.page is not None:
            skip(reason)
        return self.start()

    def change(self, part: bytes) -> bytes:
        """Begins the answer, and returns the first part of its body."""
        page, changed = self.page, None
        try:
            changed = page.change(part) if page is not None else None
        except Exception:
            guard.failed("rum")
        if changed is None:
            self.start()
            return part
        part, headers = changed
        self.start([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
        return part

    def _write(self, data: bytes) -> None:
        """The old way to send, which an application may use from the moment on that it has begun."""
        if self.write is None:
            self.write = self.as_it_is("write")
        self.write(data)

    def _header(self, name: str) -> str:
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), ""))


def _whole(begin: Begin, body: Any) -> Any:
    """A list or tuple of parts, of which the first that holds something is looked at."""
    if begin.page is None:
        begin.start()
        return body
    at = next((at for at, part in enumerate(body) if part), -1)
    if at < 0:
        begin.as_it_is("fragment")
        return body
    part = begin.change(body[at])
    return body if part is body[at] else type(body)((*body[:at], part, *body[at + 1 :]))


class Parts:
    """An iterable body.

    Args:
        begin: what is begun with its first part.
        body: the application's.
    """

    __slots__ = ("begin", "body", "step")

    def __init__(self, begin: Begin, body: Any) -> None:
        self.begin = begin
        self.body = body
        self.step: Callable[[], bytes] | None = None

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> bytes:
        step = self.step
        if step is not None:
            return step()
        self.step = step = iter(self.body).__next__
        try:
            part: bytes = step()
        except StopIteration:
            self.begin.as_it_is("fragment")
            raise
        if self.begin.page is not None:
            return self.begin.change(part)
        return part

    def close(self) -> None:
        """Closes the body, where it can be closed."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> object:
        return getattr(self.body, name)
