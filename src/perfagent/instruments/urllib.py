"""urllib: one client span for each request that an opener sends, so each redirect and authentication has its own.

It ends when the headers of the response have arrived; the body comes later. The hook is where `urllib.request` turns to
http.client, so files and FTP are left alone, and so are requests and urllib3, which use http.client by themselves.
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


class Urllib(Instrument):
    """Patches `AbstractHTTPHandler.do_open`, and `OpenerDirector.open` to count what one call sends."""

    name = "urllib"
    records = "a span a request, with each redirect and authentication as one of its own"

    def patch(self, module: ModuleType) -> None:
        """Patches the handler of HTTP and HTTPS, and the opener."""
        global _scope, _excluded
        _scope, _excluded = self.scope, urls.excluded_by("urllib")
        self.replace(module.OpenerDirector, "open", outgoing.calling)
        self.replace(module.AbstractHTTPHandler, "do_open", _sending)


def _sending(do_open: Callable[..., Any]) -> Callable[..., Any]:
    @carries
    def wrapper(handler: Any, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
        try:
            span = outgoing.open_span(_scope, _excluded, current.get(), req.get_method(), req.full_url)
            sent = req if span is None else outgoing.stand_in(req, span)
        except Exception:
            guard.failed("urllib")
            return do_open(handler, http_class, req, **http_conn_args)
        if span is None:
            return do_open(handler, http_class, req, **http_conn_args)
        token = current.set(span)
        try:
            response = do_open(handler, http_class, sent, **http_conn_args)
        except BaseException as error:
            outgoing.settle(req, sent, error)
            outgoing.failed(span, error)
            raise
        else:
            outgoing.settle(req, sent, response)
            _answered(span, response)
            return response
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _answered(span: ClientSpan, response: Any) -> None:
    try:
        span.status = response.status
        span.version = outgoing.VERSIONS.get(response.version, "")
        span.response_headers = headers.pairs("client.response", response.headers)
    except Exception:
        guard.failed("urllib")


instrument = Urllib()
