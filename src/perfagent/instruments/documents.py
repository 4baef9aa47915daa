"""Databases that are asked by operation and collection, without a text: MongoDB, Elasticsearch."""

from __future__ import annotations

from perfagent.runtime.db import Database, Statement
from perfagent.runtime.encoded import MOST
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Operation: TypeAlias = "tuple[str, str, str]"

LONGEST = 255  # characters of a name

_databases: dict[tuple[str, str, str, int], Documents] = {}


class Documents(Database):
    """A database whose statements are operations: a name, a collection or "", and an HTTP method or "".

    Arguments are those of `Database`.
    """

    __slots__ = ()

    def _describe(self, query: Operation) -> Statement:  # type: ignore[override]
        name, collection, method = query
        shared: dict[str, object] = {**self.attributes, "db.operation.name": name}
        if collection:
            shared["db.collection.name"] = collection[:LONGEST]
        summary = f"{name} {collection}"[:LONGEST] if collection else name
        own = {**shared, "db.query.summary": summary}
        if method:
            own["http.request.method"] = method
        statement = Statement(wire.text(5, summary) + b"0\x03" + wire.attributes(9, own), shared)
        if len(self.statements) >= MOST:
            self.statements.clear()
        self.statements[query] = statement  # type: ignore[index]
        return statement


def documents(system: str, namespace: str, host: str, port: int) -> Documents:
    """The shared database of an address; bounded as `perfagent.runtime.db.database`."""
    key = (system, namespace, host, port)
    found = _databases.get(key)
    if found is None:
        found = Documents(system, namespace, host, port)
        if len(_databases) < MOST:
            _databases[key] = found
    return found
