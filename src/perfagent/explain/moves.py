"""Statements by which a program has its connection mean other tables: a search path, a role, another database.

A connection of ours has those that it was opened with. Where a program sets the same ones always, they are set there,
too; where it sets several, whose tables a slow statement meant cannot be told, and no plan is better than a wrong one.
"""

from __future__ import annotations

import re

from perfagent.data.indexes.placeholders import bare
from perfagent.explain.node import UnexplainedError
from perfagent.runtime import db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.db import Database

_MOVES = re.compile(
    r"\s*(?:(?:SET|RESET)\s+(?:(?:SESSION|LOCAL)\s+)?(?:search_path|schema|role|session\s+authorization)\b"
    r"|DISCARD\s+ALL|USE\s|SELECT\s.*\bset_config\s*\(\s*'(?:search_path|role)')",
    re.IGNORECASE | re.DOTALL,
)
_REPEATABLE = re.compile(
    r"\s*(?:SET\s+(?:(?:SESSION|LOCAL)\s+)?(?:search_path(?:\s+TO\s|\s*=)|schema\s|role\s)|USE\s)"
    r"\s*[\w\s,\"'`$-]+",
    re.IGNORECASE,
)
NOTE = "with the schema or role that the program sets on its connections"
_KEPT = 2  # statements of a database: more than one is too many
_MOST = 200  # databases
_seen: dict[Database, set[str]] = {}


def listen() -> None:
    """Looks at each statement that is new to the process, in the background."""
    describe = db.Database._describe

    def _describe(database: Database, query: str) -> db.Statement:
        text = bare(query)
        if _MOVES.match(text) and (database in _seen or len(_seen) < _MOST):
            texts = _seen.setdefault(database, set())
            if len(texts) < _KEPT:
                texts.add(text.strip("; \n"))
        return describe(database, query)

    db.Database._describe = _describe  # type: ignore[assignment, method-assign]


def count(database: Database) -> int:
    """How many of these a program has run, 2 at most: with another one its plans may be other ones."""
    return len(_seen.get(database, ()))


def before(database: Database) -> tuple[str, ...]:
    """What a connection of ours is to be told first, so that it means the tables that the program means.

    Raises:
        UnexplainedError: that is not known.
    """
    texts = _seen.get(database, ())
    if not texts:
        return ()
    if len(texts) > 1 or not all(map(_REPEATABLE.fullmatch, texts)):
        raise UnexplainedError("the program changes the schema or the role of its connections: which is not known")
    return tuple(texts)
