"""The statements that make an index or keep a table in shape, by dialect; nothing is run here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from perfagent.data.extras import wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "duckdb")
_LONGEST_NAME = 60  # PostgreSQL cuts after 63 bytes, MySQL refuses more than 64
_PARTIAL = ("sqlite", "postgresql")
_ORDER = re.compile(r"(?is)(.+?)\s+(asc|desc)\s*$")


@dataclass(frozen=True, slots=True)
class Index:
    """An index as somebody wants it: names as they are in the database, directions `ASC` or `DESC`."""

    name: str
    table: str
    schema: str | None
    columns: tuple[tuple[str, str], ...]
    unique: bool
    where: str


def wanted(
    table: str, columns: str | Sequence[str], name: str | None, schema: str | None, unique: bool, where: str
) -> Index:
    """Checks what somebody wrote; arguments as for `QueryOptimizer.create_index`."""
    _check_name("table", table)
    if schema is not None:
        _check_name("schema", schema)
    listed = [columns] if isinstance(columns, str) else list(columns)
    if not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        raise wrong("columns", columns, "names of columns, each with ASC or DESC after it", '["shop", "created DESC"]')
    pairs = []
    for one in listed:
        found = _ORDER.match(one.strip())
        pairs.append((found[1].strip(), found[2].upper()) if found else (one.strip(), "ASC"))
    names = [column for column, _ in pairs]
    if len(set(names)) < len(names):
        raise wrong("columns", columns, "each column once", '["shop", "created DESC"]')
    if name is None:
        name = "_".join(("ux" if unique else "ix", table, *names))
        if where or len(name.encode()) > _LONGEST_NAME:  # what is cut or partial is told apart by a digest
            digest = blake2b(repr((table, pairs, where)).encode(), digest_size=4).hexdigest()
            name = f"{name.encode()[: _LONGEST_NAME - 9].decode(errors='ignore')}_{digest}"
    _check_name("name", name)
    return Index(name, table, schema, tuple(pairs), unique, where)


def create(index: Index, engine: Any, concurrently: bool) -> str:
    """The statement that makes it.

    Args:
        index: what is wanted.
        engine: SQLAlchemy's.
        concurrently: PostgreSQL's way, which lets the table be written to meanwhile.

    Raises:
        ValueError: where the dialect has no such index.
    """
    dialect = check_dialect(engine)
    if index.where and dialect not in _PARTIAL:
        raise wrong("where", index.where, f"{dialect} has no partial indexes", "leave it out")
    if dialect == "duckdb" and any(order == "DESC" for _, order in index.columns):
        raise wrong("columns", index.columns, "duckdb's indexes have no DESC", f'["{index.columns[0][0]}"]')
    columns = ", ".join(
        quoted(engine, column) + (" DESC" if order == "DESC" else "") for column, order in index.columns
    )
    words = ["CREATE", "UNIQUE INDEX" if index.unique else "INDEX"]
    if concurrently:
        words.append("CONCURRENTLY")
    if dialect != "mysql" or engine.dialect.is_mariadb:
        words.append("IF NOT EXISTS")
    name = quoted(engine, index.name)
    if dialect == "sqlite" and index.schema:  # there it is the index that is of a schema
        words += [f"{quoted(engine, index.schema)}.{name}", "ON", quoted(engine, index.table)]
    else:
        words += [name, "ON", full_name(engine, index.table, index.schema)]
    words.append(f"({columns})")
    if index.where:
        words.append(f"WHERE {index.where}")
    return " ".join(words)


def drop_concurrently(engine: Any, index: Index) -> str:
    """The statement that takes away an index of PostgreSQL that is only half made."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {full_name(engine, index.name, index.schema)}"


def upkeep(engine: Any, table: str, schema: str | None, full: bool) -> list[str]:
    """The statements that bring a table's statistics up to date and, with `full`, give its free space back."""
    _check_name("table", table)
    name = full_name(engine, table, schema)
    dialect = check_dialect(engine)
    if dialect == "postgresql":
        return [f"VACUUM ({'FULL, ' if full else ''}ANALYZE) {name}"]
    if dialect == "sqlite":
        return [f"ANALYZE {name}", "PRAGMA optimize", *(["VACUUM"] if full else [])]
    if dialect == "duckdb":
        return [f"ANALYZE {name}" if not full else f"VACUUM ANALYZE {name}", "CHECKPOINT"]
    return [f"OPTIMIZE TABLE {name}" if full else f"ANALYZE TABLE {name}"]


def quoted(engine: Any, name: str) -> str:
    """A name in the dialect's quotes."""
    text: str = engine.dialect.identifier_preparer.quote_identifier(name)
    return text.replace("%%", "%") if _formats(engine) else text


def full_name(engine: Any, table: str, schema: str | None) -> str:
    """A table's name, quoted."""
    return f"{quoted(engine, schema)}.{quoted(engine, table)}" if schema else quoted(engine, table)


def for_driver(engine: Any, statement: str) -> str:
    """A statement without parameters as the driver wants it, which may take `%` for the start of one."""
    return statement.replace("%", "%%") if _formats(engine) else statement


def _formats(engine: Any) -> bool:
    return engine.dialect.paramstyle in ("format", "pyformat")


def check_dialect(engine: Any) -> str:
    """The name of the engine's dialect; raises ValueError for one that this part does not speak."""
    name: str = engine.dialect.name
    if name not in DIALECTS:
        raise wrong("engine", name, f"one of {', '.join(DIALECTS)}", 'create_engine("sqlite:///shop.db")')
    return name


def _check_name(entry: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise wrong(entry, value, "the name of one that is there, as the database has it", f'{entry}="orders"')
