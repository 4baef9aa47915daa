"""Parameters of a statement in whichever style, found without falling for what is in strings and comments; and the
statement without the comments before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# What is to be left alone comes first; a parameter is what remains.
_TOKEN = re.compile(
    r"""(?P<skip>
        [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
      | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)\$ | \$\$.*?\$\$
      | --[^\n]* | /\*.*?\*/ | :: )
      | (?P<dollar>\$\d+) | (?P<named>%\(\w+\)s|(?<![:\w]):[A-Za-z_]\w*) | (?P<format>%s) | (?P<question>\?(?![|&?]))
    """,
    re.VERBOSE | re.DOTALL,
)
_COUNT = re.compile(r"\b(limit|fetch\s+(?:first|next)|offset)\s+\(?\s*$", re.IGNORECASE)
_TYPED = re.compile(r"\b(interval|date|timestamp|timestamptz|time)\s+(\$\d+)", re.IGNORECASE)


def replace(sql: str, make: Callable[[str, str], str]) -> str:
    """The statement with each parameter replaced.

    Args:
        sql: the statement. Where it has `$1`, a `?` in it is an operator of JSON and stays.
        make: gives the text that stands for a parameter, from what stands there (`$1`, `:name`, `?`) and the word
            before it, `limit` or `offset`, or "".
    """
    numbered = any(found["dollar"] for found in _TOKEN.finditer(sql))

    def one(found: re.Match[str]) -> str:
        text = found[0]
        if found["skip"] is not None or (numbered and not found["dollar"]):
            return text
        before = _COUNT.search(sql, max(0, found.start() - 40), found.start())
        word = "" if before is None else "offset" if before[1].lower() == "offset" else "limit"
        return make(text, word)

    return _TOKEN.sub(one, sql)


def numbered(sql: str, rows: float | None) -> tuple[str, int]:
    """The statement as PREPARE of PostgreSQL wants it, and how many parameters it has.

    A LIMIT's parameter becomes the number of rows that a call gave: the planner would guess a tenth of all rows.
    """
    names: dict[str, int] = {}

    def make(text: str, word: str) -> str:
        if word:
            return "0" if word == "offset" else str(max(1, round(rows))) if rows is not None else "10"
        key = text if text[0] != "?" and text != "%s" else f"{text}{len(names)}"
        return f"${names.setdefault(key, len(names) + 1)}"

    made = replace(sql, make)
    if any(name[0] == "%" for name in names):
        made = made.replace("%%", "%")
    return _TYPED.sub(r"(\2)::\1", made), len(names)


def filled(sql: str, value: str) -> str:
    """The statement with `value`, a literal, for each parameter, and 10 for those of LIMIT and OFFSET."""
    return replace(sql, lambda _text, word: "10" if word else value)


def positional(sql: str) -> tuple[str, int]:
    """The statement with `?` for each parameter but those of LIMIT and OFFSET, and how many these are."""
    count = 0

    def make(_text: str, word: str) -> str:
        nonlocal count
        if word:
            return "10"
        count += 1
        return "?"

    return replace(sql, make), count


def parseable(sql: str) -> str:
    """The statement with `:p` for each parameter, which every dialect of the parser knows."""
    return _TYPED.sub(r"\2", replace(sql, lambda _text, _word: ":p"))


def bare(text: str) -> str:
    """The statement without what comments stand before it."""
    text = text.lstrip()
    while text.startswith(("--", "/*")):
        end = text.find("\n") if text.startswith("--") else text.find("*/")
        if end < 0:
            return ""
        text = text[end + (1 if text.startswith("--") else 2) :].lstrip()
    return text
