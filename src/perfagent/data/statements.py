"""What a statement does to which tables: whether its result may be cached, and what it makes out of date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from perfagent.data.extras import need

EVERYTHING = frozenset("*")
"""Of tables: some that the text does not tell."""
_READS = re.compile(r"\s*(?:select|with|values|table|\(|explain|show|describe|pragma)\b|\s*\(", re.IGNORECASE)
_MAY_WRITE = re.compile(
    r"\b(?:insert|update|delete|merge|replace|into|truncate|create|drop|alter|copy|call|load|vacuum|do)\b",
    re.IGNORECASE,
)
_NO_DATA = re.compile(
    r"\s*(?:begin|start|commit|rollback|savepoint|release|set|reset|show|analyze|analyse|checkpoint|listen|notify|"
    r"describe|desc|use|discard|lock|unlock|vacuum|optimize|pragma|deallocate|prepare\s+transaction|end)\b",
    re.IGNORECASE,
)
# What gives another answer each time, or does something.
_VOLATILE = re.compile(
    r"\b(?:now|current_(?:timestamp|date|time|user|role|schema|database|setting|query)|local(?:time|timestamp)|curdate|"
    r"curtime|sysdate|utc_\w+|unix_timestamp|getdate|clock_timestamp|statement_timestamp|transaction_timestamp|"
    r"timeofday|today|random\w*|rand|gen_random_\w+|uuid\w*|newid|nextval|currval|lastval|setval|set_config|"
    r"session_user|system_user|user|last_insert_\w+|last_insert_rowid|changes|total_changes|row_count|found_rows|"
    r"connection_id|sleep|benchmark|get_lock|release_lock|pg_\w+|txid_\w+|inet_\w+|strftime|date|time|datetime|"
    r"julianday|unixepoch|age)\s*\(|\b(?:current_(?:timestamp|date|time|user|role)|localtime|localtimestamp|"
    r"session_user|system_user)\b|@@?\w|"
    r"\b(?:pg_\w+|information_schema|performance_schema|sqlite_(?:master|schema|sequence|stat\d)|duckdb_\w+)\b",
    re.IGNORECASE,
)
_DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite", "duckdb": "duckdb"}


@dataclass(frozen=True, slots=True)
class Described:
    """What one statement is.

    Attributes are the tables that it reads and writes (names without a schema, in lower case; `*` for unknown ones),
    whether it is a query and nothing else, and whether its result depends on the data and its parameters alone.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    is_query: bool
    is_stable: bool


@lru_cache(2048)
def describe(sql: str, dialect: str) -> Described:
    """Finds out what a statement does; once for each text.

    Args:
        sql: the statement as the driver gets it.
        dialect: SQLAlchemy's name of it.

    Raises:
        ImportError: where sqlglot is not installed.
    """
    if _NO_DATA.match(sql):
        return Described(frozenset(), frozenset(), False, False)
    stable = not _VOLATILE.search(sql)
    if not _READS.match(sql):
        return Described(frozenset(), _targets(sql, dialect), False, False)
    if not _MAY_WRITE.search(sql):
        found = _parse(sql, dialect)
        if found is None:
            return Described(EVERYTHING, frozenset(), True, stable)
        locks = bool(found.find(need("sqlglot.expressions", "QueryOptimizer").Lock))
        return Described(_tables(found), frozenset(), not locks, stable)
    # A word that writes, perhaps inside a text or a name: the parser tells.
    found = _parse(sql, dialect)
    if found is None:
        return Described(EVERYTHING, EVERYTHING, False, False)
    exp = need("sqlglot.expressions", "QueryOptimizer")
    changes = list(found.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Create, exp.Drop))
    if changes or not isinstance(found, exp.Query):
        written = (
            _tables(found) if all(isinstance(one, (exp.Insert, exp.Update, exp.Delete)) for one in changes) else None
        )
        return Described(_tables(found), written or EVERYTHING, False, False)
    return Described(_tables(found), frozenset(), not found.find(exp.Lock), stable)


def _targets(sql: str, dialect: str) -> frozenset[str]:
    """The tables that a statement may write: all that it names, for what it only reads does no harm here."""
    exp = need("sqlglot.expressions", "QueryOptimizer")
    found = _parse(sql, dialect)
    known = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable)
    if found is None or not isinstance(found, known):
        return EVERYTHING
    return _tables(found) or EVERYTHING


def _tables(tree: Any) -> frozenset[str]:
    exp = need("sqlglot.expressions", "QueryOptimizer")
    names = set()
    for table in tree.find_all(exp.Table):
        names.add(
            table.name.lower() if isinstance(table.this, exp.Identifier) and table.name else "*"
        )  # else a function
    if tree.find(exp.Anonymous):  # a function of the user's own may read anything
        names.add("*")
    return frozenset(names)


def _parse(sql: str, dialect: str) -> Any:
    """The one statement that the text has, or None where it has more or cannot be read."""
    sqlglot = need("sqlglot", "QueryOptimizer")
    text = _placeholders(sql)
    try:
        found = [one for one in sqlglot.parse(text, read=_DIALECTS.get(dialect)) if one is not None]
    except (sqlglot.errors.SqlglotError, IndexError, RecursionError, ValueError):  # odd text ends the parser oddly
        return None
    return found[0] if len(found) == 1 and not isinstance(found[0], sqlglot.exp.Command) else None


def _placeholders(sql: str) -> str:
    """Parameters of the driver as `?`: `%(name)s` and `%s` are none to a parser."""
    return re.sub(r"%\(\w+\)s|%s", "?", sql)
