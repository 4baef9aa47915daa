"""urllib3: one client span for each request that a pool sends, so each retry and redirect has its own.

It ends when urllib3 hands out the response: with `preload_content`, the default, that is after the body. Nothing is
measured where requests or another client above speaks for the request. What `Retry` sends again, or gives up, is
counted for either.
"""

from __future__ import annotations

from perfagent.instruments import outgoing, urls
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, retries
from perfagent.runtime import headers as kept
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import current
from perfagent.runtime.http_client import ClientSpan
from perfagent.runtime.span import CLIENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Span

_scope: Scope
_excluded: Pattern[str] | None = None


class Urllib3(Instrument):
    """Patches `urlopen`, which calls itself for each retry, `_make_request`, which sends one request, and `Retry`."""

    name = "urllib3"
    distribution = "urllib3"
    versions = ("1.24", "4")
    records = "a client span a request, its retries, trace context in its headers"

    def patch(self, module: ModuleType) -> None:
        """Patches the connection pool."""
        global _scope, _excluded
        _scope, _excluded = self.scope, urls.excluded_by("urllib3")
        pool = module.connectionpool.HTTPConnectionPool
        self.replace(pool, "urlopen", _opening)
        self.replace(pool, "_make_request", _sending)
        self.replace(module.util.retry.Retry, "increment", _retrying)


class Attempt(ClientSpan):
    """One request of a call. `above` is the span that the call was made in: the next attempt's parent, too."""

    __slots__ = ("above",)
    above: Span | RemoteContext | None


def _opening(urlopen: Callable[..., Any]) -> Callable[..., Any]:
    @carries
    def wrapper(
        pool: Any, method: str, url: str, body: Any = None, headers: Any = None, retries: Any = None,
        *args: Any, **options: Any,
    ) -> Any:  # fmt: skip
        try:
            parent = current.get()
            if type(parent) is Attempt and parent.ended:  # urlopen calls itself after an attempt
                parent = parent.above
            span = _open(pool, parent, method, url, retries)
            if span is not None:
                given = pool.headers if headers is None else headers
                headers = outgoing.inject(given.copy() if hasattr(given, "copy") else dict(given), span)
                span.headers = kept.pairs("client.request", headers)
        except Exception:
            guard.failed("urllib3")
            return urlopen(pool, method, url, body, headers, retries, *args, **options)
        if span is None:
            return urlopen(pool, method, url, body, headers, retries, *args, **options)
        token = current.set(span)
        try:
            return urlopen(pool, method, url, body, headers, retries, *args, **options)
        except BaseException as error:
            if not span.ended:  # no connection to be had, or no way through the proxy
                outgoing.failed(span, error)
            raise
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _sending(make_request: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
        span = current.get()
        if type(span) is not Attempt or span.ended:
            return make_request(pool, *args, **options)
        try:
            response = make_request(pool, *args, **options)
        except BaseException as error:
            outgoing.failed(span, error)
            raise
        else:
            _answered(span, response)
            return response
        finally:
            span.finish()

    return wrapper


def _retrying(increment: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(
        retry: Any, method: Any = None, url: Any = None, response: Any = None, error: Any = None, _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Any:  # fmt: skip
        try:
            found = increment(retry, method, url, response, error, _pool, _stacktrace)
        except Exception:
            if getattr(retry, "history", ()):  # else nothing was to be tried again in the first place
                _count(_pool, retries.GAVE_UP)
            raise
        try:
            if error is not None or response is None or not response.get_redirect_location():
                _count(_pool, retries.RETRY)
        except Exception:
            guard.failed("urllib3")
        return found

    return wrapper


def _count(pool: Any, outcome: str) -> None:
    try:
        retries.count("urllib3", str(getattr(pool, "host", None) or "unknown"), outcome)
    except Exception:
        guard.failed("urllib3")


def _open(pool: Any, parent: Span | RemoteContext | None, method: str, url: str, retries: Any) -> Attempt | None:
    if (parent is not None and parent.kind == CLIENT and not parent.ended) or outgoing.left_out.get():
        return None
    address = _address(pool, url)
    if _excluded is not None and _excluded.search(address) is not None:
        return None
    span = Attempt(_scope, parent, method, address)
    span.above = parent
    span.resend = len(getattr(retries, "history", ()))
    return span


def _address(pool: Any, url: str) -> str:
    """The whole address: a pool is given the path alone, unless it is a proxy's."""
    if "://" in url.partition("?")[0]:
        return url
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    port = "" if pool.port in (None, 443 if pool.scheme == "https" else 80) else f":{pool.port}"
    return f"{pool.scheme}://{host}{port}{'' if url.startswith('/') else '/'}{url}"


def _answered(span: Attempt, response: Any) -> None:
    try:
        span.status = response.status
        span.version = outgoing.VERSIONS.get(response.version, "")
        span.response_headers = kept.pairs("client.response", response.headers)
    except Exception:
        guard.failed("urllib3")


instrument = Urllib3()
