"""One way to run a statement on whatever the program has: an engine, a connection, a session, sync or async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need, wrong

if TYPE_CHECKING:
    from collections.abc import Callable


class Source:
    """Where queries go.

    Args:
        bind: an Engine, a Connection or a Session of SQLAlchemy, or the async ones. An engine gives a connection for
            each statement; a connection and a session stay in the transaction that they are in.

    Raises:
        ValueError: for anything else.
    """

    def __init__(self, bind: Any) -> None:
        sqlalchemy = need("sqlalchemy", "PaginatedQuery")
        orm = need("sqlalchemy.orm", "PaginatedQuery")
        asynchronous = hasattr(bind, "run_sync") or hasattr(bind, "sync_engine")
        plain = getattr(bind, "sync_engine", bind) if not hasattr(bind, "run_sync") else bind
        self.bind = bind
        self.is_async = asynchronous
        self.is_engine = isinstance(plain, sqlalchemy.engine.Engine)
        sync = getattr(bind, "sync_session", None) or getattr(bind, "sync_connection", None) or plain
        if isinstance(sync, orm.Session):
            self.dialect = sync.get_bind().dialect
        elif isinstance(sync, (sqlalchemy.engine.Engine, sqlalchemy.engine.Connection)):
            self.dialect = sync.dialect
        else:
            raise wrong(
                "bind",
                type(bind).__name__,
                "an engine, connection or session of SQLAlchemy",
                'PaginatedQuery(create_engine("sqlite:///shop.db"), select(orders))',
            )

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Calls `work` with something that has `execute`; raises ValueError for an async one."""
        if self.is_async:
            raise wrong("bind", type(self.bind).__name__, "a sync one", "await page_async() and pages_async()")
        if not self.is_engine:
            return work(self.bind)
        with self.bind.connect() as connection:
            return work(connection)

    async def run_async(self, work: Callable[[Any], Any]) -> Any:
        """The same for an async one."""
        if not self.is_async:
            raise wrong("bind", type(self.bind).__name__, "an async one", "page() and pages()")
        if not self.is_engine:
            return await self.bind.run_sync(work)
        async with self.bind.connect() as connection:
            return await connection.run_sync(work)
