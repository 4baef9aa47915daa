"""SQL from .sql files beside this module, read once."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
_PARAMETER = re.compile(r"\$([a-z_]+)")
_PART = re.compile(r"\{([a-z_]+/[a-z_]+)\}")
_COMMENT = re.compile(r"--[^\n]*")


class Statement(NamedTuple):
    """The text of a file and the names of its parameters."""

    text: str
    parameters: frozenset[str]


@cache
def query(name: str) -> Statement:
    """The one statement of `queries/NAME.sql`, such as `traces/search`; `{NAME}` in there is what `part` has."""
    return _statement(_PART.sub(lambda found: part(found[1]), (HERE / "queries" / f"{name}.sql").read_text()))


@cache
def part(name: str) -> str:
    """The text of `parts/NAME.sql`: a common table expression that several queries have."""
    return (HERE / "parts" / f"{name}.sql").read_text().strip()


@cache
def statements(name: str) -> tuple[Statement, ...]:
    """Those of `statements/NAME.sql`, to be run in their order in one transaction."""
    text = (HERE / "statements" / f"{name}.sql").read_text()
    return tuple(_statement(part) for part in text.split(";\n") if part.strip())


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Every step of the schema with its number, in order."""
    return tuple((int(file.name[:4]), file.read_text()) for file in sorted((HERE / "migrations").glob("*.sql")))


def read_all() -> None:
    """Reads every file now: an upgrade may replace them under a process that goes on with the code of before."""
    for folder, read in (("queries", query), ("statements", statements)):
        for file in sorted((HERE / folder).rglob("*.sql")):
            read(str(file.relative_to(HERE / folder).with_suffix("")))
    migrations()


def _statement(text: str) -> Statement:
    return Statement(text, frozenset(_PARAMETER.findall(_COMMENT.sub("", text))))
