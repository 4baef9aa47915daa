"""Connections to Redis: one client for the threads of a process, one for each event loop, none shared with a child."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from perfagent.cache.needed import needed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from perfagent.settings.cache import CacheSettings


class Connection:
    """A server's address, and the clients of this process.

    Args:
        url: such as redis://localhost:6379/0, or rediss:// for TLS.
        timeout: longest wait for a connection and for an answer, in seconds.
        more: further options of redis-py's clients.

    Raises:
        ValueError: the address is none of Redis.
    """

    def __init__(self, url: str, timeout: float, **more: Any) -> None:
        redis = needed("redis", "a cache in Redis", "redis")
        self._url, self._redis = url, redis
        self.errors = (redis.RedisError, OSError, asyncio.TimeoutError)
        self.refusals = (redis.ResponseError,)
        try:
            parts = redis.connection.parse_url(url)
        except ValueError as error:
            raise ValueError(
                f"url={_shown(url)!r} is not accepted ({error}): such as url='redis://localhost:6379/0'"
            ) from None
        self.shown = parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}"
        self._options = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_keepalive": True,
            **more,
        }
        self.reset()

    def reset(self) -> None:
        """Forgets every client: those of a parent process are its own."""
        self._client: Any = None
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def command(self, *words: bytes | int | str) -> Command:
        """An effect that gives the answer to a command."""
        return Command(self, words)

    def client(self) -> Any:
        """The client for threads."""
        if self._client is None:
            # One attempt: a wait of three time-outs is none that a cache may cost.
            retry = self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0)
            self._client = self._redis.Redis.from_url(self._url, retry=retry, **self._options)
        return self._client

    async def client_here(self) -> Any:
        """The client of the event loop that runs."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            asynchronous = needed("redis.asyncio", "a cache in Redis", "redis")
            retry = asynchronous.retry.Retry(self._redis.backoff.NoBackoff(), 0)
            client = self._clients[loop] = asynchronous.Redis.from_url(self._url, retry=retry, **self._options)
            keeper = self._keepers[loop] = self._closing(client)
            await keeper.__anext__()
        return client

    async def _closing(self, client: Any) -> AsyncGenerator[None, None]:
        """`asyncio.run` ends every async generator before it closes its loop: no other call comes at the right time."""
        clients = self._clients
        try:
            yield
        finally:
            clients.pop(asyncio.get_running_loop(), None)
            await client.aclose()

    def close(self) -> None:
        """Closes what threads use; what an event loop uses is closed with it."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


@dataclass(frozen=True, slots=True)
class Command:
    """One command; gives its answer."""

    connection: Connection
    words: tuple[bytes | int | str, ...]

    def now(self) -> Any:
        """Sends it in this thread."""
        return self.connection.client().execute_command(*self.words)

    async def later(self) -> Any:
        """Sends it in this task."""
        client = await self.connection.client_here()
        return await client.execute_command(*self.words)


def from_settings(settings: CacheSettings) -> Connection:
    """The connection that the settings ask for."""
    more: dict[str, Any] = {}
    if settings.username:
        more["username"] = settings.username
    if settings.password:
        more["password"] = settings.password
    if settings.tls_ca_file:
        more["ssl_ca_certs"] = settings.tls_ca_file
    if settings.url:
        try:
            return Connection(settings.url, settings.timeout, **more)
        except ValueError:
            told = "an address such as redis://localhost:6379/0; going on with CACHE_HOST and CACHE_PORT"
            settings.report(f"CACHE_URL={_shown(settings.url)!r} is not accepted: {told}")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "rediss" if settings.tls else "redis"
    return Connection(f"{scheme}://{host}:{settings.port}/{settings.database}", settings.timeout, **more)


def _shown(url: str) -> str:
    """An address without what may be a password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{'…@' if '@' in rest else ''}{rest.rpartition('@')[2]}"
