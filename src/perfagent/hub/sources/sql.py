"""SQL for databases that are asked, from .sql files beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent / "queries"
MARK = "/* perfagent */"
"""What tells our own statements from those of programs."""


@cache
def query(name: str) -> str:
    """The text of `queries/NAME.sql`, such as `postgresql/locks`, marked as ours."""
    return (HERE / f"{name}.sql").read_text(encoding="utf-8").replace("SELECT", f"SELECT {MARK}", 1)
