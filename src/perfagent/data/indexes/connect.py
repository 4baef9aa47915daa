"""A connection for reading: the driver that is installed, a transaction that cannot write, and limits of time."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 10  # seconds that one statement of ours may take
LOCK_TIMEOUT = 2  # seconds that it may wait for a lock
INSTALL = 'pip install "perfagent[indexes]"'
DRIVERS = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2")),
    "mysql": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
}
PACKAGES = {"psycopg": '"psycopg[binary]"', "MySQLdb": "mysqlclient"}  # where pip has another name than the module
ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
EXAMPLES = "postgresql://user@host/database, mysql://user@host/database or sqlite:///file.db"


class UnreachableError(RuntimeError):
    """Why the database does not answer; one line without a password."""


def parsed(url: str) -> Any:
    """The URL as SQLAlchemy has it, with a driver that is installed.

    Raises:
        ValueError: it is no URL of a database that there is advice for.
        ImportError: no driver or no SQLAlchemy is installed.
    """
    require()
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        made = make_url(url)
        kind = made.get_backend_name()
    except (ArgumentError, ValueError, AttributeError):
        raise ValueError(f"the database URL cannot be read; it should be such as {EXAMPLES}") from None
    kind = ALIASES.get(kind, kind)
    if kind == "sqlite":
        return made.set(drivername="sqlite")
    if kind not in DRIVERS:
        raise ValueError(f"no index advice for {kind!r}; the URL should be such as {EXAMPLES}")
    asked = made.drivername.partition("+")[2]
    for module, driver in sorted(DRIVERS[kind], key=lambda one: one[1] != asked):  # the one that is asked for first
        if find_spec(module) is not None:
            return made.set(drivername=f"{kind}+{driver}")
    packages = " or ".join(PACKAGES.get(module, module) for module, _ in DRIVERS[kind])
    raise ImportError(f"{kind} needs a driver: pip install {packages}")


def require() -> None:
    """Raises ImportError where the packages of the extra are missing."""
    missing = [name for name in ("sqlalchemy", "sqlglot") if find_spec(name) is None]
    if missing:
        raise ImportError(f"index advice needs {' and '.join(missing)}: {INSTALL}")


def shown(url: Any) -> str:
    """The address without user's password and without options, which may have one."""
    if url.drivername == "sqlite":
        return f"sqlite:///{url.database}"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or 'localhost'}{port}/{url.database or ''}"


def engine(url: Any, **options: Any) -> Any:
    """An engine without a pool, whose statements go to the driver as they are."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    arguments: dict[str, Any] = {"connect_timeout": 10}
    if url.drivername == "postgresql+psycopg":
        arguments["prepare_threshold"] = None
    return create_engine(
        url, poolclass=NullPool, connect_args=arguments, execution_options={"no_parameters": True}, **options
    )


@contextlib.contextmanager
def reading(url: Any) -> Iterator[Any]:
    """A connection in a transaction that can only read, rolled back at the end; raises UnreachableError."""
    made = engine(url)
    with answering():
        connection = made.connect()
    try:
        with answering():
            if made.dialect.name == "postgresql":
                _begin_postgres(connection)
            else:
                _begin_mysql(connection)
        yield connection
    finally:
        connection.close()
        made.dispose()


def _begin_postgres(connection: Any) -> None:
    for setting in (
        "TRANSACTION READ ONLY",
        f"LOCAL statement_timeout = '{TIMEOUT}s'",
        f"LOCAL lock_timeout = '{LOCK_TIMEOUT}s'",
        "LOCAL plan_cache_mode = force_generic_plan",
        "LOCAL standard_conforming_strings = on",
    ):
        connection.exec_driver_sql(f"SET {setting}")


def _begin_mysql(connection: Any) -> None:
    maria = "mariadb" in str(connection.exec_driver_sql("SELECT VERSION()").scalar()).lower()
    limit = f"max_statement_time = {TIMEOUT}" if maria else f"max_execution_time = {TIMEOUT * 1000}"
    connection.exec_driver_sql(f"SET SESSION {limit}")
    connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT}")
    connection.exec_driver_sql("ROLLBACK")
    connection.exec_driver_sql("START TRANSACTION READ ONLY")


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turns a failure of the driver into UnreachableError."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise UnreachableError(reason(error)) from None


def reason(error: Any) -> str:
    """The first line of what the database says."""
    own = getattr(error, "orig", None) or error
    text = own.args[1] if len(own.args) > 1 and isinstance(own.args[0], int) else str(own)
    return (str(text).strip() or type(own).__name__).splitlines()[0][:300]
