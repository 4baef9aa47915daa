"""The metrics of this part, in one place for the reference page and the code that records them."""

from __future__ import annotations

from perfagent.runtime.metric import COUNTER, HISTOGRAM, SECONDS, registry
from perfagent.runtime.span import Scope

_scope = Scope("perfagent.data")
_FORMAT = "perfagent.data.format"

rows = registry.make(
    _scope, COUNTER, "perfagent.data.rows", "{row}", "Rows read from files in chunks.", keys=(_FORMAT,)
)
read = registry.make(_scope, COUNTER, "perfagent.data.read", "By", "Unpacked bytes read from files.", keys=(_FORMAT,))
chunk_duration = registry.make(
    _scope,
    HISTOGRAM,
    "perfagent.data.chunk.duration",
    "s",
    "How long it took to read a chunk of a file.",
    SECONDS,
    keys=(_FORMAT,),
)
slow_queries = registry.make(
    _scope,
    COUNTER,
    "perfagent.data.slow_queries",
    "{query}",
    "Statements of a QueryOptimizer's engine that took longer than PERFAGENT_SLOW_QUERY_SECONDS.",
    keys=("db.system.name",),
)


class FileMeasures:
    """The series of one kind of file.

    Args:
        kind: "csv" for frames, "rows" for lists.
    """

    __slots__ = ("duration", "read", "rows")

    def __init__(self, kind: str) -> None:
        attributes = {_FORMAT: kind}
        self.rows = rows.of(attributes)
        self.read = read.of(attributes)
        self.duration = chunk_duration.of(attributes)
