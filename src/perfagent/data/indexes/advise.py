"""Index advice for the database that a URL names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.data.indexes.connect import parsed
from perfagent.data.indexes.limits import Limits
from perfagent.data.indexes.statements import read
from perfagent.settings.indexes import IndexSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.advice import IndexReport, Statement

NO_URL = "no database is named: give its URL, or set PERFAGENT_DATABASE_URL, such as postgresql://user@host/database"


def advise_indexes(
    url: str = "", statements: str | Sequence[Statement] | None = None, limits: Limits | None = None
) -> IndexReport:
    """Tells which indexes a database lacks, which it has in vain, and why; it reads only, and runs no statement.

    Args:
        url: such as `postgresql://user@host/database`, `mysql://…` or `sqlite:///file.db`; PERFAGENT_DATABASE_URL or
            DATABASE_URL when left out.
        statements: SQL separated by `;`, or statements with their figures; what the database itself recorded when left
            out (pg_stat_statements, performance_schema).
        limits: what is too little to be told.

    Returns:
        The report: advice, what saves most first, and what could not be looked into.

    Raises:
        ValueError: no URL, one that cannot be read, or a figure of a statement that is no number.
        ImportError: a package is missing; `pip install "perfagent[indexes]"`.
        UnreachableError: the database does not answer, or refuses; a RuntimeError of one line without a password.
    """
    address = parsed(named(url))
    given = read(statements) if isinstance(statements, str) else statements
    chosen = limits or Limits()
    kind = address.get_backend_name()
    if kind == "postgresql":
        from perfagent.data.indexes import postgres

        return postgres.advise(address, given, chosen)
    if kind == "sqlite":
        from perfagent.data.indexes import sqlite

        return sqlite.advise(address, given, chosen)
    from perfagent.data.indexes import mysql

    return mysql.advise(address, given, chosen)


def named(url: str) -> str:
    """The URL, or that of the settings; raises ValueError where there is none."""
    found = url or IndexSettings.current().url
    if not found:
        raise ValueError(NO_URL)
    return found
