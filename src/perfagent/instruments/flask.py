"""Flask: its applications are measured whoever calls them, its rules name the spans, its unhandled errors are told."""

from __future__ import annotations

from perfagent.instruments import wsgi
from perfagent.instruments.answering import entry, unhandled
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any

    Call = Callable[[Any, wsgi.Environ, wsgi.StartResponse], Iterable[bytes]]


class Flask(Instrument):
    """Patches `Flask.__call__`, the matching of rules, and the two places that an unhandled exception passes."""

    name = "flask"
    distribution = "flask"
    versions = ("2.0", "4")
    records = "the route of a request, its exception"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "flask.app":
            self.replace(module.Flask, "__call__", self._application)
            # Both, for extensions such as Flask-RESTful put their own in the place of the first and call the second.
            self.replace(module.Flask, "handle_exception", _handling)
            self.replace(module.Flask, "log_exception", _logging)
        else:
            # Flask 3.2 has one context for both; a look at the module's dict does not warn of the old name.
            for context in (vars(module).get("RequestContext"), vars(module).get("AppContext")):
                if context is not None and "match_request" in vars(context):
                    self.replace(context, "match_request", _matching)

    def _application(self, call: Call) -> Call:
        scope = self.scope

        def __call__(app: Any, environ: Any, start_response: Any) -> Iterable[bytes]:  # noqa: N807
            return wsgi.call(scope, call.__get__(app), environ, start_response)

        return __call__


def _matching(match: Callable[[Any], None]) -> Callable[[Any], None]:
    def match_request(context: Any) -> None:
        match(context)
        try:
            rule = context.request.url_rule
            if rule is not None:  # else 404, 405 or a redirect to the rule's own spelling
                _name(rule.rule, context.request.environ)
        except Exception:
            guard.failed("flask")

    return match_request


def _name(rule: str, environ: wsgi.Environ) -> None:
    """Names the route of the request being answered; the first name stays.

    The application root comes before it ("`http.route` SHOULD include the application root if there is one"): that is
    SCRIPT_NAME, from the server, a proxy's prefix or a DispatcherMiddleware. Without it the `/` of two applications
    side by side would be one endpoint. Mounted in an ASGI application, the mounts' templates say it better.
    """
    span = entry()
    if span is not None and not span.route:
        root = environ.get("SCRIPT_NAME", "") if isinstance(span, wsgi.WsgiSpan) else span.prefix
        span.route = root + rule


def _handling(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_exception(*arguments: Any, **named: Any) -> Any:  # the error comes last, whatever is put before it
        unhandled(named.get("e", arguments[-1] if arguments else None), "flask")
        return handle(*arguments, **named)

    return handle_exception


def _logging(log: Callable[..., None]) -> Callable[..., None]:
    def log_exception(*arguments: Any, **named: Any) -> None:
        unhandled(named.get("exc_info", arguments[-1] if arguments else None), "flask")
        log(*arguments, **named)

    return log_exception


instrument = Flask()
