"""What MySQL and MariaDB tell of their tables, indexes and statistics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from perfagent.data.indexes.advice import DAY, Index, Statement, Table
from perfagent.data.indexes.catalog import Catalog

PAGE = 16_384  # bytes of InnoDB's pages
TABLES = (
    "SELECT table_name, COALESCE(table_rows, 0), COALESCE(data_length, 0) FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
)
COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE()"
INDEXES = (
    "SELECT * FROM information_schema.statistics WHERE table_schema = DATABASE() "
    "ORDER BY table_name, index_name, seq_in_index"
)
KEYS = (
    "SELECT table_name, constraint_name, column_name, referenced_table_name FROM information_schema.key_column_usage "
    "WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL ORDER BY constraint_name, ordinal_position"
)
USES = (
    "SELECT object_name, index_name, count_read FROM performance_schema.table_io_waits_summary_by_index_usage "
    "WHERE object_schema = DATABASE() AND index_name IS NOT NULL"
)
WRITES = (
    "SELECT object_name, count_write FROM performance_schema.table_io_waits_summary_by_table "
    "WHERE object_schema = DATABASE()"
)
DIGESTS = (
    "SELECT digest_text, count_star, sum_timer_wait / 1e9 / count_star, "
    "(sum_rows_sent + sum_rows_affected) / count_star FROM performance_schema.events_statements_summary_by_digest "
    "WHERE schema_name = DATABASE() AND digest_text REGEXP '^(SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|[(])' "
    "AND count_star > 0 ORDER BY sum_timer_wait DESC LIMIT {most}"
)
_LIST = re.compile(r"\(\s*\.\.\.\s*\)")


@dataclass(frozen=True, slots=True)
class Server:
    """What is known of the server; `uptime` in seconds."""

    name: str
    version: str
    uptime: float
    recording: bool


def ask(connection: Any, sql: str) -> Any:
    """The one row of a SELECT, or None where it fails."""
    rows = rows_of(connection, sql)
    return rows[0] if rows else None


def rows_of(connection: Any, sql: str) -> list[Any]:
    """The rows of a SELECT, none where it fails: what may not be read, or is not there in this version."""
    from sqlalchemy.exc import DBAPIError

    try:
        return list(connection.exec_driver_sql(sql))
    except DBAPIError:
        return []


def server(connection: Any) -> Server:
    """Asks what there is."""
    version = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
    name = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    uptime = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Uptime'").one()[1]
    on = bool(ask(connection, "SELECT @@performance_schema")[0])
    readable = ask(connection, "SELECT COUNT(*) FROM performance_schema.events_statements_summary_by_digest")
    return Server(name, version.split("-")[0], max(float(uptime), 1.0), on and readable is not None)


def read(connection: Any, about: Server) -> Catalog:
    """The tables of the database with their columns, indexes and foreign keys."""
    tables: dict[str, Table] = {}
    for name, rows, size in connection.exec_driver_sql(TABLES):
        tables[name] = Table("", name, rows=float(rows), pages=float(size) / PAGE)
    for name, column, kind in connection.exec_driver_sql(COLUMNS):
        if name in tables:
            tables[name].columns[column] = kind
    foreign: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for table, constraint, column, leads in connection.exec_driver_sql(KEYS):
        foreign.setdefault((table, constraint), (leads, []))[1].append(column)
    for (table, constraint), (leads, columns) in foreign.items():
        if table in tables:
            tables[table].foreign.append((constraint, tuple(columns), f".{leads}"))
    _read_indexes(connection, about, tables)
    for table, count in rows_of(connection, WRITES) if about.recording else []:
        if table in tables:
            tables[table].writes = float(count) / about.uptime * DAY
    return Catalog(tables.values())


def _read_indexes(connection: Any, about: Server, tables: dict[str, Table]) -> None:
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in connection.exec_driver_sql(INDEXES):
        one = {key.lower(): value for key, value in row._mapping.items()}
        parts.setdefault((one["table_name"], one["index_name"]), []).append(one)
    uses = {(table, index): int(count) for table, index, count in rows_of(connection, USES)} if about.recording else {}
    for order, ((table, name), keys) in enumerate(parts.items()):
        if table in tables:
            _keep(tables[table], _index(name, keys, uses.get((table, name)), order, tables[table]), keys)


def _keep(table: Table, index: Index, keys: list[dict[str, Any]]) -> None:
    table.indexes.append(index)
    first = keys[0]
    if first["cardinality"] and index.plain[0]:
        table.distinct[index.plain[0]] = max(float(first["cardinality"]), 1)


def _index(name: str, keys: list[dict[str, Any]], scans: int | None, order: int, table: Table) -> Index:
    plain = tuple(str(one["column_name"] or "") if not one["sub_part"] else "" for one in keys)
    shown = tuple(
        str(one["column_name"] or one.get("expression") or "") + (f"({one['sub_part']})" if one["sub_part"] else "")
        for one in keys
    )
    primary = name == "PRIMARY"
    # InnoDB wants an index for each foreign key; another one that begins with its columns would do as well.
    serving = any(plain[: len(columns)] == columns for _name, columns, _leads in table.foreign)
    return Index(
        name,
        tuple(f"{text} {one['collation']}" for text, one in zip(shown, keys, strict=True)),
        shown,
        plain,
        str(keys[0]["index_type"]).lower(),
        unique=not int(keys[0]["non_unique"]),
        needed=primary,
        scans=None if serving else scans,
        order=order,
    )


def recorded(connection: Any, about: Server, most: int) -> list[Statement]:
    """What performance_schema counted in this database, the most time first."""
    if not about.recording:
        return []
    days = about.uptime / DAY
    return [
        Statement(_LIST.sub("(?)", str(text)), float(calls) / days, float(mean), float(rows))
        for text, calls, mean, rows in rows_of(connection, DIGESTS.format(most=int(most)))
    ]
