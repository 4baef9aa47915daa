"""pymemcache: one span for each command that goes to a server, whichever of the clients sends it; hits and misses.

No key and no value is in a span: it holds a command's name and its number of keys. Keys are told to the economics of
caches, which tells only what many of them have in common (`pymemcache_keys`).
"""

from __future__ import annotations

from perfagent import settings
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard
from perfagent.runtime.cache import Lookups
from perfagent.runtime.context import current
from perfagent.runtime.db import Database, QuerySpan, Statement
from perfagent.runtime.encoded import MOST
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from types import ModuleType
    from typing import Any

    Command = tuple[bytes, int]  # its name and the number of its keys

NAMES = frozenset((
    "add", "append", "cache_memlimit", "cas", "decr", "delete", "flush_all", "gat", "gats", "get", "gets", "incr",
    "prepend", "quit", "replace", "set", "shutdown", "stats", "touch", "version",
))  # fmt: skip
"""The commands of the protocol; `raw_command` sends any text, of which nobody knows what it holds."""
KEYLESS = frozenset(("cache_memlimit", "flush_all", "quit", "shutdown", "stats", "version"))
LOOKUPS = frozenset((b"get", b"gets", b"gat", b"gats"))
SHOWN_KEYS = 16

_scope: Scope
_lookups: Lookups | None = None
_databases: dict[object, MemcachedDatabase] = {}


class Pymemcache(Instrument):
    """Patches the three methods of the client of one server that every command ends in; pools and rings use it."""

    name = "pymemcache"
    distribution = "pymemcache"
    versions = ("3.0", "5")
    records = "a span a command, whichever client sends it; hits and misses"

    def patch(self, module: ModuleType) -> None:
        """Patches `Client`."""
        global _scope
        _scope = self.scope
        self.replace(module.Client, "_fetch_cmd", _fetching)
        self.replace(module.Client, "_store_cmd", _storing)
        self.replace(module.Client, "_misc_cmd", _sending)
        if settings.current().cache_economics:
            from perfagent.instruments import pymemcache_keys

            self.replace(module.Client, "_fetch_cmd", pymemcache_keys.fetching)
            self.replace(module.Client, "_store_cmd", pymemcache_keys.storing)
            self.replace(module.Client, "_misc_cmd", pymemcache_keys.sending)


class MemcachedDatabase(Database):
    """A Memcached server; its statements are commands, by name and number of keys.

    Args:
        host: the server's name, or the path of its socket.
        port: its port, or 0.
    """

    __slots__ = ()

    def __init__(self, host: str, port: int) -> None:
        super().__init__("memcached", "", host, port)

    def _describe(self, query: Command) -> Statement:  # type: ignore[override]
        name = query[0].decode("latin-1")
        name = name if name in NAMES else "_OTHER"
        shared = {**self.attributes, "db.operation.name": name}
        keys = 0 if name in KEYLESS else query[1]
        text = name + " ?" * min(keys, SHOWN_KEYS) + (" ..." if keys > SHOWN_KEYS else "")
        own = shared if name == "_OTHER" else {**shared, "db.query.text": text}
        statement = Statement(wire.text(5, name) + b"0\x03" + wire.attributes(9, own), shared)
        if len(self.statements) >= MOST:
            self.statements.clear()
        self.statements[query] = statement  # type: ignore[index]
        return statement


class MemcacheSpan(QuerySpan):
    """One command; `lookups` is how many look-ups in it hit and missed."""

    __slots__ = ("lookups",)
    lookups: tuple[int, int] | None

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with; only the network's own text is certain to hold no key."""
        try:
            super().fail(error)
            if self.details is not None and self.details.events and not isinstance(error, OSError):
                self.details.events[-1][2].message = ""  # type: ignore[attr-defined]
        except Exception:
            guard.failed("pymemcache")

    def measure(self) -> None:
        """Counts hits and misses besides the duration."""
        global _lookups
        super().measure()
        if self.lookups is not None:
            if _lookups is None:
                _lookups = Lookups("memcached")
            _lookups.record(*self.lookups)


def _open(client: Any, name: bytes, keys: Sized | None) -> MemcacheSpan | None:
    """The span of a command; None where somebody above speaks for it."""
    parent = current.get()
    if parent is not None and parent.kind == CLIENT and not parent.ended:
        return None
    try:
        server = client.server
        database = _databases.get(server) or _database(server)
        try:
            count = 1 if keys is None else len(keys)
        except TypeError:  # an iterator
            count = 1
        # A name that is none may be a whole command line with its key.
        span = MemcacheSpan(_scope, parent, database, (bytes(name[:16]).partition(b" ")[0], count))
        span.lookups = None
        return span
    except Exception:
        guard.failed("pymemcache")
        return None


def _database(server: Any) -> MemcachedDatabase:
    host, port = (str(server[0]), int(server[1])) if isinstance(server, tuple) else (str(server), 0)
    database = MemcachedDatabase(host, port)
    if len(_databases) < MOST:
        _databases[server] = database
    return database


def _fetching(fetch: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
    def wrapper(client: Any, name: bytes, keys: Any, *args: Any, **options: Any) -> dict[Any, Any]:
        span = _open(client, name, keys)
        if span is None:
            return fetch(client, name, keys, *args, **options)
        try:
            found = fetch(client, name, keys, *args, **options)
        except BaseException as error:
            span.fail(error)
            raise
        else:
            _fetched(span, client, found)
            return found
        finally:
            span.finish()

    return wrapper


def _fetched(span: MemcacheSpan, client: Any, found: dict[Any, Any]) -> None:
    try:
        name, asked = span.query
        if client.sock is None:  # it has met an error that `ignore_exc` hides: nobody knows what is in the cache
            span.failure = "_OTHER"
        elif name in LOOKUPS:
            span.lookups = len(found), max(asked - len(found), 0)
    except Exception:
        guard.failed("pymemcache")


def _storing(store: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(client: Any, name: bytes, values: Any, *args: Any, **options: Any) -> Any:
        span = _open(client, name, None)
        if span is None:
            return store(client, name, values, *args, **options)
        try:
            span.batch = len(values)  # more than one command at once
            return store(client, name, values, *args, **options)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    return wrapper


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(client: Any, cmds: Any, cmd_name: bytes, *args: Any, **options: Any) -> Any:
        span = _open(client, cmd_name, None)
        if span is None:
            return send(client, cmds, cmd_name, *args, **options)
        try:
            span.batch = len(cmds)
            return send(client, cmds, cmd_name, *args, **options)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.finish()

    return wrapper


instrument = Pymemcache()
