"""Results of queries that are kept: bounded in rows, for a time, and until somebody writes to their tables."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import threading
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need
from perfagent.data.statements import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

_PLAIN = (str, bytes, int, bool, type(None))
_BY_TEXT = (
    float,
    decimal.Decimal,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
)
IMMUTABLE = frozenset((*_PLAIN, *_BY_TEXT))


class Kept:
    """One result.

    Args:
        rows: its rows.
        tables: those that it was read from.
        seconds: how long it serves.
    """

    __slots__ = ("mutable", "rows", "seconds", "tables")

    def __init__(self, rows: list[Any], tables: frozenset[str], seconds: float) -> None:
        self.rows = rows
        self.tables = tables
        self.seconds = seconds
        self.mutable = any(type(value) not in IMMUTABLE for row in rows for value in row)

    def given(self) -> list[Any]:
        """The rows for one caller, who may change what is in them: lists and dicts of JSON and arrays are copied."""
        return copy.deepcopy(self.rows) if self.mutable else list(self.rows)


class Results:
    """A cache of results; safe in threads.

    Args:
        most_rows: the most rows of all results; each counts as one more than it has.
    """

    def __init__(self, most_rows: int) -> None:
        cachetools = need("cachetools", "QueryOptimizer")
        self._kept: Any = cachetools.TLRUCache(
            most_rows, ttu=lambda _key, kept, now: now + kept.seconds, getsizeof=lambda kept: len(kept.rows) + 1
        )
        self._most = most_rows
        self._lock = threading.Lock()
        self._writing: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._version = 0

    def get(self, key: Hashable) -> list[Any] | None:
        """The rows kept under a key, or None."""
        with self._lock:
            kept = self._kept.get(key)
        return None if kept is None else kept.given()

    def version(self) -> int:
        """To be taken before a query is run, for `put`."""
        with self._lock:
            return self._version

    def put(self, key: Hashable, kept: Kept, since: int) -> bool:
        """Keeps a result, unless somebody has written to its tables since, or is about to.

        Args:
            key: what it is found by.
            kept: the result.
            since: the version before the query was run.
        """
        with self._lock:
            if len(kept.rows) >= self._most or self._is_stale(kept.tables, since):
                return False
            self._kept[key] = kept
            return True

    def begin(self, tables: frozenset[str]) -> None:
        """A transaction has written to tables: until it ends, results of these are not kept."""
        with self._lock:
            self._writing.update(tables)
            self._drop(tables)

    def end(self, tables: frozenset[str]) -> None:
        """That transaction has ended, one way or the other."""
        with self._lock:
            self._writing.subtract(tables)
            self._writing += Counter()  # those above zero
            self._drop(tables)

    def drop(self, tables: Iterable[str]) -> int:
        """Forgets the results of tables, and returns how many; `*` for all."""
        with self._lock:
            return self._drop(frozenset(tables))

    def clear(self) -> None:
        """Forgets all."""
        self.drop(EVERYTHING)

    def size(self) -> tuple[int, int]:
        """How many results there are, and their rows."""
        with self._lock:
            self._kept.expire()
            return len(self._kept), int(self._kept.currsize) - len(self._kept)

    def _is_stale(self, tables: frozenset[str], since: int) -> bool:
        if "*" in tables:
            return bool(self._writing) or self._version > since
        if "*" in self._writing or self._versions["*"] > since:
            return True
        return any(self._writing[table] or self._versions[table] > since for table in tables)

    def _drop(self, tables: frozenset[str]) -> int:
        self._version += 1
        for table in tables:
            self._versions[table] = self._version
        every = "*" in tables
        stale = [key for key, kept in self._kept.items() if every or "*" in kept.tables or kept.tables & tables]
        for key in stale:
            self._kept.pop(key, None)
        return len(stale)


def frozen(value: Any) -> Hashable:
    """A parameter as part of a key, told apart by type: 1, 1.0 and True are equal to Python and not to a database.

    Raises:
        TypeError: for a value whose equality is not known.
    """
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind in _BY_TEXT:
        return (kind, repr(value))
    if kind in (list, tuple):
        return (kind, *(frozen(one) for one in value))
    if kind is dict:
        return (kind, *((frozen(name), frozen(one)) for name, one in value.items()))
    if isinstance(value, enum.Enum):
        return (kind, value.name)
    raise TypeError(f"a parameter of type {kind.__name__} is no part of a key")


def key_of(statement: Any, parameters: Mapping[str, Any]) -> Hashable | None:
    """What a statement and its parameters are found by, or None where SQLAlchemy itself knows no key."""
    if isinstance(statement, str):  # its key is the text: a third of what SQLAlchemy's costs
        try:
            return (statement, frozen(dict(sorted(parameters.items()))))
        except TypeError:
            return None
    if not hasattr(statement, "get_execution_options"):
        return None
    if "schema_translate_map" in statement.get_execution_options():  # another table by the same name
        return None
    made = statement._generate_cache_key()  # as SQLAlchemy's own example of a cache of results does
    if made is None:
        return None
    given = {**(getattr(made, "params", None) or {}), **parameters}  # SQLAlchemy 2.1 keeps those of `.params` apart
    try:
        bound = tuple(frozen(one.effective_value) for one in made.bindparams if not one.required)
        return (made.key, bound, frozen(dict(sorted(given.items()))))
    except TypeError:
        return None
