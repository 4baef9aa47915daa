"""Connections without a time-out, looked at as they are made: what is asked of them may wait for ever."""

from __future__ import annotations

import os
from sys import _getframe

from perfagent.instruments.habits.telling import called_by
from perfagent.instruments.habits.timeouts import _no_default, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument

CONNECTS = "connects without a time-out"
READS = "reads answers without a time-out"
TWO_MINUTES = 130.0  # seconds after which Linux gives up to connect by itself


def of_socket(habit: Instrument, module: ModuleType) -> None:
    """`create_connection`, where the program's own code calls it; libraries set the time-out in their own ways."""
    default = module._GLOBAL_DEFAULT_TIMEOUT

    def looking(create: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(address: Any, *args: Any, **options: Any) -> Any:
            timeout = args[0] if args else options.get("timeout", default)
            if timeout is None or (timeout is default and _no_default()):
                frame = _getframe(1)
                from perfagent.runtime import callers

                if callers.whose(frame.f_code.co_filename) != callers.NOT_OWN:
                    missing("socket", frame, CONNECTS)
            return create(address, *args, **options)

        return wrapper

    habit.replace(module, "create_connection", looking)


def of_http_client(habit: Instrument, module: ModuleType) -> None:
    """`HTTPConnection.connect`; what urllib asks is told of as its own."""
    import socket

    default = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

    def looking(connect: Callable[..., None]) -> Callable[..., None]:
        def wrapper(connection: Any) -> None:
            timeout = getattr(connection, "timeout", 0)
            if timeout is None or (timeout is default and _no_default()):
                frame = _getframe(1)
                if not called_by(frame, "urllib.request", "requests", "urllib3", "botocore"):
                    missing("http.client", frame)
            connect(connection)

        return wrapper

    habit.replace(module.HTTPConnection, "connect", looking)


def of_smtplib(habit: Instrument, module: ModuleType) -> None:
    """Where a mail server is turned to."""
    import socket

    default = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

    def looking(get: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(client: Any, host: Any, port: Any, timeout: Any) -> Any:
            if timeout is None or (timeout is default and _no_default()):
                missing("smtplib", _getframe(1))
            return get(client, host, port, timeout)

        return wrapper

    habit.replace(module.SMTP, "_get_socket", looking)


def of_redis(habit: Instrument, module: ModuleType) -> None:
    """A connection's `connect`, sync or asyncio."""
    owner = getattr(module.connection, "AbstractConnection", module.connection.Connection)

    def looking(connect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(connection: Any, *args: Any, **options: Any) -> Any:
            if getattr(connection, "socket_timeout", 0) is None:
                missing("redis", _getframe(1), READS)
            return connect(connection, *args, **options)

        return wrapper

    def looking_async(connect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(connection: Any, *args: Any, **options: Any) -> Any:
            if getattr(connection, "socket_timeout", 0) is None:
                missing("redis", _getframe(1), READS)
            return await connect(connection, *args, **options)

        return wrapper

    habit.replace(owner, "connect", looking_async if module.__name__ == "redis.asyncio" else looking)


def of_psycopg2(habit: Instrument, module: ModuleType) -> None:
    """`connect`; psycopg 3 has a time-out of its own."""

    def looking(connect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(dsn: Any, *args: Any, **options: Any) -> Any:
            if "connect_timeout" not in str(dsn) and not os.environ.get("PGCONNECT_TIMEOUT"):
                missing("psycopg2", _getframe(1), CONNECTS, TWO_MINUTES)
            return connect(dsn, *args, **options)

        return wrapper

    habit.replace(module, "_connect", looking)


def of_pymysql(habit: Instrument, module: ModuleType) -> None:
    """`Connection.connect`."""

    def looking(connect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(connection: Any, *args: Any, **options: Any) -> Any:
            if getattr(connection, "_read_timeout", 0) is None:
                missing("pymysql", _getframe(1), READS)
            return connect(connection, *args, **options)

        return wrapper

    habit.replace(module.connections.Connection, "connect", looking)
