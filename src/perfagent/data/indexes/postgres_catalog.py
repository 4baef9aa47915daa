"""What PostgreSQL tells of its tables, indexes and statistics; it needs no more than the role pg_monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl
from perfagent.data.indexes.advice import DAY, Index, Table
from perfagent.data.indexes.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACES = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"
SERVER = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_user,
        extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8,
        d.stats_reset IS NULL, pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication),
        (SELECT array_agg(s::text) FROM unnest(current_schemas(false)) s)
    FROM pg_stat_database d WHERE d.datname = current_database()"""
EXTENSIONS = "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
TABLES = f"""
    SELECT c.oid::bigint, n.nspname, c.relname, c.relkind = 'p', c.reltuples::float8, c.relpages,
        coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)::float8, coalesce(s.n_tup_del, 0)::float8,
        coalesce(s.n_live_tup, 0)::float8
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'p', 'm') AND {PLACES} ORDER BY c.oid"""  # noqa: S608 - a constant of this module
COLUMNS = f"""
    SELECT a.attrelid::bigint, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm') AND {PLACES}"""  # noqa: S608
VALUES = """
    SELECT schemaname, tablename, attname, null_frac::float8, n_distinct::float8, avg_width,
        coalesce(correlation, 0)::float8
    FROM pg_stats WHERE NOT inherited AND schemaname NOT IN ('pg_catalog', 'information_schema')"""
INDEXES = f"""
    SELECT i.indrelid::bigint, i.indexrelid::bigint, c.relname, m.amname, i.indisunique,
        i.indisprimary OR i.indisexclusion OR i.indisreplident OR i.indisclustered
            OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
            OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid),
        i.indisvalid AND i.indisready, i.indnkeyatts, i.indnatts, i.indkey::text, i.indclass::text,
        i.indcollation::text, i.indoption::text,
        coalesce(pg_get_expr(i.indpred, i.indrelid), '') || coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', ''),
        (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k) FROM generate_series(1, i.indnatts) k),
        s.idx_scan, pg_relation_size(i.indexrelid), i.indpred IS NOT NULL
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
    JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
    WHERE {PLACES} ORDER BY i.indexrelid"""  # noqa: S608
KEYS = """
    SELECT conrelid::bigint, conname, conkey, confrelid::bigint FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 ORDER BY oid"""
HIDDEN = "<insufficient privilege>"  # in place of another user's statement


@dataclass(frozen=True, slots=True)
class Server:
    """What is known of the server; `counted` is how long its statistics count, in seconds, at least."""

    version: str
    number: int
    user: str
    counted: float
    since_start: bool
    replicas: int
    path: tuple[str, ...]
    extensions: dict[str, str]
    notes: tuple[str, ...]


def server(connection: Any) -> Server:
    """Asks what there is."""
    row = connection.exec_driver_sql(SERVER).one()
    version, number, user, counted, since_start, recovery, replicas, path = row
    notes = ("this server is a replica: its statistics are its own, and indexes are made on the primary",)
    extensions = dict(map(tuple, connection.exec_driver_sql(EXTENSIONS)))
    return Server(
        version.split()[0],
        number,
        user,
        max(counted, 1.0),
        since_start,
        replicas,
        tuple(path or ()),
        extensions,
        notes if recovery else (),
    )


def read(connection: Any, about: Server) -> Catalog:
    """The tables with their columns, statistics, indexes and foreign keys."""
    tables: dict[int, Table] = {}
    days = about.counted / DAY
    for oid, schema, name, partitioned, tuples, pages, writes, deletes, live in connection.exec_driver_sql(TABLES):
        table = Table(schema, name, rows=max(tuples, live), pages=pages, partitioned=partitioned)
        table.writes, table.deletes = writes / days, deletes
        tables[oid] = table
    numbers: dict[tuple[int, int], str] = {}
    for oid, number, name, kind in connection.exec_driver_sql(COLUMNS):
        tables[oid].columns[name] = kind
        numbers[oid, number] = name
    _values(connection, tables.values())
    for row in connection.exec_driver_sql(INDEXES):
        if row[0] in tables:
            tables[row[0]].indexes.append(_index(row, numbers))
    for oid, name, columns, leads in connection.exec_driver_sql(KEYS):
        if oid in tables and leads in tables:
            other = tables[leads]
            held = tuple(numbers[oid, number] for number in columns)
            tables[oid].foreign.append((name, held, f"{other.schema}.{other.name}"))
    others = dict.fromkeys(one.schema for one in tables.values())
    return Catalog(tables.values(), list(dict.fromkeys([*about.path, *others])))


def _values(connection: Any, tables: Iterable[Table]) -> None:
    named = {(one.schema, one.name): one for one in tables}
    for schema, name, column, nulls, distinct, width, correlation in connection.exec_driver_sql(VALUES):
        table = named.get((schema, name))
        if table is not None and distinct:  # 0 is for not known; below 0, a part of the rows
            table.distinct[column] = max(-distinct * table.rows, 1) if distinct < 0 else distinct
            table.nulls[column], table.widths[column], table.correlation[column] = nulls, width, correlation


def _index(row: Any, numbers: dict[tuple[int, int], str]) -> Index:
    (table, oid, name, method, unique, needed, valid, keys, total, attributes, classes, collations, options) = row[:13]
    predicate, texts, scans, size, partial = row[13:]
    places = [int(one) for one in attributes.split()]
    plain = tuple(numbers.get((table, place), "") for place in places)
    parts = zip(classes.split(), collations.split(), options.split(), strict=True)
    signature = tuple(
        " ".join([str(places[at]) if places[at] else texts[at], *part]) for at, part in enumerate(parts) if at < keys
    )
    return Index(
        name,
        signature,
        tuple(texts[:keys]),
        plain[:keys],
        method,
        unique,
        needed,
        valid,
        frozenset(plain[keys:total]),
        predicate if partial else predicate.replace("false", ""),
        scans,
        size,
        oid,
    )


def recorded(
    connection: Any, about: Server, schema: str, most: int
) -> tuple[float, list[tuple[str, float, float, float]], int]:
    """What pg_stat_statements has of this database.

    Returns:
        For how many seconds it counts; text, calls, mean ms and rows of the statements that took most time; and how
        many are hidden from this user.
    """
    place = ddl.quoted(schema, "postgres")
    prefix = "exec_" if about.number >= 130_000 else ""
    top = "AND toplevel" if about.number >= 140_000 else ""
    sql = f"""
        SELECT query, count(*), sum(calls)::float8, (sum(total_{prefix}time) / sum(calls))::float8, sum(rows)::float8
        FROM {place}.pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0 {top}
            AND query ~* '^[[:space:]]*([(/<-]|select|with|insert|update|delete|merge)'
        GROUP BY query ORDER BY sum(total_{prefix}time) DESC LIMIT {int(most)}"""  # noqa: S608 - a quoted name
    rows = [tuple(row) for row in connection.exec_driver_sql(sql)]
    hidden = sum(row[1] for row in rows if row[0] == HIDDEN)
    start = "pg_postmaster_start_time()"
    if about.number >= 140_000:
        start = f"coalesce((SELECT stats_reset FROM {place}.pg_stat_statements_info), {start})"  # noqa: S608
    seconds = float(connection.exec_driver_sql(f"SELECT extract(epoch FROM now() - {start})::float8").scalar())  # noqa: S608
    return max(seconds, 1.0), [(row[0], *row[2:]) for row in rows if row[0] and row[0] != HIDDEN], hidden
