"""Pools of connections that their drivers and clients keep: how long who asks for one waits, and who gets none.

Where a library opens a new connection for who asks, that is no wait: it would take its time in a larger pool, too.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from perfagent.instruments.base import Instrument
from perfagent.instruments.pools import Waits
from perfagent.runtime import guard, poolwaits
from perfagent.runtime.clock import now
from perfagent.runtime.metric import DB_SECONDS, HISTOGRAM, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Tell = Callable[..., None]
    Named = Callable[[], tuple[str, int]]  # a pool's name, and how many it has at most

_NAME = "perfagent.http.client.pool.name"
http_wait_time = registry.make(
    Scope("perfagent.http"),
    HISTOGRAM,
    "perfagent.http.client.pool.wait_time",
    "s",
    "The time that requests waited for a free connection of an HTTP client that has as many as it may.",
    DB_SECONDS,
    keys=(_NAME,),
)


class PoolWaits(Instrument):
    """Patches where a pool hands out a connection."""

    name = "pools"
    records = "waits for a connection of psycopg_pool, psycopg2.pool, asyncpg, redis, PyMongo, urllib3, httpx, aiohttp"

    def patch(self, module: ModuleType) -> None:
        """Patches one of the modules; what a version does not have is left out."""
        name = module.__name__
        for (place, owner, method), make in PLACES.items():
            if place == name and hasattr(module, owner):
                self.replace(getattr(module, owner), method, make)
        if name == "pymongo.monitoring" and hasattr(module, "_ConnectionDurationEvent"):  # from 4.7 on
            from perfagent.instruments import pymongo_pools

            pymongo_pools.listen(self)


class Kept:
    """The `Waits` of each pool, which is not kept alive.

    Args:
        library: whose pools they are.
        name: tells a pool's name.
        most: tells how many connections it has at most.
        key: what stands for a pool that no weak reference can be made of; None where it has no connections yet.
    """

    def __init__(
        self,
        library: str,
        name: Callable[[Any], str],
        most: Callable[[Any], int],
        key: Callable[[Any], Any] = lambda pool: pool,
    ) -> None:
        self.key = key
        self.library = library
        self.name = name
        self.most = most
        self._known: WeakKeyDictionary[Any, Waits] = WeakKeyDictionary()

    def __call__(self, pool: Any) -> Waits | None:
        """Those of a pool; None for one that is not what its library makes."""
        try:
            key = self.key(pool)
            found = self._known.get(key) if key is not None else None
            if found is None and key is not None:
                found = self._known[key] = Waits(self.name(pool), self.library, self.most(pool))
            return found
        except Exception:
            guard.failed("pools")
            return None


def _taking(kept: Kept, is_full: Callable[[Any], Any], gave_up: str) -> Callable[[Any], Any]:
    """Makes what stands for a method that hands out a connection; arguments as of `_measuring`."""
    ask, tell = _measuring(kept, is_full, gave_up)

    def make(take: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
            asked = ask(pool)
            try:
                found = take(pool, *args, **options)
            except BaseException as error:
                tell(asked, error)
                raise
            tell(asked)
            return found

        return wrapper

    return make


def _taking_async(kept: Kept, is_full: Callable[[Any], Any], gave_up: str) -> Callable[[Any], Any]:
    """The same for a coroutine function."""
    ask, tell = _measuring(kept, is_full, gave_up)

    def make(take: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
            asked = ask(pool)
            try:
                found = await take(pool, *args, **options)
            except BaseException as error:
                tell(asked, error)
                raise
            tell(asked)
            return found

        return wrapper

    return make


def _measuring(kept: Kept, is_full: Callable[[Any], Any], gave_up: str) -> tuple[Callable[[Any], Any], Tell]:
    """What is done before and after a pool is asked for a connection: 0.1 us more than in one function.

    Args:
        kept: the waits of each pool.
        is_full: whether a pool has no connection to give and opens none.
        gave_up: the exception's name where the time to wait was over.
    """

    def ask(pool: Any) -> tuple[Waits, bool, int] | None:
        waits = kept(pool)
        return None if waits is None else (waits, _asked(is_full, pool), now())

    def tell(asked: tuple[Waits, bool, int] | None, error: BaseException | None = None) -> None:
        if asked is not None:
            waits, full, began = asked
            if error is not None and full and type(error).__name__ == gave_up:
                waits.refuse("timed out")
            waits.over(began, now(), full)

    return ask, tell


def _asked(is_full: Callable[[Any], Any], pool: Any) -> bool:
    try:
        return bool(is_full(pool))
    except Exception:  # a version that keeps it elsewhere
        return True


def _refusing(get: Callable[..., Any]) -> Callable[..., Any]:
    """psycopg2's pools do not let anybody wait."""

    def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
        try:
            return get(pool, *args, **options)
        except Exception as error:
            _refused(pool, error)
            raise

    return wrapper


def _refused(pool: Any, error: Exception) -> None:
    try:
        waits = _psycopg2(pool) if "exhausted" in str(error) else None
        if waits is not None:
            waits.refuse("refused")
    except Exception:
        guard.failed("pools")


# HTTP clients: connections are many, and seldom waited for, so only waits are recorded.


class Waiting:
    """Around the wait for a connection of an HTTP client.

    Args:
        library: whose pool it is.
        named: tells its name, and how many it has at most; 0 where nobody knows.
        gave_up: the exception's name where the time to wait was over; "" where there is none.
    """

    __slots__ = ("_began", "_gave_up", "_library", "_named")

    def __init__(self, library: str, named: Named, gave_up: str = "") -> None:
        self._library = library
        self._named = named
        self._gave_up = gave_up

    def __enter__(self) -> None:
        self._began = now()

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        try:
            ended = now()
            name, most = self._named()
            http_wait_time.of({_NAME: name}).record((ended - self._began) / 1e9)
            pool = poolwaits.Pool(self._library, name, most)
            poolwaits.waited(pool, self._began, ended)
            if kind is not None and kind.__name__ == self._gave_up:
                poolwaits.refused(pool, "timed out")
        except Exception:
            guard.failed("pools")


def _urllib3_getting(get: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
        if not _must_wait(pool):
            return get(pool, *args, **options)
        with Waiting("urllib3", lambda: (f"{pool.host}:{pool.port}", _most(pool)), "EmptyPoolError"):
            return get(pool, *args, **options)

    return wrapper


def _must_wait(pool: Any) -> bool:
    try:
        return bool(pool.block) and pool.pool is not None and bool(pool.pool.empty())
    except Exception:
        return False  # whatever it is, it is no pool that we know


def _most(pool: Any) -> int:
    return pool.pool.maxsize if pool.pool else 0  # closed meanwhile


def _urllib3_putting(put: Callable[..., Any]) -> Callable[..., Any]:
    """Who finds no room for a connection closes it, and opens one the next time."""

    def wrapper(pool: Any, conn: Any) -> Any:
        try:
            if conn is not None and not pool.block and pool.pool is not None and pool.pool.full():
                most = pool.pool.maxsize
                poolwaits.refused(poolwaits.Pool("urllib3", f"{pool.host}:{pool.port}", most), "discarded")
        except Exception:
            guard.failed("pools")
        return put(pool, conn)

    return wrapper


def _httpcore(wait: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(request: Any, *args: Any, **options: Any) -> Any:
        if _is_connected(request):
            return wait(request, *args, **options)
        with Waiting("httpx", lambda: (_origin(request), 0), "PoolTimeout"):
            return wait(request, *args, **options)

    return wrapper


def _httpcore_async(wait: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(request: Any, *args: Any, **options: Any) -> Any:
        if _is_connected(request):
            return await wait(request, *args, **options)
        with Waiting("httpx", lambda: (_origin(request), 0), "PoolTimeout"):
            return await wait(request, *args, **options)

    return wrapper


def _is_connected(request: Any) -> bool:
    try:
        return request.connection is not None
    except Exception:
        return True  # whatever it is, it does not wait


def _origin(request: Any) -> str:
    """The server that a request of httpcore's goes to."""
    url = request.request.url
    host = url.host.decode("latin-1")
    return f"{host}:{url.port}" if url.port else host


def _aiohttp(wait: Callable[..., Any]) -> Callable[..., Any]:
    """Called only by who has to wait."""

    async def wrapper(connector: Any, key: Any, *args: Any, **options: Any) -> Any:
        with Waiting("aiohttp", lambda: (_server(key), connector.limit or connector.limit_per_host)):
            return await wait(connector, key, *args, **options)

    return wrapper


def _server(key: Any) -> str:
    """The server that a connector of aiohttp's keeps connections to; a test may use anything as their key."""
    host = getattr(key, "host", "")
    return f"{host}:{key.port}" if host else "aiohttp"


def _dsn(pool: Any) -> str:
    """The name of a pool of psycopg's, which the program or the library gives."""
    return str(pool.name)


def _asyncpg_name(pool: Any) -> str:
    connection = next((one._con for one in pool._holders if one._con is not None), None)
    if connection is None:
        return "asyncpg"
    address, name = connection._addr, connection._params.database or ""
    return f"{address if isinstance(address, str) else f'{address[0]}:{address[1]}'}/{name}"


def _redis_name(pool: Any) -> str:
    given = pool.connection_kwargs
    return f"{given.get('host') or given.get('path') or 'localhost'}:{given.get('port', '')}".rstrip(":")


_psycopg = Kept("psycopg_pool", _dsn, lambda pool: pool.max_size)
_psycopg2 = Kept("psycopg2", lambda pool: "psycopg2.pool", lambda pool: pool.maxconn)
_asyncpg = Kept("asyncpg", _asyncpg_name, lambda pool: pool._maxsize, lambda pool: pool._queue)
_redis = Kept("redis", _redis_name, lambda pool: pool.max_connections)


def _psycopg_is_full(pool: Any) -> bool:
    return not pool._pool and pool._nconns >= pool.max_size


PLACES: dict[tuple[str, str, str], Callable[[Any], Any]] = {
    ("psycopg_pool.pool", "ConnectionPool", "getconn"): _taking(_psycopg, _psycopg_is_full, "PoolTimeout"),
    ("psycopg_pool.pool_async", "AsyncConnectionPool", "getconn"): _taking_async(
        _psycopg, _psycopg_is_full, "PoolTimeout"
    ),
    ("psycopg2.pool", "AbstractConnectionPool", "_getconn"): _refusing,
    ("psycopg2.pool", "SimpleConnectionPool", "getconn"): _refusing,
    ("asyncpg.pool", "Pool", "_acquire"): _taking_async(_asyncpg, lambda pool: not pool._queue.qsize(), "TimeoutError"),
    ("redis.connection", "BlockingConnectionPool", "get_connection"): _taking(
        _redis, lambda pool: pool.pool.empty(), "ConnectionError"
    ),
    ("redis.asyncio.connection", "BlockingConnectionPool", "get_connection"): _taking_async(
        _redis, lambda pool: not pool.can_get_connection(), "ConnectionError"
    ),
    ("urllib3.connectionpool", "HTTPConnectionPool", "_get_conn"): _urllib3_getting,
    ("urllib3.connectionpool", "HTTPConnectionPool", "_put_conn"): _urllib3_putting,
    ("aiohttp.connector", "BaseConnector", "_wait_for_available_connection"): _aiohttp,
    **{
        (f"{package}._sync.connection_pool", "PoolRequest", "wait_for_connection"): _httpcore
        for package in ("httpcore", "httpcore2")
    },
    **{
        (f"{package}._async.connection_pool", "AsyncPoolRequest", "wait_for_connection"): _httpcore_async
        for package in ("httpcore", "httpcore2")
    },
}
"""Module, class and method, and what makes its replacement."""

instrument = PoolWaits()
