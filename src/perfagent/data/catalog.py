"""What the database itself knows: its views, a table's columns, and the state of an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong
from perfagent.data.indexing import for_driver, full_name
from perfagent.data.statements import EVERYTHING

if TYPE_CHECKING:
    from perfagent.data.indexing import Index

_VIEWS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'view'",
    "postgresql": "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm', 'f')",
    "duckdb": "SELECT view_name FROM duckdb_views()",
}
_STANDARD_VIEWS = "SELECT table_name FROM information_schema.views"
_INVALID = """
SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
WHERE c.relname = :name AND t.oid = to_regclass(:table) AND NOT i.indisvalid
"""


class Catalog:
    """Asks the database.

    Args:
        dialect: SQLAlchemy's name of it.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._known: frozenset[str] = frozenset()
        self._views: frozenset[str] = frozenset()

    def sources(self, connection: Any, names: frozenset[str]) -> frozenset[str]:
        """The tables that a query depends on; `*` where a view is among them, which does not tell what it is made of.

        Args:
            connection: SQLAlchemy's; asked only for names that are new.
            names: of tables and views.
        """
        if not names <= self._known:
            rows = connection.exec_driver_sql(_VIEWS.get(self._dialect, _STANDARD_VIEWS))
            self._views = frozenset(str(row[0]).lower() for row in rows)
            self._known = self._known | names
        return EVERYTHING if names & self._views else names

    def columns(self, engine: Any, table: str, schema: str | None) -> list[str]:
        """The names of a table's columns; raises ValueError where there is no such table."""
        sqlalchemy = need("sqlalchemy", "QueryOptimizer")
        statement = f"SELECT * FROM {full_name(engine, table, schema)} WHERE 1 = 0"  # noqa: S608 - it is quoted
        try:
            with engine.connect() as connection:
                return list(connection.exec_driver_sql(for_driver(engine, statement)).keys())
        except (sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.OperationalError) as error:
            if isinstance(error, sqlalchemy.exc.OperationalError) and error.connection_invalidated:
                raise
            said = str(error.orig).partition("\n")[0]
            raise wrong("table", table, f"the name of one that is there ({said})", 'table="orders"') from None

    def check(self, engine: Any, index: Index) -> None:
        """Raises ValueError where the table or one of the columns is not there."""
        known = self.columns(engine, index.table, index.schema)
        folded = {name.lower() for name in known}
        for column, _ in index.columns:
            if column not in known and (self._dialect == "postgresql" or column.lower() not in folded):
                raise wrong("columns", column, f"{index.table} has {', '.join(known)}", f'["{known[0]}"]')

    def is_invalid(self, engine: Any, index: Index) -> bool:
        """Whether PostgreSQL has the index and does not use it: it was not made to its end."""
        sqlalchemy = need("sqlalchemy", "QueryOptimizer")
        parameters = {"name": index.name, "table": full_name(engine, index.table, index.schema)}
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text(_INVALID), parameters).first() is not None

    def has(self, engine: Any, index: Index) -> bool:
        """Whether the table has an index of that name."""
        found = need("sqlalchemy", "QueryOptimizer").inspect(engine).get_indexes(index.table, schema=index.schema)
        return any(one["name"] == index.name for one in found)
