"""WSGI bodies: what an application returns, so that its span ends when the server has sent it.

PEP 3333 gives a server four ways to send a body, and each must stay what it is: a list or tuple, whose length tells the
Content-Length; an instance of the server's `wsgi.file_wrapper`, which goes by sendfile; an object that only the server
understands; and any other iterable, which is iterated and closed.
"""

from __future__ import annotations

from perfagent.runtime.carriers import carries
from perfagent.runtime.context import baggage, current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from perfagent.instruments.wsgi import WsgiSpan
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span


def measured(span: WsgiSpan, body: Any, environ: dict[str, Any]) -> Iterable[bytes]:
    """What the server gets in place of `body`.

    Args:
        span: the request's span, which ends when `body` is exhausted or closed.
        body: what the application returned.
        environ: the request's.
    """
    kind = type(body)
    if kind is list or kind is tuple:
        sized: SentList | SentTuple = SentList(body) if kind is list else SentTuple(body)
        sized.span = span
        return sized
    wrapper = environ.get("wsgi.file_wrapper")
    if (wrapper is not None and isinstance(wrapper, type) and isinstance(body, wrapper)) or (
        getattr(body, "streaming", None) is False  # a response of Django's, whose bytes are there: no step to measure
    ):
        _end_when_closed(span, body)
        return body  # type: ignore[no-any-return]
    if not hasattr(kind, "__iter__") or hasattr(kind, "__len__") or hasattr(kind, "read"):
        # A server's own mark such as gunicorn's ALREADY_HANDLED, complete bytes, or a file that uWSGI recognises by its
        # identity: they pass as they are, and the request has ended as far as anybody can tell.
        span.finish()
        return body  # type: ignore[no-any-return]
    return Carrying(span, body) if span.baggage else Body(span, body)


class SentList(list[bytes]):
    """A list that a server still takes for one, and closes when it has sent it.

    Ending the span at return would cost 0.6 us less, and leave the sending out of every request's duration.
    """

    __slots__ = ("span",)
    span: WsgiSpan

    def close(self) -> None:
        """Ends the request."""
        self.span.finish()

    def __del__(self) -> None:
        self.span.finish()


class SentTuple(tuple[bytes, ...]):
    """A tuple, as `SentList`."""

    span: WsgiSpan  # no slot: a tuple's size varies, so it cannot have one

    def close(self) -> None:
        """Ends the request."""
        self.span.finish()

    def __del__(self) -> None:
        self.span.finish()


class Body:
    """Any other iterable: its steps run with the request's span current, and its end is the request's.

    Args:
        span: the request's span.
        body: the iterable.
    """

    __slots__ = ("body", "here", "span", "step")

    def __init__(self, span: WsgiSpan, body: Any) -> None:
        self.span = span
        self.body = body
        self.here: Span | RemoteContext | None = span  # what was current where the body's last step left off
        self.step: Callable[[], bytes] | None = None

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        step = self.step
        token = current.set(self.here)
        try:
            if step is None:
                self.step = iter(self.body).__next__
                return self.step()
            return step()
        except StopIteration:
            self.span.finish()
            raise
        except BaseException as error:
            self.span.abort(error, answered=step is not None)
            raise
        finally:
            self.here = current.get()
            current.reset(token)

    def close(self) -> None:
        """Closes the body, where it can be closed, and ends the request."""
        token = current.set(self.here)
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            current.reset(token)
            self.span.finish()

    def __getattr__(self, name: str) -> object:
        return getattr(self.body, name)

    def __del__(self) -> None:
        self.span.finish()  # a server that neither exhausts nor closes: gone is gone


class Carrying(Body):
    """The body of a request that came with baggage, which its callees get too."""

    __slots__ = ()

    def __next__(self) -> bytes:
        token = baggage.set(self.span.baggage)
        try:
            return super().__next__()
        finally:
            baggage.reset(token)

    def close(self) -> None:
        """As `Body.close`."""
        token = baggage.set(self.span.baggage)
        try:
            super().close()
        finally:
            baggage.reset(token)


def _end_when_closed(span: WsgiSpan, body: Any) -> None:
    """Ends the request at the `close()` of a body that must stay the object it is."""
    close = getattr(body, "close", None)
    try:
        body.close = Closing(span, body, close)
    except AttributeError:  # a C type
        span.finish()


class Closing:
    """The `close` of one body: closes it, and ends the request; as the last reference to it does.

    Args:
        span: the request's span.
        body: what is closed.
        close: how, if at all.
    """

    __slots__ = ("body", "close", "own", "span")

    def __init__(self, span: WsgiSpan, body: Any, close: Callable[[], object] | None) -> None:
        self.span = span
        self.body = body
        self.close = close
        self.own = getattr(body, "__dict__", {}).get("close")

    def __call__(self) -> None:
        """As the body's own."""
        body = self.body
        if self.own is None:
            del body.close  # with it goes the cycle from the body to its own method and back
        else:
            body.close = self.own
        try:
            if self.close is not None:
                self.close()
        finally:
            self.span.finish()

    def __del__(self) -> None:
        self.span.finish()


carries(Body.__next__, "self", "here")
carries(Body.close, "self", "here")
