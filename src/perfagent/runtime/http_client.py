"""Spans of requests that a program sends, and the metrics made of them (OpenTelemetry semantic conventions, "HTTP").

Imported with the first HTTP client of the program. What an address keeps secret is taken out here.
"""

from __future__ import annotations

from perfagent.runtime import headers, http, metric, transactions
from perfagent.runtime.encoded import MOST, Encoded
from perfagent.runtime.http import ANSWER, METHODS, Template, meter, split_host
from perfagent.runtime.metric import HISTOGRAM, SECONDS, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, ERROR, Scope, Span, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.runtime.context import RemoteContext

SIGNING_PARAMETERS = frozenset(("AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"))
"""Query parameters whose values are replaced even where queries are kept (semantic conventions, `url.full`)."""

client_duration = registry.make(
    meter,
    HISTOGRAM,
    "http.client.request.duration",
    "s",
    "Duration of HTTP client requests.",
    SECONDS,
    keys=("http.request.method", "server.address", "server.port", *ANSWER),
)

_urls = Encoded("url.full")
_templates: dict[tuple[object, ...], Template] = {}


class ClientSpan(Span):
    """One request sent to another server: each redirect, authentication and retry is one of its own ("HTTP request
    retries and redirects" of the semantic conventions). It ends when the headers of the response have arrived.

    Args:
        scope: the instrument.
        parent: the span that asks, or None.
        method: as the program gave it.
        url: the address, or an object whose `str` it is; user name, password and query are not recorded.

    The instrument fills in `status`, `version` of HTTP, `resend` (how many requests of the same call came before) and
    the captured `headers` and `response_headers`.
    """

    __slots__ = ("failure", "headers", "method", "resend", "response_headers", "status", "url", "version")

    def __init__(self, scope: Scope, parent: RemoteContext | Span | None, method: str, url: object) -> None:
        super().__init__(scope, method, CLIENT, parent)
        self.method = method
        self.url = url
        self.status = 0
        self.version = ""
        self.failure = ""
        self.resend = 0
        self.headers: Iterable[headers.Header] | None = None
        self.response_headers: Iterable[headers.Header] | None = None

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with, without the secret parts of the address in its text."""
        self.failure = type_name(error)
        if self.entry is not None:
            self.entry.told = id(error)
        self.record_exception(error)
        if self.details is None or not self.details.events:
            return
        recorded = self.details.events[-1][2]
        for secret, shown in _secrets(str(self.url)):
            for key in ("exception.message", "exception.stacktrace"):
                recorded[key] = str(recorded.get(key)).replace(secret, shown)

    def finish(self) -> None:
        """As every span's; where it took long, with a look at the transactions that it kept open."""
        first = not self.ended
        super().finish()
        if first and transactions.asked:
            transactions.look(self)

    def summary(self) -> str:
        """What is asked for, without query, user name and password."""
        return f"{self.method} {_public(str(self.url)).partition('?')[0]}"

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        duration = self._template().duration
        seconds = (self.ended - self.started) / 1e9
        duration.record(seconds)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            duration.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        body = self._template().body + _urls[_public(str(self.url))]
        if self.resend:
            body += wire.key_value(9, "http.request.resend_count", self.resend)
        if self.headers is not None:
            body += headers.encode("client.request", self.headers)
        if self.response_headers is not None:
            body += headers.encode("client.response", self.response_headers)
        return self.encode_around(body)

    def _template(self) -> Template:
        # The program may have renamed the span through OpenTelemetry's API: then the name is its own.
        name = self.name if self.name != self.method else ""
        key = (self.method, _origin(str(self.url)), self.status, self.failure, self.version, name)
        return _templates.get(key) or self._make_template(key)

    def _make_template(self, key: tuple[object, ...]) -> Template:
        scheme, _, authority = str(key[1]).partition("://")
        address, port = split_host(authority)
        method = self.method.upper()
        if method not in METHODS:
            method = "_OTHER"
        shared: dict[str, object] = {
            "http.request.method": method,
            "server.address": address,
            "server.port": port or (443 if scheme in ("https", "wss") else 80),
        }
        if self.status:
            shared["http.response.status_code"] = self.status
        if self.version:
            shared["network.protocol.version"] = self.version
        error = self.failure or (str(self.status) if self.status >= 400 else "")
        if error:
            shared["error.type"] = error
        own = dict(shared)
        if method != self.method:
            own["http.request.method_original"] = self.method[:64]
        name = str(key[-1]) or ("HTTP" if method == "_OTHER" else method)
        body = wire.text(5, name) + b"0\x03" + wire.attributes(9, own)
        if error:
            body += wire.message(15, wire.integer(3, ERROR))
        if len(_templates) >= MOST:
            _templates.clear()
        template = _templates[key] = Template(body, client_duration.of(shared))
        return template


def _origin(url: str) -> str:
    """Scheme and authority without user name and password."""
    scheme, _, rest = url.partition("://")
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _public(url: str) -> str:
    """The address as it may be shown: no user information, no fragment, no query unless asked for."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("#")[0]
    location, question, query = rest.partition("?")
    authority, slash, path = location.partition("/")
    shown = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return shown + question + _unsigned(query) if http.capture_query else shown


def _unsigned(query: str) -> str:
    """A query whose signatures are replaced."""
    parameters = []
    for parameter in query.split("&"):
        name, equals, value = parameter.partition("=")
        parameters.append(name + equals + ("REDACTED" if value and name in SIGNING_PARAMETERS else value))
    return "&".join(parameters)


def _secrets(url: str) -> list[tuple[str, str]]:
    """The parts of an address that must not be seen in the text of an exception, and what is shown in their place."""
    location, _, query = url.partition("://")[2].partition("#")[0].partition("?")
    user = location.partition("/")[0].rpartition("@")[0]
    secrets = [(f"{user}@", f"{headers.REDACTED}@")] if user else []
    if query and not http.capture_query:
        secrets.append((f"?{query}", f"?{headers.REDACTED}"))
    return secrets
