"""What a query says without its literals, for senders that leave them in; the agent's own texts pass unchanged.

A statement is what queries are grouped by: with a literal left in each execution would be a query of its own.
"""

from __future__ import annotations

import re

LONGEST = 4096  # characters of a text

# Strings (one that does not end goes to the end), comments, numbers that are no part of a name or a placeholder.
_LITERALS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*[\s\S]*?(?:\*/|\Z))
      | (?P<string>'(?:[^'\\]|''|\\[\s\S])*(?:'|\Z))
      | (?P<double>"(?:[^"\\]|""|\\[\s\S])*(?:"|\Z))
      | (?P<number>(?<![\w$:@%.?"`\]])(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)\b)""",
    re.VERBOSE,
)
_ITEM = r"(?:\?\d*|%s|%\(\w+\)s|\$\d+|[:@]\w+)"
_LIST = re.compile(rf"\b(in\s*\(\s*{_ITEM})(?:\s*,\s*{_ITEM})+\s*\)", re.IGNORECASE)
_ROWS = re.compile(rf"\b(values\s*\(\s*{_ITEM}(?:\s*,\s*{_ITEM})*\s*\))(?:\s*,\s*\([^()]*\))+", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_VERB = re.compile(r"\(*\s*([A-Za-z]+)")
_TABLE = re.compile(r"\b(?:from|into|update|table|join)\s+(?:only\s+|if\s+(?:not\s+)?exists\s+)?([\w.$\"`\[\]]+)", re.I)
_KEY = re.compile(r"\s?:")
_DOUBLE_QUOTED_STRINGS = frozenset({"mysql", "mariadb", "clickhouse"})
_NO_SQL = frozenset({"mongodb", "elasticsearch", "opensearch", "couchdb", "aws.dynamodb", "dynamodb"})


def normalised(statement: str, system: str = "") -> str:
    """The statement with `?` for every literal, without comments, its blanks reduced, at most 4,096 characters.

    Args:
        statement: in SQL, or in the language of the database.
        system: `db.system.name`; it decides whether "…" is a string, as in MySQL, or a name.
    """
    strings = system in _DOUBLE_QUOTED_STRINGS or system in _NO_SQL

    def shown(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "comment":
            return " "
        if kind == "double" and (not strings or (system in _NO_SQL and _KEY.match(statement, match.end()))):
            return match.group()  # a quoted name, or a key of a document
        return "?"

    text = _LITERALS.sub(shown, statement[: 4 * LONGEST])
    text = _BLANKS.sub(" ", text).strip()
    if "," in text:
        text = _ROWS.sub(r"\1", _LIST.sub(r"\1)", text))
    return text[:LONGEST]


def summary(text: str) -> str:
    """The verb of a SQL statement and its first table, such as "SELECT items"; "" where there is no verb."""
    verb = _VERB.match(text)
    if not verb:
        return ""
    table = _TABLE.search(text)
    name = re.sub(r'["`\[\]]', "", table.group(1)) if table else ""
    return f"{verb.group(1).upper()} {name}".strip()[:255]
