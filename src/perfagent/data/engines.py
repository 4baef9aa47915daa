"""Engines of SQLAlchemy with the pool that suits their database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.extras import need
from perfagent.settings.data import DataSettings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

_SERVERS = ("postgresql", "mysql", "mariadb", "oracle", "mssql")


def create_engine(url: str | URL, **options: Any) -> Engine:
    """An engine whose connections are checked before use, bounded, and replaced before a firewall forgets them.

    Args:
        url: as for `sqlalchemy.create_engine`, such as `postgresql+psycopg://user@host/shop`.
        options: as for `sqlalchemy.create_engine`; they go over what `engine_options` recommends.

    Raises:
        ValueError: for what is no URL of a database.
        ImportError: where SQLAlchemy or the driver is not installed.
    """
    sqlalchemy = need("sqlalchemy", "create_engine")
    recommended = engine_options(url)
    if "poolclass" in options:  # another kind of pool takes other sizes
        recommended = {name: value for name, value in recommended.items() if name == "pool_pre_ping"}
    engine: Engine = sqlalchemy.create_engine(url, **{**recommended, **options})
    if engine.dialect.name == "sqlite" and not _in_memory(engine.url):
        sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def engine_options(url: str | URL) -> dict[str, Any]:
    """What is recommended for a database: nothing for an embedded one, a checked and bounded pool for a server.

    Args:
        url: as for `create_engine`.

    Returns:
        Options of `sqlalchemy.create_engine`; the sizes are those of PERFAGENT_POOL_SIZE and its kin.

    Raises:
        ValueError: for what is no URL of a database.
    """
    sqlalchemy = need("sqlalchemy", "engine_options")
    try:
        parsed = sqlalchemy.engine.make_url(url)
        name = parsed.get_backend_name()
    except (sqlalchemy.exc.ArgumentError, AttributeError):
        # The URL is not shown: a password may be in it.
        raise ValueError(
            "url is not accepted: a URL of SQLAlchemy is; for example postgresql+psycopg://user@localhost/shop"
        ) from None
    if name not in _SERVERS:
        return {}
    settings = DataSettings.current()
    return {
        "pool_pre_ping": True,
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_overflow,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": settings.pool_recycle,
        "pool_use_lifo": True,  # those that a rush has left over are idle, and can be closed by the server
    }


def _in_memory(url: URL) -> bool:
    return not url.database or url.database == ":memory:" or "mode=memory" in str(url)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 5000")  # waits for another writer instead of failing at once
    cursor.close()
