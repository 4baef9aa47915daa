"""Queries of a program's engine: cached, explained, timed; indexes made and tables kept in shape."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data import indexing, plans
from perfagent.data.catalog import Catalog
from perfagent.data.engines import create_engine
from perfagent.data.extras import need, wrong
from perfagent.data.results import Kept, Results, key_of
from perfagent.data.statements import EVERYTHING, describe
from perfagent.data.watching import Durations, StatementFigures, Writes, watch
from perfagent.runtime.cache import Lookups
from perfagent.settings.data import DataSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Executable
    from sqlalchemy.engine import URL, Engine, Row
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Ran:
    """What `create_index` and `optimize_table` ran, or would run: statements, whether they were, and seconds."""

    statements: tuple[str, ...]
    ran: bool
    seconds: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """Look-ups in the cache of queries since the start, and what it holds now."""

    hits: int
    misses: int
    uncacheable: int
    entries: int
    rows: int


class QueryOptimizer:
    """Caches the results of queries, and looks after the tables of an engine.

    Args:
        engine: an engine of SQLAlchemy, sync or async, on SQLite, PostgreSQL, MySQL, MariaDB or DuckDB.
        ttl: seconds that a result serves; PERFAGENT_QUERY_CACHE_TTL when left out, 0 for no cache.
        max_rows: the most rows that all results have; PERFAGENT_QUERY_CACHE_ROWS when left out.
        slow_seconds: from when on a statement is slow; PERFAGENT_SLOW_QUERY_SECONDS when left out.

    Raises:
        ValueError: for something else than such an engine, or a number below 0.
        ImportError: where SQLAlchemy, cachetools or sqlglot is not installed.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        ttl: float | None = None,
        max_rows: int | None = None,
        slow_seconds: float | None = None,
    ) -> None:
        sqlalchemy = need("sqlalchemy", "QueryOptimizer")
        need("sqlglot", "QueryOptimizer")
        settings = DataSettings.current()
        self.engine: Any = getattr(engine, "sync_engine", engine)
        self._async: Any = engine if self.engine is not engine else None
        if not isinstance(self.engine, sqlalchemy.engine.Engine):
            raise wrong(
                "engine",
                type(engine).__name__,
                "an engine of SQLAlchemy",
                'QueryOptimizer(create_engine("sqlite:///shop.db"))',
            )
        self._dialect = indexing.check_dialect(self.engine)
        self.ttl = _number("ttl", settings.query_ttl if ttl is None else ttl)
        self._results = Results(int(_number("max_rows", settings.query_rows if max_rows is None else max_rows)))
        slow = _number("slow_seconds", settings.slow_query if slow_seconds is None else slow_seconds)
        self._durations = Durations(slow, self._dialect)
        self._lookups = Lookups("query")
        self._hits = self._misses = self._uncacheable = 0
        self._catalog = Catalog(self._dialect)
        self._stop = watch(self.engine, Writes(self._results, self._dialect), self._durations)

    @classmethod
    def connect(cls, url: str | URL, **options: Any) -> QueryOptimizer:
        """One on an engine of its own, with the pool that `perfagent.data.create_engine` recommends.

        Args:
            url: as for `sqlalchemy.create_engine`.
            options: as for `sqlalchemy.create_engine`.
        """
        return cls(create_engine(url, **options))

    def cached_query(
        self, statement: str | Executable, parameters: Mapping[str, Any] | None = None, *, ttl: float | None = None
    ) -> list[Row[Any]]:
        """The rows of a query: those kept, where it was asked with the same parameters before, or those read now.

        A write to one of its tables through this engine makes it be read anew, once the write is committed. What other
        programs write shows when the time is over. A query that depends on more than its tables and parameters, such
        as one with `now()`, is read each time.

        Args:
            statement: a SELECT, as a statement of SQLAlchemy or as a text with parameters like `:shop`.
            parameters: by name.
            ttl: seconds that the result serves; the optimizer's when left out, 0 to read it now and keep nothing.

        Returns:
            The rows, in a list of the caller's own.

        Raises:
            ValueError: for a statement that is no query, such as an UPDATE or a SELECT … FOR UPDATE.
            sqlalchemy.exc.SQLAlchemyError: what the database says; nothing is kept then.
        """
        self._refuse_async("cached_query", "await cached_query_async(…)")
        wanted = self._look_up(statement, parameters, ttl)
        if wanted.kept is not None:
            return wanted.kept
        with self.engine.connect() as connection:
            return self._read(connection, wanted)

    async def cached_query_async(
        self, statement: str | Executable, parameters: Mapping[str, Any] | None = None, *, ttl: float | None = None
    ) -> list[Row[Any]]:
        """The same as `cached_query` on an AsyncEngine; arguments, result and errors as there."""
        if self._async is None:
            raise wrong("engine", "Engine", "an AsyncEngine", "cached_query(…) for this one")
        wanted = self._look_up(statement, parameters, ttl)
        if wanted.kept is not None:
            return wanted.kept
        async with self._async.connect() as connection:
            return await connection.run_sync(self._read, wanted)  # type: ignore[no-any-return]

    def invalidate(self, *tables: str) -> int:
        """Forgets the results that were read from tables, or all of them.

        Args:
            tables: names without a schema; none for all.

        Returns:
            How many results there were.
        """
        for table in tables:
            if not isinstance(table, str) or not table:
                raise wrong("tables", table, "names of tables", 'invalidate("orders")')
        return self._results.drop(table.lower() for table in tables) if tables else self._results.drop(EVERYTHING)

    def cache_figures(self) -> CacheFigures:
        """Hits, misses and what was not cacheable since the start, and the entries and rows held now."""
        entries, rows = self._results.size()
        return CacheFigures(self._hits, self._misses, self._uncacheable, entries, rows)

    def statements(self) -> list[StatementFigures]:
        """Every statement of the engine since the start, whoever ran it: those that took longest in all first."""
        return self._durations.figures()

    def slow_queries(self) -> list[StatementFigures]:
        """Those that were slow at least once, the slowest first."""
        return sorted((one for one in self.statements() if one.slow), key=lambda one: -one.max_seconds)

    def explain(self, statement: str | Executable, parameters: Mapping[str, Any] | None = None) -> plans.Plan:
        """How the database would run a statement; it is not run.

        Args:
            statement: as for `cached_query`; also one that writes.
            parameters: by name.
        """
        self._refuse_async("explain", "QueryOptimizer(engine.sync_engine) in a thread")
        with self.engine.connect() as connection:
            return plans.explain(connection, _statement(statement), dict(parameters or {}))

    def create_index(
        self,
        table: str,
        columns: str | Sequence[str],
        *,
        name: str | None = None,
        schema: str | None = None,
        unique: bool = False,
        where: str = "",
        concurrently: bool | None = None,
        dry_run: bool = False,
    ) -> Ran:
        """Makes an index where there is none of that name; on PostgreSQL without locking the table against writes.

        Args:
            table: its name as the database has it; it is quoted.
            columns: their names, each with ` DESC` after it where that is wanted.
            name: of the index; `ix_table_columns` when left out.
            schema: of the table.
            unique: whether no two rows may be equal in these columns.
            where: the condition of a partial index, as SQL (SQLite, PostgreSQL). It is taken as it is: no user's text.
            concurrently: False for an index that is made within a moment and locks the table; PostgreSQL only.
            dry_run: returns what would be run, and runs nothing.

        Returns:
            The statements, and the index's name.

        Raises:
            ValueError: for a table or column that there is not, or what the dialect does not have.
            sqlalchemy.exc.SQLAlchemyError: what the database says. A half-made index of PostgreSQL is dropped first.
        """
        self._refuse_async("create_index", "QueryOptimizer(engine.sync_engine) in a thread")
        index = indexing.wanted(table, columns, name, schema, unique, where)
        postgres = self._dialect == "postgresql"
        if concurrently and not postgres:
            raise wrong("concurrently", concurrently, f"{self._dialect} has nothing of the kind", "leave it out")
        self._catalog.check(self.engine, index)
        statement = indexing.create(index, self.engine, postgres if concurrently is None else concurrently)
        statements = [statement]
        if postgres and self._catalog.is_invalid(
            self.engine, index
        ):  # left by one that failed: IF NOT EXISTS would be content with it
            statements.insert(0, indexing.drop_concurrently(self.engine, index))
        elif "IF NOT EXISTS" not in statement and self._catalog.has(self.engine, index):
            statements = []
        if dry_run:
            return Ran(tuple(statements), False, 0.0, index.name)
        try:
            return Ran(tuple(statements), True, self._run(statements), index.name)
        except Exception:
            if postgres and self._catalog.is_invalid(self.engine, index):
                self._run([indexing.drop_concurrently(self.engine, index)])
            raise

    def optimize_table(
        self, table: str, *, schema: str | None = None, full: bool = False, dry_run: bool = False
    ) -> Ran:
        """Brings the statistics up to date that the database plans by, and clears what is dead.

        That is VACUUM (ANALYZE) on PostgreSQL, ANALYZE and PRAGMA optimize on SQLite, ANALYZE TABLE on MySQL, ANALYZE
        and CHECKPOINT on DuckDB.

        Args:
            table: its name as the database has it.
            schema: of the table.
            full: also gives free space back: VACUUM FULL, VACUUM or OPTIMIZE TABLE, which lock the table meanwhile.
            dry_run: returns what would be run, and runs nothing.

        Raises:
            ValueError: for a table that there is not.
            sqlalchemy.exc.SQLAlchemyError: what the database says.
            RuntimeError: where MySQL answers with an error in place of raising it.
        """
        self._refuse_async("optimize_table", "QueryOptimizer(engine.sync_engine) in a thread")
        statements = indexing.upkeep(self.engine, table, schema, full)
        self._catalog.columns(self.engine, table, schema)
        return Ran(tuple(statements), not dry_run, 0.0 if dry_run else self._run(statements))

    def pool_status(self) -> str:
        """What the engine's pool says of itself: its size, and the connections that are out."""
        return str(self.engine.pool.status())

    def close(self) -> None:
        """Stops listening to the engine, which stays open, and forgets all results."""
        self._stop()
        self._results.clear()
        self.ttl = 0

    def _look_up(self, statement: Any, parameters: Any, ttl: float | None) -> _LookUp:
        parameters = dict(parameters or {})
        seconds = self.ttl if ttl is None else _number("ttl", ttl)
        key = key_of(statement, parameters) if seconds > 0 else None
        kept = None if key is None else self._results.get(key)
        if kept is not None:
            self._hits += 1
            self._lookups.hits.record(1)
            return _LookUp(statement, parameters, key, 0, seconds, kept)
        return _LookUp(_statement(statement), parameters, key, self._results.version(), seconds, None)

    def _read(self, connection: Any, wanted: _LookUp) -> list[Any]:
        sql = str(wanted.statement.compile(dialect=connection.dialect))
        described = describe(sql, self._dialect)
        if not described.is_query:
            raise ValueError(
                f"statement={sql[:80]!r} is not accepted: cached are queries that change and lock nothing, for example "
                "cached_query(sqlalchemy.select(orders)); run others by engine.begin()"
            )
        if wanted.key is None or not described.is_stable:
            self._uncacheable += 1
            return list(connection.execute(wanted.statement, wanted.parameters))
        tables = self._catalog.sources(connection, described.reads)
        rows = list(connection.execute(wanted.statement, wanted.parameters))
        self._misses += 1
        self._lookups.misses.record(1)
        kept = Kept(rows, tables, wanted.seconds)
        self._results.put(wanted.key, kept, wanted.version)
        return kept.given()

    def _run(self, statements: Sequence[str]) -> float:
        """Outside a transaction, which VACUUM and CONCURRENTLY ask for; returns the seconds."""
        begin = time.perf_counter()
        autocommit = {} if self._dialect == "duckdb" else {"isolation_level": "AUTOCOMMIT"}
        with self.engine.connect().execution_options(**autocommit) as connection:
            for statement in statements:
                result = connection.exec_driver_sql(indexing.for_driver(self.engine, statement))
                if result.returns_rows:
                    for row in result:
                        if str(row._mapping.get("Msg_type", "")).lower() == "error":
                            raise RuntimeError(f"{statement}: {row._mapping['Msg_text']}")
            if not autocommit:
                connection.commit()
        return time.perf_counter() - begin

    def _refuse_async(self, name: str, instead: str) -> None:
        if self._async is not None:
            raise wrong("engine", "AsyncEngine", f"{name} takes a sync engine", instead)


@dataclass(frozen=True, slots=True)
class _LookUp:
    """What is asked for, and what was found under its key, if anything."""

    statement: Any
    parameters: dict[str, Any]
    key: Any
    version: int
    seconds: float
    kept: list[Any] | None


def _statement(statement: Any) -> Any:
    sqlalchemy = need("sqlalchemy", "QueryOptimizer")
    if isinstance(statement, str) and statement.strip():
        return sqlalchemy.text(statement)
    if isinstance(statement, sqlalchemy.Executable):
        return statement
    raise wrong("statement", statement, "a text or a statement of SQLAlchemy", '"SELECT id FROM orders"')


def _number(entry: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        raise wrong(entry, value, "a number from 0", f"{entry}=60")
    return value
