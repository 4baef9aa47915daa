"""Spans of remote procedure calls, made and answered, and the metrics made of them (OpenTelemetry semantic
conventions, "RPC").

The program's thread stores a few references; names, attributes and metrics are worked out by the background thread,
from templates kept for each method, peer and outcome. No message and no metadata is recorded.
"""

from __future__ import annotations

from perfagent.runtime import clock, guard, http, metric
from perfagent.runtime.clock import now
from perfagent.runtime.encoded import MOST, Encoded
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import HISTOGRAM, SECONDS, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, ERROR, SERVER, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.metric import Series

CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""The status codes of gRPC by their numbers."""
SERVER_ERRORS = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"))
"""What is the server's own failure; the other codes tell of a caller's. For a client every code but OK is one."""
OTHER = "_OTHER"

_KEYS = ("rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type")
_meter = Scope("perfagent.rpc", schema_url=SCHEMA)
server_duration = registry.make(
    _meter, HISTOGRAM, "rpc.server.call.duration", "s", "Duration of incoming remote procedure calls.", SECONDS,
    keys=_KEYS,
)  # fmt: skip
client_duration = registry.make(
    _meter, HISTOGRAM, "rpc.client.call.duration", "s", "Duration of outgoing remote procedure calls.", SECONDS,
    keys=(*_KEYS, "server.address", "server.port"),
)  # fmt: skip

_peers = Encoded("network.peer.address")
_ports = Encoded("network.peer.port")


class Template:
    """What all spans of one method, peer and outcome share."""

    __slots__ = ("body", "duration")

    def __init__(self, body: bytes, duration: Series) -> None:
        self.body = body
        self.duration = duration


_templates: dict[tuple[object, ...], Template] = {}


class RpcSpan(Span):
    """One call of a remote procedure, at the caller's side or the answering one.

    Args:
        scope: the instrument.
        kind: CLIENT or SERVER.
        parent: the span above, or None.
        method: `/package.Service/Method`; bytes or text.
        target: what the client's channel was made for, or the `:authority` that a server was called by.

    The instrument fills in `code` (a number, a name, or something that has one), and for a server `peer`, as gRPC
    tells it, and whether it `knows` the method.
    """

    __slots__ = ("code", "failure", "knows", "method", "peer", "target")
    system = "grpc"

    def __init__(
        self, scope: Scope, kind: int, parent: Span | RemoteContext | None, method: bytes | str, target: bytes | str
    ) -> None:
        super().__init__(scope, "", kind, parent)
        self.method = method
        self.target = target
        self.code: object = 0
        self.failure = ""
        self.peer: bytes | str = ""
        self.knows = True
        if kind == SERVER:
            self.entry = self

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with, without what its message quotes."""
        try:
            from perfagent.runtime.failure import Failure

            failure = Failure(error)
            self.failure = failure.type
            if self.kind == CLIENT and self.entry is not None:
                self.entry.told = id(error)
            if self.is_recording():
                self._more().events.append(("exception", now() + clock.offset, failure, 0))
        except Exception:
            guard.failed("rpc")

    def measure(self) -> None:
        """Adds the span to the metrics of its kind."""
        if self.entry is self:  # a program that has turned the garbage collector off must get its memory back
            self.entry = None
        duration = self._template().duration
        seconds = (self.ended - self.started) / 1e9
        duration.record(seconds)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            duration.exemplify(seconds, self.ended, self.trace_id, self.span_id)
        if self.kind == SERVER and http.failing is not None and code_name(self.code) in SERVER_ERRORS:
            http.failing()

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        parts = [self._template().body]
        if not self.knows:
            parts.append(wire.key_value(9, "rpc.method_original", _text(self.method).lstrip("/")[:256]))
        if self.peer:
            address, port = peer(_text(self.peer))
            parts.append(_peers[address])
            if port:
                parts.append(_ports[port])
        return self.encode_around(b"".join(parts))

    def _template(self) -> Template:
        method = self.method if self.knows else OTHER
        key = (self.kind, method, self.target, code_name(self.code), self.failure, self.name)
        return _templates.get(key) or self._make_template(key)

    def _make_template(self, key: tuple[object, ...]) -> Template:
        method, code = _text(key[1]).lstrip("/"), str(key[3])  # type: ignore[arg-type]
        shared: dict[str, object] = {"rpc.system.name": self.system, "rpc.method": method}
        if code:
            shared["rpc.response.status_code"] = code
        error = self._error(code)
        if error:
            shared["error.type"] = error
        own = dict(shared)
        address, port = (destination if self.kind == CLIENT else http.split_host)(_text(self.target))
        if address:
            own["server.address"] = address
            if port:
                own["server.port"] = port
        name = self.name or (self.system if method == OTHER else method)
        body = wire.text(5, name) + b"0" + wire.varint(self.kind) + wire.attributes(9, own)
        if error:
            body += wire.message(15, wire.integer(3, ERROR))
        series = client_duration.of(own) if self.kind == CLIENT else server_duration.of(shared)
        template = Template(body, series)
        if len(_templates) >= MOST:
            _templates.clear()
        _templates[key] = template
        return template

    def _error(self, code: str) -> str:
        """`error.type`: the code where it tells of an error, or the exception that came before there was one."""
        if self.kind == SERVER:
            return code if code in SERVER_ERRORS else ""
        return code if code not in ("", "OK") else self.failure


def code_name(code: object) -> str:
    """The name of a status code that is a number, a name, or a member of an enumeration; "" where there is none."""
    if type(code) is int:
        return CODES[code] if 0 <= code < len(CODES) else "UNKNOWN"
    return code if isinstance(code, str) else str(getattr(code, "name", ""))


def destination(target: str) -> tuple[str, int]:
    """Name and port of what a channel was made for, by the rules of gRPC's name resolution.

    Args:
        target: such as "grpc.io:50051", "dns://1.2.3.4/grpc.io:50051" or "unix:/run/it.sock".

    Returns:
        The whole target with port 0 where it names several addresses, or a scheme that only gRPC knows.
    """
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return (rest[2:] if rest.startswith("//") else rest)[:255], 0
    if colon and scheme in ("dns", "ipv4", "ipv6"):
        name = rest.rpartition("/")[2]
    elif "://" in target or "," in target:
        return target[:255], 0
    else:
        name = target
    return (target[:255], 0) if "," in name else http.split_host(name)


def peer(told: str) -> tuple[str, int]:
    """Address and port of what gRPC calls a peer: "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711", "unix:/run/it.sock"."""
    scheme, _, rest = told.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return rest[:255] or scheme, 0
    return http.split_host(rest.replace("%5B", "[").replace("%5D", "]"))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
