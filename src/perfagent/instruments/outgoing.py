"""What every HTTP client's instrument does around a request that leaves: the span, the headers, the resends."""

from __future__ import annotations

from contextvars import ContextVar

from perfagent.instruments.base import passed_over
from perfagent.runtime import guard, headers, propagation
from perfagent.runtime.context import restore
from perfagent.runtime.http_client import ClientSpan
from perfagent.runtime.span import CLIENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from re import Pattern
    from typing import Any, TypeVar

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

    Headers = TypeVar("Headers", bound=MutableMapping[str, str])

VERSIONS = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
"""`network.protocol.version` by the numbers that http.client and urllib3 use."""


class Call:
    """One call of the program, which may take several requests: redirects, authentication, retries.

    Args:
        owner: the session or client that makes it; a call that another one makes meanwhile is a call of its own.
    """

    __slots__ = ("owner", "sent")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.sent = 0


call: ContextVar[Call | None] = ContextVar("perfagent_http_call", default=None)
"""The call in whose course requests are sent now."""
left_out: ContextVar[bool] = ContextVar("perfagent_http_left_out", default=False)
"""Whether a client above has left the request out, so that the one below does, too."""


def open_span(
    scope: Scope, excluded: Pattern[str] | None, parent: Span | RemoteContext | None, method: str, url: object
) -> ClientSpan | None:
    """The span of one request; None where the address is left out, or somebody above speaks for the request.

    Args:
        scope: the instrument.
        excluded: what the instrument leaves out.
        parent: the current span.
        method: of the request.
        url: its address, or an object whose `str` it is.
    """
    if (parent is not None and parent.kind == CLIENT and not parent.ended) or left_out.get():
        return None
    if excluded is not None and excluded.search(str(url)) is not None:
        return None
    return ClientSpan(scope, parent, method, url)


@passed_over
def silently(send: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Calls `send` for a request that is left out."""
    token = left_out.set(True)
    try:
        return send(*args, **options)
    finally:
        left_out.reset(token)


def failed(span: ClientSpan | None, error: BaseException) -> None:
    """Records the exception that a request ended with."""
    if span is not None:
        try:
            span.fail(error)
        except Exception:
            guard.failed("HTTP client")


def inject(fields: Headers, span: ClientSpan) -> Headers:
    """Headers with the context in them, in the place of what the program may have put there itself.

    Args:
        fields: the headers of this request alone: they are changed.
        span: who calls.
    """
    if type(fields) is dict:
        for name in [name for name in fields if name.lower() == "traceparent"]:
            del fields[name]
    propagation.inject(fields.__setitem__, span)
    return fields


def stand_in(request: Any, span: ClientSpan) -> Any:
    """What is sent in place of a request: a copy with headers of its own, which hold the context.

    The program's request stays as it is: it may be sent again, by several threads at once.
    """
    copy = object.__new__(type(request))
    copy.__dict__.update(request.__dict__)
    copy.headers = inject(request.headers.copy(), span)
    span.headers = headers.pairs("client.request", copy.headers)
    course = call.get()
    if course is not None:
        span.resend = course.sent
        course.sent += 1
    return copy


def settle(request: Any, copy: Any, outcome: Any) -> None:
    """Puts the program's request in the place of its copy in a response or an exception, with what sending changed."""
    try:
        own = request.__dict__
        for name, value in copy.__dict__.items():
            if name != "headers" and own.get(name) is not value:
                own[name] = value
        held = getattr(outcome, "__dict__", {})
        for name in ("request", "_request"):
            if held.get(name) is copy:
                held[name] = request
    except Exception:
        guard.failed("HTTP client")


def calling(send: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a session's or client's `send` one `Call`, whatever it sends in its course."""

    def wrapper(owner: Any, *args: Any, **options: Any) -> Any:
        course = call.get()
        if course is not None and course.owner is owner:
            return send(owner, *args, **options)
        token = call.set(Call(owner))
        try:
            return send(owner, *args, **options)
        finally:
            call.reset(token)

    return wrapper


def calling_async(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """As `calling`, for a coroutine function."""

    async def wrapper(owner: Any, *args: Any, **options: Any) -> Any:
        course = call.get()
        if course is not None and course.owner is owner:
            return await send(owner, *args, **options)
        token = call.set(Call(owner))
        try:
            return await send(owner, *args, **options)
        finally:
            restore(call, token)

    return wrapper
