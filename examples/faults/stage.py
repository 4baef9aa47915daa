"""One market with all that belongs to it: database, cache, warehouse, bank, customers, and a hub that watches."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import redis
from tests.program import find_free_port
from tests.servers import running_postgres, running_redis

from examples.child import EXAMPLES, Child, DemoError
from examples.faults.traffic import ROUTES, Traffic
from perfagent.cli.client import Client
from perfagent.hub import spawn
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPLATE = "filled"
ARRIVING = 90  # seconds
OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
"""How often the agents send: a look at a fault of a minute needs more than a reading a minute."""

DECLARED = """[[source]]
name = "database"
url = "{database}"
interval = 2
priority = "critical"  # the machine may be busy with the tests: this is asked for all that
"""


@contextlib.contextmanager
def database_server() -> Iterator[str]:
    """The URL of a PostgreSQL with a filled database that stages take copies of."""
    with running_postgres("max_connections=300", "shared_buffers=512MB", "autovacuum=off") as (url, _):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        tables = (EXAMPLES / "market" / "tables.sql").read_text()
        with psycopg.connect(_named(url, TEMPLATE), autocommit=True) as connection:
            connection.execute(tables)  # type: ignore[call-overload]
        yield url


class Stage:
    """Runs between `with` and its end.

    Args:
        name: of the market's database.
        server: the URL of the PostgreSQL.
        directory: for its files, an empty one.
        rates: requests a second of each route.
        seed: of the customers.
        hub: settings of the hub.
    """

    def __init__(
        self,
        name: str,
        server: str,
        directory: Path,
        *,
        rates: Mapping[str, float] = ROUTES,
        seed: int = 1,
        hub: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.directory = name, directory
        self.database = _named(server, name)
        self._server, self._rates, self._seed = server, rates, seed
        self._hub_settings = dict(hub or {})
        self._stack = contextlib.ExitStack()
        self._port = find_free_port()
        self.client: Client
        self.traffic: Traffic

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._database())
            url, _ = stack.enter_context(running_redis())
            self._cache = stack.enter_context(redis.Redis.from_url(url))
            self._settings = stack.enter_context(self._hub())
            self.client = Client.own(self._settings, timeout=60)
            warehouse = stack.enter_context(self._program("warehouse"))
            bank = stack.enter_context(self._program("bank", agent=False))
            self._environment = {
                "MARKET_DATABASE": self.database.replace("postgresql:", "postgresql+psycopg:"),
                "MARKET_REDIS": url,
                "MARKET_WAREHOUSE": warehouse.url,
                "MARKET_BANK": bank.url,
            }
            self._market = self._start("1.0.0")
            stack.callback(lambda: self._market.stop())
            for program in (warehouse, bank, self._market):
                program.wait_for_port()
            self.traffic = stack.enter_context(Traffic(self.url, self._rates, self._seed))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where the market is."""
        return f"http://127.0.0.1:{self._port}"

    def wait_for_requests(self) -> None:
        """Returns when the hub has seen requests of the market; raises DemoError with what the hub says."""
        deadline = time.monotonic() + ARRIVING
        while time.monotonic() < deadline:
            if self.client.get("overview")["totals"]["requests"]:
                return
            time.sleep(0.5)
        said = (self.directory / "hub" / "hub.log").read_text()
        raise DemoError(f"no request of the market arrived within {ARRIVING} s; the hub said:\n{said[-2000:]}")

    def causes(self) -> list[dict[str, Any]]:
        """What the hub says is behind what is wrong now, the likeliest first."""
        found: list[dict[str, Any]] = self.client.get("causes")["items"]
        return found

    def flag(self, program: str, **flags: Any) -> None:
        """Sets the flags of a program; those not named are as they were at the start."""
        path = self.directory / f"{program}.json"
        path.with_suffix(".new").write_text(json.dumps(flags))
        path.with_suffix(".new").replace(path)

    def sql(self, statement: str) -> None:
        """Changes the database, as its owner."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def release(self, version: str, **flags: Any) -> None:
        """Takes the market down and starts another version of it."""
        self._market.stop()
        self.flag("market", **flags)
        self._market = self._start(version)
        self._market.wait_for_port()

    def close_cache(self) -> None:
        """Redis listens no more, and who was connected is cut off; we keep our own connection."""
        self._cache_port = self._cache.config_get("port")["port"]
        self._cache.config_set("port", 0)
        self._cache.client_kill_filter(_type="normal", skipme=True)

    def open_cache(self) -> None:
        """Redis listens again."""
        self._cache.config_set("port", self._cache_port)

    @contextlib.contextmanager
    def _database(self) -> Iterator[None]:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.name} TEMPLATE {TEMPLATE} STRATEGY file_copy")  # type: ignore[call-overload]
            try:
                yield
            finally:
                connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)")  # type: ignore[call-overload]

    @contextlib.contextmanager
    def _hub(self) -> Iterator[Settings]:
        """The settings of a hub in a folder of its own and on a free port, which is stopped at the end."""
        folder = self.directory / "hub"
        folder.mkdir()
        (folder / "perfagent.toml").write_text(DECLARED.format(database=self.database))
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PERFAGENT_", "OTEL_"))}
        environ |= {"PERFAGENT_HUB_DIR": str(folder), "PERFAGENT_HUB_PORT": "0", "PERFAGENT_HUB_OPEN": "never"}
        environ |= self._hub_settings
        settings = Settings(environ, str(folder))
        spawn.start(settings, by_itself=False)
        try:
            yield settings
        finally:
            stop = [sys.executable, "-m", "perfagent", "hub", "--stop"]
            subprocess.run(stop, env=environ, capture_output=True, check=False)

    def _start(self, version: str) -> Child:
        resource = {"OTEL_RESOURCE_ATTRIBUTES": f"service.version={version}"}
        return self._program("market", "market.app:app", port=self._port, **self._environment, **resource)

    def _program(
        self, name: str, module: str = "", *, agent: bool = True, port: int | None = None, **more: str
    ) -> Child:
        """A program of the market; one without the agent is somebody else's."""
        environ = {**self._settings.environ, **OFTEN, "PERFAGENT_QUIET": "true", "OTEL_SERVICE_NAME": name}
        environ |= {"PERFAGENT_HUB": "auto", "MARKET_FLAGS": str(self.directory / f"{name}.json"), **more}
        server = f"uvicorn {module or f'market.{name}:app'} --log-level warning"
        return Child(f"perfagent run {server}" if agent else server, self.directory, environ, port)


def _named(url: str, database: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"
