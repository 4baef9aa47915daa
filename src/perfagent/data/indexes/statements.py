"""Statements from a file: SQL separated by `;`, each with what is known of its cost in a comment before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfagent.data.indexes.advice import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

FIGURES = {"calls": "calls_per_day", "mean_ms": "mean_ms", "rows": "rows"}
EXAMPLE = "-- calls=5000 mean_ms=12.5 rows=20"
_PART = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$
      | --[^\n]* | /\*.*?\*/ | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
_FIGURE = re.compile(r"\b(\w+)=(\S+)")


def read(text: str) -> list[Statement]:
    """The statements of a file.

    Args:
        text: SQL separated by `;`. A comment `-- calls=5000 mean_ms=12.5 rows=20` before a statement tells how often it
            runs a day, how long one call takes, and how many rows it gives; each may be left out.

    Raises:
        ValueError: a figure is no number of at least 0.
    """
    found = []
    for part in _parts(text):
        figures: dict[str, float] = {}
        lines = part.strip().splitlines()
        while lines and lines[0].lstrip().startswith("--"):
            figures |= _figures(lines.pop(0))
        sql = "\n".join(lines).strip()
        if sql:
            found.append(Statement(sql, **figures))
    return found


def _figures(line: str) -> dict[str, float]:
    found = {}
    for name, value in _FIGURE.findall(line):
        if name not in FIGURES:
            continue
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e18:
            raise ValueError(f"{name}={value} before a statement is no number from 0; such as {EXAMPLE}")
        found[FIGURES[name]] = number
    return found


def _parts(text: str) -> Iterator[str]:
    start = 0
    for found in _PART.finditer(text):
        if found["end"]:
            yield text[start : found.start()]
            start = found.end()
    yield text[start:]


def shown(sql: str, dialect: str) -> str:
    """The statement without its literals, as it may be shown."""
    from perfagent.runtime.sql import describe

    return " ".join(describe(sql, double_quotes_are_strings=dialect == "mysql").text.split())
