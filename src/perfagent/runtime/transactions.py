"""Transactions that stay open while a program waits for another service.

A driver's instrument notes what asked each connection last, 60 ns a query. When an HTTP call has taken long, the
connections that its own request asked last are looked at: one that is still in a transaction was so all the time.
"""

from __future__ import annotations

from sys import _getframe
from weakref import ref

from perfagent.runtime import callers, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.db import QuerySpan
    from perfagent.runtime.http_client import ClientSpan

LONG = 10_000_000  # ns of a call, from which on it matters
MOST = 1000  # connections
TOLD = {
    "code.file.path": "perfagent.transaction.file.path",
    "code.line.number": "perfagent.transaction.line.number",
    "code.function.name": "perfagent.transaction.function.name",
}


class Asked:
    """A connection, which is not kept alive, and the call that asked it last.

    Args:
        connection: the driver's.
        span: the call.
        is_open: tells of the connection whether it is in a transaction, without asking the server.
    """

    __slots__ = ("connection", "is_open", "span")

    def __init__(self, connection: Any, span: QuerySpan, is_open: Callable[[Any], bool]) -> None:
        key = id(connection)
        self.connection = ref(connection, lambda _: asked.pop(key, None))
        self.is_open = is_open
        self.span = span


asked: dict[int, Asked] = {}
"""By the identity of the connection."""
opened: Callable[[Any, Any, bool], None] | None = None
"""Told of each connection of SQLite, the name it was opened by and whether that may be a URI; where that is wanted."""


def register(connection: Any, span: QuerySpan, is_open: Callable[[Any], bool]) -> None:
    """Notes a connection that was not asked before; arguments as of `Asked`."""
    if len(asked) < MOST and connection is not None:  # None: of a closed cursor
        asked[id(connection)] = Asked(connection, span, is_open)


def look(call: ClientSpan) -> None:
    """Looks for a transaction that was open during a call, which has just ended."""
    if call.ended - call.started < LONG:
        return
    trace = call.trace_id
    for one in list(asked.values()):
        span = one.span
        if span.ended > 1 and span.ended <= call.started and span.trace_id == trace:
            connection = one.connection()
            try:
                if connection is not None and one.is_open(connection):
                    _tell(call, span)
            except Exception:
                guard.failed("transactions")


def _tell(call: ClientSpan, span: QuerySpan) -> None:
    from perfagent.runtime.notices import notice

    place = callers.nearest(_getframe(3))
    if span.caller is None:  # its next calls tell it
        callers.watch(span)
    query, system = span.summary(), span.database.attributes["db.system.name"]
    told = {
        **(callers.attributes(place) if place is not None else {}),
        **({TOLD[name]: value for name, value in callers.attributes(span.caller).items()} if span.caller else {}),
        "db.system.name": system,
        "db.query.text": query,
        "perfagent.transaction.call": call.summary().partition("?")[0],
        "perfagent.transaction.seconds": (call.ended - call.started) / 1e9,
    }
    subject = f"{told['code.file.path']}:{told['code.line.number']}" if place is not None else query
    notice("transaction_across_call", subject, f"A transaction of {system} stayed open during a call", told, call)
