"""Advice for MySQL and MariaDB: performance_schema, information_schema, and EXPLAIN with the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl, existing, mysql_catalog, sampling
from perfagent.data.indexes.advice import DAY, Advice, IndexReport, Statement
from perfagent.data.indexes.connect import answering, reading, shown
from perfagent.data.indexes.estimate import FORMULA
from perfagent.data.indexes.making import missing
from perfagent.data.indexes.mysql_plan import Explained, index_name
from perfagent.data.indexes.search import questions, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.advice import Table
    from perfagent.data.indexes.catalog import Catalog
    from perfagent.data.indexes.limits import Limits

ENABLE = (
    "no statements: performance_schema is off or may not be read; put performance_schema=ON in the server's "
    "configuration, restart, and grant SELECT on performance_schema; or give statements with --statements FILE"
)


def advise(url: Any, statements: Sequence[Statement] | None, limits: Limits) -> IndexReport:
    """The report on one database; arguments as for `perfagent.advise_indexes`; raises UnreachableError, ValueError."""
    if not url.database:
        raise ValueError("the URL names no database; it should be such as mysql://user@host/database")
    with reading(url) as connection, answering():
        server = mysql_catalog.server(connection)
        catalog = mysql_catalog.read(connection, server)
        notes: list[str] = []
        if statements is None:
            statements = mysql_catalog.recorded(connection, server, limits.statements)
            if not server.recording:
                notes.append(ENABLE)
        skipped: list[tuple[str, str]] = []
        asked = questions(
            statements,
            "mysql",
            catalog,
            limits.rows,
            lambda *one: skipped.append(one),
            lambda access: sampling.learn(access, lambda sql: mysql_catalog.ask(connection, sql), _sample),
        )
        found = search(asked, Explained(connection), limits.factor, lambda *one: skipped.append(one))
        advice = missing(found, catalog, "mysql", "estimate", FORMULA, {}, limits, index_name)
        gone = existing.superfluous(catalog, "mysql")
        spared = {name for one in gone for name in (one.index, one.keep)}
        advice += gone + _unused(catalog, server, limits, notes, spared)
        about = f"{server.name} {server.version}, {shown(url)}"
        return IndexReport(about, tuple(advice), len(statements), tuple(skipped), tuple(notes))


def _sample(table: Table, column: str) -> str:
    """The SELECT of a sample of one column, the first rows in the order of the primary key."""
    place, name = ddl.quoted(table.name, "mysql"), ddl.quoted(column, "mysql")
    return f"SELECT {name} v FROM {place} LIMIT {sampling.ROWS}"  # noqa: S608 - quoted names


def _unused(
    catalog: Catalog, server: mysql_catalog.Server, limits: Limits, notes: list[str], spared: set[str]
) -> list[Advice]:
    days = server.uptime / DAY
    hint = "the counts are since the server's start, and each server has its own: look at the replicas too"
    since = f"the {days:.1f} days" if days >= 1 else f"the {server.uptime / 3600:.1f} hours"
    found = existing.unused(catalog, "mysql", f"{since} since the server started", 0, (hint,))
    found = [one for one in found if one.index not in spared]
    if found and days < limits.unused_days:
        notes.append(
            f"{len(found)} indexes were not used, but the server counts for {server.uptime / 3600:.1f} hours only; "
            f"ask again after {limits.unused_days:g} days, or with --unused-after 0"
        )
        return []
    return found
