"""What a span is an execution of: its category, and the name that it is grouped under.

Rules: OpenTelemetry semantic conventions 1.44 for HTTP, database, RPC and messaging, and the names they had before,
which SDKs of other languages still send. Names of high cardinality are never made: no URL path, no literal, no key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from perfagent.hub.receive.statements import normalised, summary
from perfagent.hub.store.rows import Operation, identity

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
CACHES = frozenset({"redis", "valkey", "memcached"})

# Old and new names of one thing, the new one first.
METHOD = ("http.request.method", "http.method")
STATUS = ("http.response.status_code", "http.status_code")
DATABASE = ("db.system.name", "db.system")
VERB = ("db.operation.name", "db.operation")
COLLECTION = (
    "db.collection.name",
    "db.sql.table",
    "db.mongodb.collection",
    "db.cassandra.table",
    "db.cosmosdb.container",
    "db.stored_procedure.name",
)
STATEMENT = ("db.query.text", "db.statement")
RPC = ("rpc.system.name", "rpc.system")
HOST = ("server.address", "net.peer.name", "peer.hostname")
PORT = ("server.port", "net.peer.port")
BATCH = ("db.operation.batch.size", "db.redis.pipeline_length", "db.redis.num_cmd")
FILE = ("code.file.path", "code.filepath")
LINE = ("code.line.number", "code.lineno")
FUNCTION = ("code.function.name", "code.function")

URL = ("url.full", "http.url")
"""Not among those that decide, for each of them is another: asked only where nothing else tells the host."""

DECIDING = frozenset(
    (*METHOD, *STATUS, *DATABASE, *VERB, *COLLECTION, *STATEMENT, *RPC, *HOST, *PORT, *BATCH, *FILE, *LINE, *FUNCTION)
) | {
    "http.route",
    "http.host",
    "url.template",
    "db.query.summary",
    "rpc.service",
    "rpc.method",
    "messaging.system",
}
"""Attributes that a `Shape` depends on."""

LONGEST = 1024  # characters of a name


class Shape(NamedTuple):
    """What spans of one kind, name and set of deciding attributes have in common."""

    operation: Operation
    name: str  # of the span
    status_code: int
    caller: str | None
    queries: bool  # whether it may tell how many rows a query returned
    remote: bool  # whether it calls a host that only the URL may tell


def shape(service: str, kind: int, name: str, attributes: Mapping[str, Any], host: str = "") -> Shape:
    """What a span is an execution of.

    Args:
        service: who made it.
        kind: of OTLP, 0 to 5.
        name: the span's.
        attributes: at least those that decide.
        host: of the URL that it calls; "" where unknown.
    """
    name = name[:LONGEST]
    category, title, system, text = classify(kind, name, attributes, host)
    remote = category == "http" and not host and not _first(attributes, (*HOST, "http.host"))
    return Shape(
        operation(service, category, title[:LONGEST], system[:LONGEST], text),
        name,
        _code(_first(attributes, STATUS)),
        caller(attributes),
        category == "db",
        remote,
    )


def operation(service: str, category: str, name: str, system: str = "", text: str = "") -> Operation:
    """The operation with its identity."""
    return Operation(identity(service, category, name, system, text), service, category, name, system, text)


def classify(kind: int, name: str, attributes: Mapping[str, Any], host: str) -> tuple[str, str, str, str]:
    """Category, name, system and text of a span's operation."""
    if kind == SERVER:
        return _server(name, attributes)
    messaging = str(attributes.get("messaging.system") or "")
    if kind == CONSUMER:
        return "consumer", name, messaging, ""
    if kind == PRODUCER:
        return "producer", name, messaging, ""
    if system := str(_first(attributes, DATABASE) or ""):
        return _database(name, system, attributes)
    if kind != CLIENT:
        return "internal", name, "", ""
    if system := str(_first(attributes, RPC) or ""):
        return "rpc", _procedure(attributes) or name, system, ""
    if method := _first(attributes, METHOD):
        return "http", _request(_method(method), attributes, host), "", ""
    return "rpc", name, messaging, ""  # a call of something, no matter what


def _server(name: str, attributes: Mapping[str, Any]) -> tuple[str, str, str, str]:
    method, route = _first(attributes, METHOD), attributes.get("http.route")
    if method and route:
        return "server", f"{_method(method)} {route}", "", ""
    if procedure := _procedure(attributes):
        return "server", procedure, str(_first(attributes, RPC) or ""), ""
    return "server", name, "", ""


def _method(method: object) -> str:
    return "HTTP" if method == "_OTHER" else str(method)


def _procedure(attributes: Mapping[str, Any]) -> str:
    """package.Service/Method; since 1.39 all of it is in `rpc.method`."""
    service, method = str(attributes.get("rpc.service") or ""), str(attributes.get("rpc.method") or "")
    if method == "_OTHER":
        method = ""
    if not service or "/" in method:
        return method
    return f"{service}/{method}" if method else service


def _request(method: str, attributes: Mapping[str, Any], host: str) -> str:
    address = str(_first(attributes, HOST) or attributes.get("http.host") or host)
    port = _first(attributes, PORT)
    if ":" in address and not address.startswith("[") and address.count(":") > 1:
        address = f"[{address}]"  # IPv6
    if port and str(port) not in ("80", "443") and not _has_port(address):
        address = f"{address}:{port}"
    template = str(attributes.get("url.template") or "")
    return f"{method} {address}{template if template.startswith('/') else ''}".strip()


def _has_port(address: str) -> bool:
    return address.rpartition("]")[2].count(":") == 1


def host(attributes: Mapping[str, Any]) -> str:
    """Host and port of the URL that a span calls; "" where none tells."""
    try:
        parts = urlsplit(str(_first(attributes, URL) or ""))
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{port}" if port and port not in (80, 443) else name


def _database(name: str, system: str, attributes: Mapping[str, Any]) -> tuple[str, str, str, str]:
    verb = str(_first(attributes, VERB) or "")
    statement = str(_first(attributes, STATEMENT) or "")
    if system in CACHES:
        batch = _first(attributes, BATCH)
        if isinstance(batch, int) and batch > 1 and not verb:
            verb = "PIPELINE"  # its name and text list every command
        command = verb or statement or str(attributes.get("db.query.summary") or "") or name
        return "cache", (command.split(maxsplit=1) or [name])[0].upper()[:64], system, ""
    text = normalised(statement, system)
    title = str(attributes.get("db.query.summary") or "")
    if not title and verb:
        title = f"{verb} {_first(attributes, COLLECTION) or ''}".strip()
    return "db", title or summary(text) or name, system, text


def caller(attributes: Mapping[str, Any]) -> str | None:
    """ "file:line function" of the code that made the span, or what of it is known."""
    file, line, function = _first(attributes, FILE), _first(attributes, LINE), _first(attributes, FUNCTION)
    if not (file or function):
        return None
    place = f"{file}:{line}" if file and line else str(file or "")
    return f"{place} {function or ''}".strip()[:LONGEST]


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if value := attributes.get(name):
            return value
    return None


def _code(value: object) -> int:
    try:
        code = int(value) if isinstance(value, (int, str)) else 0
    except ValueError:
        return 0
    return code if 0 <= code <= 65_535 else 0
