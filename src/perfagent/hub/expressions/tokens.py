"""The words of an expression."""

from __future__ import annotations

import re
from typing import NamedTuple

from perfagent.hub.expressions.errors import BadExpression

LONGEST = 2000  # characters of an expression
MOST = 400  # words
_WORDS = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<sign>==|!=|=~|!~|>=|<=|[><+\-*/(),%\[\]])"
    r"|'(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*)*)'"
    r'|"(?P<double>[^"\\\n]*(?:\\.[^"\\\n]*)*)"'
)


class Token(NamedTuple):
    """One word.

    Args:
        sort: number, name, sign, text or end.
        text: as written; of a text without its quotes.
        at: where it begins, from 0.
    """

    sort: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """The words of an expression with an `end` behind them; raises BadExpression."""
    if len(text) > LONGEST:
        raise BadExpression(f"an expression has at most {LONGEST} characters, this one {len(text)}", text, LONGEST)
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise BadExpression(_reason(text, at), text, at)
        sort = match.lastgroup or ""
        if sort in ("single", "double"):
            found.append(Token("text", _unescaped(match[sort]), at))
        elif sort != "space":
            found.append(Token(sort, match[sort], at))
        at = match.end()
        if len(found) > MOST:
            raise BadExpression(f"an expression has at most {MOST} words", text, at)
    return [*found, Token("end", "", len(text))]


def _unescaped(text: str) -> str:
    r"""A text without the \ in front of quotes and of itself; any other \ stays, for patterns have their own."""
    return re.sub(r"\\(['\"\\])", r"\1", text)


def _reason(text: str, at: int) -> str:
    if text[at] in "'\"":
        return f"the text that begins with {text[at]} does not end"
    if text[at] == "=":
        return "one = alone compares nothing; write =="
    if text[at] in "&|!":
        return "write and, or, not in words"
    return f"{text[at]!r} means nothing here"
