"""Advice for PostgreSQL: its catalog and statistics, pg_stat_statements, and HypoPG or the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl, existing, postgres_catalog
from perfagent.data.indexes.advice import DAY, Advice, IndexReport, Statement
from perfagent.data.indexes.connect import answering, reading, shown
from perfagent.data.indexes.estimate import FORMULA
from perfagent.data.indexes.hypopg import Hypothetical, apart, index_name
from perfagent.data.indexes.making import missing
from perfagent.data.indexes.postgres_estimate import Estimated
from perfagent.data.indexes.search import Planner, questions, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.catalog import Catalog
    from perfagent.data.indexes.limits import Limits

ENABLE_STATEMENTS = (
    "no statements: pg_stat_statements is not enabled; put it in shared_preload_libraries of postgresql.conf, restart, "
    "and run CREATE EXTENSION pg_stat_statements; or give statements with --statements FILE"
)
ENABLE_HYPOPG = (
    "HypoPG is not in this database, so missing indexes are estimated; with it (CREATE EXTENSION hypopg) the planner "
    "proves them"
)
REPLICA = "each server counts its own: look at pg_stat_user_indexes of every replica that is read from"


def advise(url: Any, statements: Sequence[Statement] | None, limits: Limits) -> IndexReport:
    """The report on one database; arguments as for `perfagent.advise_indexes`; raises UnreachableError."""
    with reading(url) as connection, answering():
        server = postgres_catalog.server(connection)
        catalog = postgres_catalog.read(connection, server)
        path = ", ".join(ddl.quoted(name, "postgres") for name in catalog.path or ["public"])
        connection.exec_driver_sql(f"SET LOCAL search_path = {path}")
        if "pg_stat_statements" in server.extensions:
            with apart(connection):  # only a superuser may; the questions of others are few and alike
                connection.exec_driver_sql("SET LOCAL pg_stat_statements.track = 'none'")
        notes = list(server.notes)
        if statements is None:
            statements, told = _recorded(connection, server, limits)
            notes += told
        skipped: list[tuple[str, str]] = []
        advice = _missing(connection, server, catalog, statements, limits, notes, skipped)
        keys, quiet = existing.unindexed_keys(catalog, "postgres", limits.rows)
        begun = {(one.table, one.columns[:count]) for one in advice for count in range(1, len(one.columns) + 1)}
        advice += [one for one in keys if (one.table, one.columns) not in begun]
        idle = [f"{table} ({', '.join(columns)})" for table, columns in quiet if (table, columns) not in begun]
        if idle:
            more = f" and {len(idle) - 10} more" if len(idle) > 10 else ""
            notes.append(
                f"foreign keys without an index, whose other table never lost a row: {', '.join(idle[:10])}{more}"
            )
        gone = [*existing.invalid(catalog, "postgres"), *existing.superfluous(catalog, "postgres")]
        advice += gone + _unused(
            catalog, server, limits, notes, {one.index for one in gone} | {one.keep for one in gone}
        )
        version = f"PostgreSQL {server.version}, {shown(url)}"
        return IndexReport(version, tuple(advice), len(statements), tuple(skipped), tuple(notes))


def _recorded(connection: Any, server: postgres_catalog.Server, limits: Limits) -> tuple[list[Statement], list[str]]:
    """What pg_stat_statements counted in this database, the most time first, and what to say of it."""
    schema = server.extensions.get("pg_stat_statements")
    if schema is None:
        return [], [ENABLE_STATEMENTS]
    found = None
    with apart(connection) as failure:
        found = postgres_catalog.recorded(connection, server, schema, limits.statements)
    if found is None:
        return [], [f"no statements: {failure[0]}"]
    seconds, rows, hidden = found
    notes = []
    if hidden:
        notes.append(f"{hidden} statements of other users are hidden: GRANT pg_read_all_stats TO {server.user}")
    if seconds < DAY / 24:
        notes.append(f"pg_stat_statements counts for {_lasting(seconds)} only; a day's figures are drawn from that")
    days = max(seconds, 1.0) / DAY
    return [Statement(sql, calls / days, mean, rows_ / calls) for sql, calls, mean, rows_ in rows], notes


def _missing(
    connection: Any,
    server: postgres_catalog.Server,
    catalog: Catalog,
    statements: Sequence[Statement],
    limits: Limits,
    notes: list[str],
    skipped: list[tuple[str, str]],
) -> list[Advice]:
    asked = questions(statements, "postgres", catalog, limits.rows, lambda *one: skipped.append(one))
    schema = server.extensions.get("hypopg")
    planner: Planner
    hypothetical = Hypothetical(connection, schema) if schema is not None else None
    planner = hypothetical or Estimated(connection)
    if asked and hypothetical is None:
        notes.append(ENABLE_HYPOPG)
    found = search(asked, planner, limits.factor, lambda *one: skipped.append(one))
    if any(why.startswith("permission denied") for _text, why in skipped):
        notes.append(
            f"some statements cannot be explained: GRANT pg_read_all_data TO {server.user}, or SELECT on their tables"
        )
    proof, sizes = ("hypopg", hypothetical.sizes) if hypothetical else ("estimate", {})
    how = "the planner chooses the hypothetical index" if hypothetical else FORMULA
    return missing(found, catalog, "postgres", proof, how, sizes, limits, index_name)


def _unused(
    catalog: Catalog, server: postgres_catalog.Server, limits: Limits, notes: list[str], gone: set[str]
) -> list[Advice]:
    since = f"{'at least ' if server.since_start else ''}{_lasting(server.counted)}"
    hints = (REPLICA,) if not server.replicas else (f"{REPLICA}; this one has {server.replicas}",)
    found = [
        one for one in existing.unused(catalog, "postgres", since, limits.smallest, hints) if one.index not in gone
    ]
    if found and server.counted < limits.unused_days * DAY:
        notes.append(
            f"{len(found)} indexes were not used, but the statistics count for {since} only; ask again after "
            f"{limits.unused_days:g} days, or with --unused-after 0"
        )
        return []
    return found


def _lasting(seconds: float) -> str:
    for unit, length in (("days", DAY), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
