"""requests: one client span for each request that an adapter sends, so each redirect and authentication has its own.

It ends when the headers of the response have arrived; the body comes later. The adapter is where `responses` and the
like put theirs, and where a subclassed or pickled Session passes as well. What urllib3 sends again by itself, below
the adapter (`HTTPAdapter(max_retries=...)`), stays one span with the number of resends.
"""

from __future__ import annotations

from perfagent.instruments import outgoing, urls
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, headers
from perfagent.runtime.carriers import carries
from perfagent.runtime.context import current
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.http_client import ClientSpan

_scope: Scope
_excluded: Pattern[str] | None = None


class Requests(Instrument):
    """Patches `HTTPAdapter.send`, and `Session.send` to count what one call sends."""

    name = "requests"
    distribution = "requests"
    versions = ("2.20", "4")
    records = "a client span a request with its redirects, trace context in its headers"

    def patch(self, module: ModuleType) -> None:
        """Patches the adapter and the session."""
        global _scope, _excluded
        _scope, _excluded = self.scope, urls.excluded_by("requests")
        self.replace(module.sessions.Session, "send", outgoing.calling)
        self.replace(module.adapters.HTTPAdapter, "send", _sending)


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    @carries
    def wrapper(adapter: Any, request: Any, *args: Any, **options: Any) -> Any:
        try:
            span = outgoing.open_span(_scope, _excluded, current.get(), request.method, request.url)
            sent = request if span is None else outgoing.stand_in(request, span)
        except Exception:
            guard.failed("requests")
            return send(adapter, request, *args, **options)
        if span is None:
            return outgoing.silently(send, adapter, request, *args, **options)
        token = current.set(span)
        try:
            response = send(adapter, sent, *args, **options)
        except BaseException as error:
            outgoing.settle(request, sent, error)
            outgoing.failed(span, error)
            raise
        else:
            outgoing.settle(request, sent, response)
            _answered(span, response)
            return response
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        span.status = response.status_code
        raw = response.raw
        span.version = outgoing.VERSIONS.get(getattr(raw, "version", 0), "")
        span.response_headers = headers.pairs("client.response", response.headers)
        retries = getattr(raw, "retries", None)
        if retries is not None and retries.history:
            span.resend += len(retries.history)
    except Exception:
        guard.failed("requests")


instrument = Requests()
