"""Where the time of requests goes: what the runtime must know of libraries to tell, and the start of it."""

from __future__ import annotations

from perfagent.instruments.base import passed_over
from perfagent.runtime import poolwaits, timeparts
from perfagent.runtime.timeparts import loops, parts, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

FILES = (
    "/sqlalchemy/pool/base.py",
    "/sqlalchemy/pool/impl.py",
    "/sqlalchemy/util/queue.py",
    "/psycopg_pool/pool.py",
    "/psycopg_pool/pool_async.py",
    "/psycopg_pool/_acompat.py",
    "/asyncpg/pool.py",
    "/aiomysql/pool.py",
    "/redis/connection.py",
    "/redis/asyncio/connection.py",
    "/httpcore/_sync/connection_pool.py",
    "/httpcore/_async/connection_pool.py",
    "/aiohttp/connector.py",
    "/urllib3/connectionpool.py",
    "/pymongo/pool.py",
    "/pymongo/synchronous/pool.py",
    "/pymongo/asynchronous/pool.py",
)
"""Where libraries wait for a free connection of a pool."""


def install(settings: Settings) -> None:
    """Starts it."""
    waits.pools.extend(FILES)
    poolwaits.of_request = parts.waited
    for function in (loops.driven, loops.in_thread):  # what a program's warning blames is never ours
        passed_over(function)
    timeparts.install(settings)
