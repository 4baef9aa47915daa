"""Spans of HTTP servers, and the metrics made of them (OpenTelemetry semantic conventions, "HTTP").

The request path stores a few references; names, attributes and metrics are worked out by the background thread, from
templates kept for each combination of method, route and status.
"""

from __future__ import annotations

from perfagent.runtime import flight, guard, headers, metric
from perfagent.runtime.encoded import MOST, Encoded
from perfagent.runtime.metric import HISTOGRAM, SECONDS, UP_DOWN_COUNTER, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import ERROR, SERVER, Scope, Span, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.metric import Series
    from perfagent.runtime.profile import Measurement, Profile
    from perfagent.runtime.timeparts.parts import Parts

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))
SIZES = (0.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)  # bytes
ANSWER = ("http.response.status_code", "network.protocol.version", "error.type")
"""Attributes of metrics that tell how a request was answered."""

_KEYS = ("http.request.method", "url.scheme", "http.route", *ANSWER)
meter = Scope("perfagent.http", schema_url=SCHEMA)
server_duration = registry.make(
    meter, HISTOGRAM, "http.server.request.duration", "s", "Duration of HTTP server requests.", SECONDS, keys=_KEYS
)
server_active = registry.make(
    meter,
    UP_DOWN_COUNTER,
    "http.server.active_requests",
    "{request}",
    "Number of active HTTP server requests.",
    keys=("http.request.method", "url.scheme"),
)
server_response_size = registry.make(
    meter, HISTOGRAM, "http.server.response.body.size", "By", "Size of HTTP server response bodies.", SIZES, keys=_KEYS
)

_paths = Encoded("url.path")
_queries = Encoded("url.query")
_agents = Encoded("user_agent.original")
_client_addresses = Encoded("client.address")
_client_ports = Encoded("client.port")


class Template:
    """What all spans of one method, route and status share."""

    __slots__ = ("body", "duration", "size")

    def __init__(self, body: bytes, duration: Series, size: Series | None = None) -> None:
        self.body = body
        self.duration = duration
        self.size = size


_active: dict[tuple[str, str], Series] = {}
_templates: dict[tuple[object, ...], Template] = {}
captured = headers.captured
"""Names of the headers that spans keep, by side."""
capture_query = False
failing: Callable[[], None] | None = None
"""Told of each request that was answered 5xx, off the request path: what counts against an error budget."""
profile: Profile | None = None
"""The profiling of requests, where it is on."""
profiled: list[Callable[[Profile | None], None]] = []
"""What instruments do when it is turned on or off: so that nobody pays for a test while it is off."""


def when_profiled(switch: Callable[[Profile | None], None]) -> None:
    """Calls `switch` whenever the profiling of requests is turned on, or off with None; at once where it is on."""
    profiled.append(switch)
    if profile is not None:
        switch(profile)


timed: list[Callable[[bool], None]] = []
"""What instruments do when requests are timed by parts (`perfagent.runtime.timeparts`), or no longer."""
timing = False


def when_timed(switch: Callable[[bool], None]) -> None:
    """Calls `switch` with whether requests are timed by parts whenever that changes; at once where they are."""
    timed.append(switch)
    if timing:
        switch(True)


def time(on: bool) -> None:
    """Has the instruments time requests by parts, or not."""
    global timing
    timing = on
    for tell in timed:
        try:
            tell(on)
        except Exception:
            guard.failed("time parts")


class ServerSpan(Span):
    """One request being answered. The fields are filled by whoever speaks the server's interface.

    Args:
        scope: the instrument.
        parent: the caller, or None.
        method: as the request line has it.
        scheme: http, https, ws or wss.
        path: without the query.
        version: of HTTP, such as "1.1".
        host: the Host header, or b"".
        agent: the User-Agent header, or b"".
        client: address and port of the client, or None.
    """

    __slots__ = (
        "active", "agent", "client", "failure", "headers", "host", "method", "parts", "path", "prefix", "profile",
        "query", "response_headers", "route", "scheme", "size", "slot", "status", "version",
    )  # fmt: skip

    profile: Measurement  # while requests are profiled
    parts: Parts  # while they are timed by parts
    stepped = False
    """Whether whoever makes it tells its steps on an event loop."""

    def __init__(
        self,
        scope: Scope,
        parent: RemoteContext | Span | None,
        method: str,
        scheme: str,
        path: str,
        version: str,
        host: bytes | str,
        agent: bytes | str,
        client: tuple[str, int] | None,
    ) -> None:
        super().__init__(scope, method, SERVER, parent)
        self.entry = self
        self.method = method
        self.scheme = scheme
        self.path = path
        self.version = version
        self.host = host
        self.agent = agent
        self.client = client
        self.status = 0
        self.route = ""
        self.prefix = ""  # of the mounts passed so far
        self.failure = ""
        self.query = ""
        self.size = -1
        self.headers: Iterable[headers.Header] | None = None
        self.response_headers: Iterable[headers.Header] | None = None
        active = _active.get((method, scheme)) or _active_series(method, scheme)
        active.record(1)
        self.active = active
        begin = flight.begin
        self.slot = -1 if begin is None else begin(self, method, path)

    def finish(self) -> None:
        """Ends the request: once, whoever comes first."""
        if not self.ended:
            self.active.record(-1)
            if self.prefix and not self.route:
                self.route = self.prefix + "/{path}"
            super().finish()
            slot, self.slot = self.slot, -1
            if slot >= 0:
                flight.end(slot, self, self.status)

    def fail(self, error: BaseException) -> None:
        """Records the exception that left the program; without a response the server will answer 500.

        One that a query or a call below ended with, or that was raised for it, may quote a row, a key or an address:
        it is shown as there, without values. So is what is no Exception: a server that stops, or a timeout, cancels
        thousands of requests at once, and a traceback with its source lines takes 1 ms of the program's time.
        """
        if not isinstance(error, Exception) or _comes_from(error, getattr(self, "told", 0)):
            from perfagent.runtime.failure import Failure

            self.add_event("exception", dict(Failure(error).items()))
        else:
            self.record_exception(error)
        self.failure = type_name(error)
        if not self.status and isinstance(error, Exception):
            self.status = 500

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        self.entry = None  # itself: a program that has turned the garbage collector off must get its memory back
        template = self._template()
        seconds = (self.ended - self.started) / 1e9
        template.duration.record(seconds)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            template.duration.exemplify(seconds, self.ended, self.trace_id, self.span_id)
        if self.size >= 0 and template.size is not None:
            template.size.record(self.size)
        if self.status >= 500 and failing is not None:
            failing()

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        parts = [self._template().body, _paths[self.path]]
        if self.agent:
            parts.append(_agents[self.agent])
        client = self.client
        if client:
            parts.append(_client_addresses[client[0]])
            if client[1]:
                parts.append(_client_ports[client[1]])
        if self.query and capture_query:
            parts.append(_queries[self.query])
        if self.headers is not None:
            parts.append(headers.encode("request", self.headers))
        if self.response_headers is not None:
            parts.append(headers.encode("response", self.response_headers))
        return self.encode_around(b"".join(parts))

    def _template(self) -> Template:
        # The program may have renamed the span through OpenTelemetry's API: then the name is its own.
        name = self.name if self.name != self.method else ""
        key = (
            self.scope,
            self.method,
            self.route,
            self.status,
            self.scheme,
            self.version,
            self.host,
            self.failure,
            name,
        )
        return _templates.get(key) or self._make_template(key, name)

    def _make_template(self, key: tuple[object, ...], name: str) -> Template:
        method = self.method if self.method in METHODS else "_OTHER"
        shown = method if method != "_OTHER" else "HTTP"
        name = name or (f"{shown} {self.route}" if self.route else shown)
        shared: dict[str, object] = {"http.request.method": method, "url.scheme": self.scheme}
        if self.route:
            shared["http.route"] = self.route
        if self.status:
            shared["http.response.status_code"] = self.status
        if self.version:
            shared["network.protocol.version"] = self.version
        error = self.failure or (str(self.status) if self.status >= 500 else "")
        if error:
            shared["error.type"] = error
        own = dict(shared)
        address, port = split_host(self.host)
        if address:
            own["server.address"] = address
            own["server.port"] = port or (443 if self.scheme in ("https", "wss") else 80)
        if method == "_OTHER":
            own["http.request.method_original"] = self.method[:64]
        body = wire.text(5, name) + b"0\x02" + wire.attributes(9, own)
        if error:
            body += wire.message(15, wire.integer(3, ERROR))
        if len(_templates) >= MOST:
            _templates.clear()
        template = Template(body, server_duration.of(shared), server_response_size.of(shared))
        _templates[key] = template
        return template


def _active_series(method: str, scheme: str) -> Series:
    known = method if method in METHODS else "_OTHER"
    series = server_active.of({"http.request.method": known, "url.scheme": scheme})
    if len(_active) < MOST:
        _active[method, scheme] = series
    return series


def forget_requests() -> None:
    """In a forked child: the requests under way are its parent's."""
    for series in server_active.series.values():
        series.pending.clear()
        series.value = 0


def _comes_from(error: BaseException, told: int) -> bool:
    """Whether `error`, or one that it was raised for, is the one of identity `told`."""
    seen = 0
    while told and error is not None and seen < 16:
        if id(error) == told:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1  # type: ignore[assignment]
    return False


def split_host(host: bytes | str) -> tuple[str, int]:
    """Name and port of a Host header; port 0 where there is none. IPv6 addresses lose their brackets."""
    text = host.decode("latin-1") if isinstance(host, bytes) else host
    name, _, port = text.rpartition(":")
    if not name or port.endswith("]") or not port.isdecimal():
        name, port = text, ""
    return name.strip("[]")[:255], int(port[:5]) if port else 0
