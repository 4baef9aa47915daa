"""SQL for databases that are asked, from .sql files beside this module."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent / "queries"
MARK = "/* perfagent */"
COLUMN = "perfagent_asks"
"""What tells our own statements from those of programs."""


@cache
def query(name: str) -> str:
    """The text of `queries/NAME.sql`, such as `postgresql/locks`, marked as ours; MySQL forgets comments."""
    mark = f"SELECT 1 AS {COLUMN}," if name.startswith("mysql/") else f"SELECT {MARK}"
    return (HERE / f"{name}.sql").read_text(encoding="utf-8").replace("SELECT", mark, 1)


def tidied(digest: str) -> str:
    """The text of a digest as a person would write it: MySQL sets each token apart, and each name in backticks."""
    text = re.sub(r"`([A-Za-z_][\w$]*)`", r"\1", digest)
    text = text.replace(" . ", ".").replace("( ", "(")
    return re.sub(r" ([,)])", r"\1", text)
