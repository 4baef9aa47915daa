"""MongoDB: a span for each command of PyMongo's sync and async clients, by the library's own monitoring.

A span holds a command's name, collection and database, and nothing else of it: no filter, no document, no key. What a
client sends by itself to connect, to log in and to end its sessions is not an operation of the program. A command pays
8 us for it on its own thread, 3 of them for the events that the library makes once somebody listens.
"""

from __future__ import annotations

from contextvars import ContextVar

from pymongo import monitoring

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import COROUTINE
from perfagent.instruments.documents import documents
from perfagent.runtime import guard
from perfagent.runtime.context import current
from perfagent.runtime.db import QuerySpan
from perfagent.runtime.span import CLIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Key = tuple[Any, Any]  # the number of a request and the address that it goes to

OWN = frozenset(
    ("hello", "ismaster", "isMaster", "saslStart", "saslContinue", "authenticate", "getnonce", "endSessions", "logout")
)
# Commands whose value is a collection; that of another may be a user's name, or anything.
ON_COLLECTION = frozenset(
    ("aggregate", "collMod", "collStats", "compact", "count", "create", "createIndexes", "delete", "distinct", "drop",
     "dropIndexes", "find", "findAndModify", "findandmodify", "insert", "killCursors", "listIndexes", "mapReduce",
     "mapreduce", "reIndex", "update", "validate")
)  # fmt: skip
DOCUMENTS = {"insert": "documents", "update": "updates", "delete": "deletes", "bulkWrite": "ops"}
MOST = 10_000  # commands on their way at once; where there are more, answers have got lost
CONNECTIONS = ("AsyncConnection", "Connection", "SocketInfo")  # the last before 4.4

_latest: ContextVar[Key | None] = ContextVar("perfagent_pymongo_latest", default=None)
"""The last command of this thread or task: it is the one that is on its way, if one is."""


class Pymongo(Instrument):
    """Registers a listener for all clients that are made from then on, and patches where connections break."""

    name = "pymongo"
    distribution = "pymongo"
    versions = ("3.11", "5")
    records = (
        "each command by name, collection and database, sync and async, with its batch size; the server's error code"
    )

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "pymongo.monitoring":
            self.listener = Listener(self)
            monitoring.register(self.listener)
            return
        for name in CONNECTIONS:
            kind = vars(module).get(name)
            if kind is not None and kind.__module__ == module.__name__:
                self.replace(kind, "_raise_connection_failure", self._breaking)

    def _breaking(self, break_off: Callable[..., Any]) -> Callable[..., Any]:
        """For commands that are cancelled or interrupted, of which many versions of the library tell nobody."""

        async def awaited(connection: Any, error: BaseException) -> Any:
            self.listener.interrupted(error)
            return await break_off(connection, error)

        def wrapper(connection: Any, error: BaseException) -> Any:
            self.listener.interrupted(error)
            return break_off(connection, error)

        return awaited if break_off.__code__.co_flags & COROUTINE else wrapper

    def unpatch(self) -> None:
        """As every instrument's; clients that exist keep the listener, which does nothing any more."""
        for listeners in monitoring._LISTENERS:
            if self.patched and self.listener in listeners:
                listeners.remove(self.listener)
        super().unpatch()


class Listener(monitoring.CommandListener):  # type: ignore[misc]
    """Makes the spans; it is called on the thread and in the task that runs the command.

    Args:
        instrument: PyMongo's.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.running: dict[Key, QuerySpan] = {}

    def started(self, event: Any) -> None:
        """Begins the span of a command."""
        name = event.command_name
        parent = current.get()
        if name in OWN or not self.instrument.patched:
            return
        if parent is not None and parent.kind == CLIENT and not parent.ended:
            return
        try:
            command, (host, port) = event.command, event.connection_id
            collection = command.get("collection" if name == "getMore" else name if name in ON_COLLECTION else "")
            asked = (name, collection if isinstance(collection, str) else "", "")
            database = documents("mongodb", event.database_name, host, port or 0)
            if len(self.running) >= MOST:
                self.running.clear()
            key = event.request_id, event.connection_id
            span = self.running[key] = QuerySpan(self.instrument.scope, parent, database, asked)
            _latest.set(key)
            many = DOCUMENTS.get(name)
            sent = command.get(many) if many is not None else None
            if isinstance(sent, list):
                span.batch = len(sent)
        except Exception:
            guard.failed("pymongo")

    def succeeded(self, event: Any) -> None:
        """Ends it; a write that the server took may still have failed for some documents."""
        span = self.running.pop((event.request_id, event.connection_id), None)
        if span is not None:
            try:
                reply = event.reply
                errors = reply.get("writeErrors") or reply.get("writeConcernError")
                if errors:
                    _fail(span, errors if isinstance(errors, dict) else errors[0])
            except Exception:
                guard.failed("pymongo")
            span.finish()

    def failed(self, event: Any) -> None:
        """Ends it with the server's code, or the type of the network's error: the texts quote keys and values."""
        span = self.running.pop((event.request_id, event.connection_id), None)
        if span is not None:
            try:
                _fail(span, event.failure)
            except Exception:
                guard.failed("pymongo")
            span.finish()

    def interrupted(self, error: BaseException) -> None:
        """Ends the command that was on its way here, unless the library itself will tell of its end."""
        try:
            key = None if isinstance(error, Exception) else _latest.get()
            span = None if key is None else self.running.pop(key, None)
            if span is not None:
                span.fail(error)
                span.finish()
        except Exception:
            guard.failed("pymongo")


def _fail(span: QuerySpan, failure: Any) -> None:
    code = failure.get("code")
    span.code = str(code) if isinstance(code, int) else ""
    span.failure = str(failure.get("errtype") or failure.get("codeName") or span.code or "_OTHER")


instrument = Pymongo()
