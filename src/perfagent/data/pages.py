"""Queries page by page, each page found by the key of the row before it and not by counting rows.

A page costs the same wherever it is, no row comes twice and none is left out while others insert and delete: a row that
is there all the time, and whose key does not change, is met exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.data import keysets
from perfagent.data.connections import Source
from perfagent.data.cursors import Cursors
from perfagent.data.extras import need, wrong
from perfagent.data.shapes import shaped
from perfagent.settings.data import DataSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from perfagent.data.keysets import Key
    from perfagent.data.lazy import LazyDataFrame


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a query, and the places before and after them for `page(before=…)` and `page(after=…)`, or None."""

    rows: list[Any]
    next: str | None
    previous: str | None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class PaginatedQuery:
    """A query that is read page by page.

    Args:
        bind: an Engine, Connection or Session of SQLAlchemy, or the async ones.
        select: a `select(…)`, a table or a mapped class. One with DISTINCT, GROUP BY, LIMIT, a union or a text with
            columns is paged as a subquery.
        key: what rows are sorted by: columns with `.desc()`, `.nulls_last()` …, or names with `-` before them for
            descending. The primary keys of its tables are added, so that no two rows are equal. The ORDER BY of the
            select when left out, or else the primary key.
        page_size: the most rows of a page; PERFAGENT_PAGE_SIZE when left out.
        unique: says that no two rows have the same key, where the tables have no primary key or the query groups them.
        secret: at least 16 bytes that sign the places which pages give out. Without one, a place that was damaged or is
            of another query is refused, but a client that knows this code could make one of its own.

    Raises:
        ValueError: for a key that is none or not unique, and for other wrong arguments.
        ImportError: where SQLAlchemy is not installed.
    """

    def __init__(
        self,
        bind: Any,
        select: Any,
        *,
        key: Any = None,
        page_size: int | None = None,
        unique: bool = False,
        secret: bytes | str | None = None,
    ) -> None:
        self._source = Source(bind)
        if page_size is None:
            page_size = DataSettings.current().page_size
        if isinstance(page_size, bool) or not isinstance(page_size, int) or not 1 <= page_size <= 100_000:
            raise wrong("page_size", page_size, "a whole number from 1 to 100000", "page_size=100")
        self.page_size = page_size
        self._dialect: str = self._source.dialect.name
        self._select, self._keys = shaped(select, key, unique)
        keysets.check(self._keys, self._dialect)
        self._cursors = Cursors("|".join(one.shape() for one in self._keys), secret)

    def page(self, after: str | None = None, *, before: str | None = None) -> Page:
        """One page.

        Args:
            after: the `next` of another page; the first page when both are left out.
            before: the `previous` of another page: the page that ends there.

        Raises:
            ValueError: for a place that no page of this query has given, or both at once.
        """
        keys, values, backward = self._place(after, before)
        found = self._source.run(lambda bind: self.fetch(bind, self.page_size + 1, keys, values))
        return self._page(found, backward, after is not None)

    def pages(self) -> Iterator[Page]:
        """All pages, one after the other, each read when it is asked for. There is one at least, perhaps empty."""
        place: str | None = None
        while True:
            page = self.page(place)
            yield page
            if page.next is None:
                return
            place = page.next

    async def page_async(self, after: str | None = None, *, before: str | None = None) -> Page:
        """The same as `page`, of an async engine, connection or session."""
        keys, values, backward = self._place(after, before)
        found = await self._source.run_async(lambda bind: self.fetch(bind, self.page_size + 1, keys, values))
        return self._page(found, backward, after is not None)

    async def pages_async(self) -> AsyncIterator[Page]:
        """The same as `pages`, of an async engine, connection or session."""
        place: str | None = None
        while True:
            page = await self.page_async(place)
            yield page
            if page.next is None:
                return
            place = page.next

    def count(self) -> int:
        """How many rows there are now; the database counts them."""
        sqlalchemy = need("sqlalchemy", "PaginatedQuery")
        counted = sqlalchemy.select(sqlalchemy.func.count()).select_from(self._select.order_by(None).subquery())
        return int(self._source.run(lambda bind: bind.execute(counted).scalar_one()))

    def to_lazy_dataframe(self) -> LazyDataFrame:
        """The query as a frame that reads the rows which somebody looks at, and no others.

        Raises:
            ImportError: where pandas is not installed.
            ValueError: for an async engine.
        """
        from perfagent.data.lazy import LazyDataFrame

        return LazyDataFrame(self)

    def fetch(
        self,
        bind: Any,
        limit: int | None,
        keys: Sequence[Key] | None = None,
        values: Sequence[Any] | None = None,
        offset: int = 0,
        select: Any = None,
    ) -> list[tuple[Any, list[Any]]]:
        """Rows and their keys' values, for this part's own use: those after `values`, `offset` of them left out."""
        sqlalchemy = need("sqlalchemy", "PaginatedQuery")
        keys = self._keys if keys is None else keys
        statement = self._select if select is None else select
        if values is not None:
            statement = statement.where(keysets.after(keys, values, self._dialect))
        hidden = [self._raw(key.column).label(f"perfagent_key_{place}") for place, key in enumerate(keys)]
        statement = statement.order_by(None).order_by(*(key.order(self._dialect) for key in keys))
        statement = statement.add_columns(*hidden)
        if limit is not None:
            statement = statement.limit(limit)
        if offset:
            statement = statement.offset(offset)
        result = bind.execute(statement)
        visible = len(result.keys()) - len(hidden)
        names, found = list(result.keys())[:visible], result.all()
        made = sqlalchemy.engine.result.IteratorResult(
            sqlalchemy.engine.result.SimpleResultMetaData(names), (tuple(row[:visible]) for row in found)
        )
        return [(row, list(whole[visible:])) for row, whole in zip(made.all(), found, strict=True)]

    def run(self, limit: int | None, values: Sequence[Any] | None, offset: int, select: Any) -> Any:
        """`fetch` on a connection of its own, in the usual order."""
        return self._source.run(lambda bind: self.fetch(bind, limit, None, values, offset, select))

    @property
    def select(self) -> Any:
        """The statement that is paged, without its order."""
        return self._select

    def _place(self, after: str | None, before: str | None) -> tuple[Sequence[Key], list[Any] | None, bool]:
        if after is not None and before is not None:
            raise wrong("before", before, "after or before, and not both", "page(after=page.next)")
        place = after if before is None else before
        values = None if place is None else self._cursors.read(place, len(self._keys))
        return [key.reversed() for key in self._keys] if before else self._keys, values, before is not None

    def _page(self, found: list[tuple[Any, list[Any]]], backward: bool, is_later: bool) -> Page:
        more = len(found) > self.page_size
        found = found[: self.page_size]
        if backward:
            found.reverse()
        if not found:
            return Page([], None, None)
        first, last = self._cursors.write(found[0][1]), self._cursors.write(found[-1][1])
        has_next, has_previous = (True, more) if backward else (more, is_later)
        return Page([row for row, _ in found], last if has_next else None, first if has_previous else None)

    def _raw(self, column: Any) -> Any:
        """A column as it is compared: SQLite keeps decimals as floats, and SQLAlchemy cuts them to ten places."""
        types = need("sqlalchemy", "PaginatedQuery").types
        if (
            self._dialect == "sqlite"
            and isinstance(column.type, (types.Float, types.Numeric))
            and column.type.asdecimal
        ):
            return need("sqlalchemy", "PaginatedQuery").type_coerce(column, types.Float())
        return column
