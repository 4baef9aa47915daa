"""What happens on an engine: which tables are written to until when, and how long each statement takes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need
from perfagent.data.measures import slow_queries
from perfagent.data.statements import EVERYTHING, describe
from perfagent.runtime.guard import failed
from perfagent.runtime.sql import describe as sanitize

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.data.results import Results

_WRITES = "perfagent.writes"
MOST_STATEMENTS = 1000
"""Statements that are told apart; of more, the one that ran longest ago goes."""


@dataclass(frozen=True, slots=True)
class StatementFigures:
    """How often a statement ran on the engine, and how long it took, in seconds; its literals are left out."""

    statement: str
    count: int
    slow: int
    total_seconds: float
    max_seconds: float

    @property
    def mean_seconds(self) -> float:
        """The average."""
        return self.total_seconds / self.count


class Writes:
    """Tells a cache what transactions write to, until they have surely ended.

    SQLAlchemy's event `commit` comes before the commit. What has been written counts as being written until the
    connection begins again or goes back to its pool: by then the database has answered.

    Args:
        results: who is told.
        dialect: SQLAlchemy's name of the dialect.
    """

    def __init__(self, results: Results, dialect: str) -> None:
        self._results = results
        self._dialect = dialect

    def executed(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        """After a statement: `after_cursor_execute`."""
        try:
            tables = describe(statement, self._dialect).writes
            if tables:
                self._note(connection, tables)
        except Exception:
            self._results.clear()  # what it wrote to is not known
            failed("query cache")

    def failed(self, context: Any) -> None:
        """After one that failed, which may have done a part of its work where there are no transactions."""
        try:
            known = describe(context.statement or "", self._dialect)
            if not known.is_query:
                self._results.drop(known.writes or EVERYTHING)
        except Exception:
            self._results.clear()
            failed("query cache")

    def begun(self, connection: Any) -> None:
        """A transaction begins, so the one before has ended: `begin`."""
        self._release(connection.info)

    def returned(self, _dbapi_connection: Any, record: Any) -> None:
        """A connection goes back to its pool: `checkin`."""
        self._release(record.info)

    def gone(self, _dbapi_connection: Any, record: Any, _error: Any = None) -> None:
        """A connection is given up: `invalidate`."""
        if record is not None:
            self._release(record.info)

    def _note(self, connection: Any, tables: frozenset[str]) -> None:
        written = connection.info.setdefault((_WRITES, id(self)), [])
        written.append(tables)
        self._results.begin(tables)

    def _release(self, info: dict[Any, Any]) -> None:
        for tables in info.pop((_WRITES, id(self)), ()):
            self._results.end(tables)


class Durations:
    """How long the statements of an engine take.

    Args:
        slow: from how many seconds on one counts as slow.
        dialect: SQLAlchemy's name of the dialect.
    """

    def __init__(self, slow: float, dialect: str) -> None:
        self._slow = slow
        self._figures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()
        self._mark = f"_perfagent_begun_{id(self)}"
        self._mysql = dialect in ("mysql", "mariadb")
        self._counter = slow_queries.of({"db.system.name": dialect})

    def begun(self, _connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _many: bool) -> None:
        """Before a statement: `before_cursor_execute`."""
        if context is not None:
            setattr(context, self._mark, time.perf_counter())

    def executed(self, _connection: Any, _cursor: Any, text: str, _values: Any, context: Any, _many: bool) -> None:
        """After it: `after_cursor_execute`."""
        begun = getattr(context, self._mark, None)
        if begun is not None:
            self._record(text, time.perf_counter() - begun)

    def _record(self, statement: str, seconds: float) -> None:
        with self._lock:
            figures = self._figures.pop(statement, None) or [0, 0, 0.0, 0.0]
            self._figures[statement] = figures
            figures[0] += 1
            figures[2] += seconds
            figures[3] = max(figures[3], seconds)
            if seconds >= self._slow:
                figures[1] += 1
                self._counter.record(1)
            if len(self._figures) > MOST_STATEMENTS:
                self._figures.popitem(last=False)

    def figures(self) -> list[StatementFigures]:
        """All statements, those that took longest in all first; texts that differ in literals alone are one."""
        with self._lock:
            known = [(statement, list(figures)) for statement, figures in self._figures.items()]
        merged: dict[str, list[float]] = {}
        for statement, (count, slow, total, longest) in known:
            text = sanitize(statement, double_quotes_are_strings=self._mysql).text
            one = merged.setdefault(text, [0, 0, 0.0, 0.0])
            one[0] += count
            one[1] += slow
            one[2] += total
            one[3] = max(one[3], longest)
        found = [
            StatementFigures(text, int(count), int(slow), total, longest)
            for text, (count, slow, total, longest) in merged.items()
        ]
        return sorted(found, key=lambda one: -one.total_seconds)


def watch(engine: Any, writes: Writes, durations: Durations) -> Callable[[], None]:
    """Listens to an engine.

    Args:
        engine: SQLAlchemy's, the sync one.
        writes: is told of writes.
        durations: is told of every statement.

    Returns:
        Call it to listen no more.
    """
    event = need("sqlalchemy", "QueryOptimizer").event
    heard = (
        ("before_cursor_execute", durations.begun),
        ("after_cursor_execute", durations.executed),
        ("after_cursor_execute", writes.executed),
        ("handle_error", writes.failed),
        ("begin", writes.begun),
        ("checkin", writes.returned),
        ("invalidate", writes.gone),
        ("soft_invalidate", writes.gone),
    )
    for name, function in heard:
        event.listen(engine, name, function)

    def stop() -> None:
        for name, function in heard:
            event.remove(engine, name, function)

    return stop
