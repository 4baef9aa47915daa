"""SQLAlchemy: its statements once, whoever speaks for the driver, and its pools as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.agent import agent_env
from tests.queries import ROOT, Run
from tests.servers import need_mysqlclient

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram, RunText
    from tests.otlp import Point, Receiver
    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

APP = "sqlalchemy_calls.py"


@pytest.fixture(scope="module")
def urls(
    postgres_url: str, mysql_server: MysqlServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], str]:
    """The address of a database by driver, sync or async."""
    need_mysqlclient()
    server = postgres_url.partition("://")[2]
    folder = tmp_path_factory.mktemp("sqlite")
    return {
        ("sync", "sqlite3"): f"sqlite:///{folder}/shop.db",
        ("sync", "psycopg"): f"postgresql+psycopg://{server}",
        ("sync", "psycopg2"): f"postgresql+psycopg2://{server}",
        ("sync", "pymysql"): mysql_server.url.replace("mysql:", "mysql+pymysql:"),
        ("sync", "mysqlclient"): mysql_server.url.replace("mysql:", "mysql+mysqldb:"),
        ("asynchronous", "sqlite3"): f"sqlite+aiosqlite:///{folder}/async.db",
        ("asynchronous", "psycopg"): f"postgresql+psycopg://{server}",
        ("asynchronous", "asyncpg"): f"postgresql+asyncpg://{server}",
    }


SYNC = [("sync", driver) for driver in ("sqlite3", "psycopg", "psycopg2", "pymysql", "mysqlclient")]
UNMEASURED = ("sqlite3", "psycopg2", "pymysql", "mysqlclient")
ASYNC = [("asynchronous", driver) for driver in ("sqlite3", "psycopg", "asyncpg")]


@pytest.fixture(scope="module")
def runs(urls: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Run]:
    return {
        (part, driver): Run(APP, part, tmp_path_factory.mktemp("run"), URL=url) for (part, driver), url in urls.items()
    }


@pytest.fixture(scope="module")
def unmeasured(urls: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same programs with the driver's own instrument switched off."""
    found = {}
    for driver in UNMEASURED:
        env = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": driver, "URL": urls["sync", driver]}
        found[driver] = Run(APP, "sync", tmp_path_factory.mktemp("run"), **env)
    return found


@pytest.mark.parametrize("which", SYNC + ASYNC)
def test_the_program_sees_what_it_sees_without_the_agent(
    runs: dict[tuple[str, str], Run], which: tuple[str, str]
) -> None:
    assert runs[which].stdout == runs[which].bare()
    assert b"secret" not in runs[which].exported()


@pytest.mark.parametrize("which", SYNC)
def test_a_measured_driver_speaks_for_its_engine(runs: dict[tuple[str, str], Run], which: tuple[str, str]) -> None:
    run = runs[which]
    assert {span.scope.name for span in run.queries} == {f"perfagent.{which[1]}"}
    assert operations(run, "session") == ["INSERT", "SELECT"]
    assert operations(run, "core") == ["SELECT", "INSERT", "SELECT", "SELECT"]
    insert = run.below("core")[1]
    assert insert.attributes["db.operation.batch.size"] == 3
    assert insert.attributes["db.collection.name"] == "people"
    assert [span.status.code for span in run.below("failures")] == ["ERROR", "ERROR"]


@pytest.mark.parametrize("which", ASYNC)
def test_an_async_engine_is_measured_by_its_driver_below_the_span_that_awaits(
    runs: dict[tuple[str, str], Run], which: tuple[str, str]
) -> None:
    run = runs[which]
    assert {span.scope.name for span in run.queries} == {f"perfagent.{which[1]}"}
    assert operations(run, "session") == ["INSERT", "SELECT", "SELECT"]
    (failed,) = run.below("failures")
    assert failed.status.code == "ERROR"
    assert failed.attributes["db.collection.name"] == "nowhere"


@pytest.mark.parametrize("driver", UNMEASURED)
def test_an_engine_whose_driver_is_not_measured_is_measured_by_its_events(
    runs: dict[tuple[str, str], Run], unmeasured: dict[str, Run], driver: str
) -> None:
    own, by_driver = unmeasured[driver], runs["sync", driver]
    assert {span.scope.name for span in own.queries} == {"perfagent.sqlalchemy"}
    assert own.stdout == by_driver.stdout
    for part in ("session", "core", "failures"):
        assert own.texts(part) == by_driver.texts(part)
        for mine, theirs in zip(own.below(part), by_driver.below(part), strict=True):
            assert mine.status == theirs.status
            known = {**theirs.attributes}
            known.pop("db.response.returned_rows", None)  # an engine's events do not tell it
            if driver == "sqlite3":
                known.pop("db.response.status_code", None)
                assert mine.attributes.pop("db.namespace").endswith(known.pop("db.namespace"))
            assert {**mine.attributes, "db.response.status_code": None} == {**known, "db.response.status_code": None}
    assert b"secret" not in own.exported()


def test_pools_are_told_by_name_state_and_limits(
    receiver: Receiver, run_program: RunProgram, urls: dict[tuple[str, str], str], postgres_url: str
) -> None:
    url = urls["sync", "psycopg2"]
    env = agent_env(receiver, URL=url, WAIT="30", PYTHONPATH=str(ROOT), OTEL_METRIC_EXPORT_INTERVAL="100")
    program = run_program("perfagent", "run", "python", str(ROOT / "tests" / "apps" / APP), "pools", env=env)
    program.wait_for_output("ready")
    receiver.clear()
    address = urlsplit(postgres_url)
    name = f"{address.hostname}:{address.port}/shop"
    count = receiver.wait_for_metric("db.client.connection.count", where=lambda point: pool(point) == name)
    assert (count.type, count.unit) == ("sum", "{connection}")
    receiver.wait_for_metric("db.client.connection.idle.max")
    states = {
        (pool(point), point.attributes["db.client.connection.state"]): point.value
        for point in receiver.metric("db.client.connection.count")
    }
    assert states == {(name, "used"): 1, (name, "idle"): 2, ("named", "used"): 0, ("named", "idle"): 1}
    limits = {pool(point): point.value for point in receiver.metric("db.client.connection.max")}
    assert limits == {name: 7}
    kept = {pool(point): point.value for point in receiver.metric("db.client.connection.idle.max")}
    assert kept == {name: 3, "named": 5}


def test_who_waits_for_a_connection_is_told_and_for_how_long(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/waits.db"
    env = agent_env(receiver, URL=url, WAIT="1", PYTHONPATH=str(ROOT), OTEL_METRIC_EXPORT_INTERVAL="100")
    program = run_program("perfagent", "run", "python", str(ROOT / "tests" / "apps" / APP), "waits", env=env)
    receiver.wait_for_metric(
        "db.client.connection.pending_requests", where=lambda point: (pool(point), point.value) == ("patient", 1)
    )
    assert program.check() == "in vain\n"
    last = {(point.name, pool(point)): point for point in receiver.points if point.name.startswith("db.client.conn")}
    assert last["db.client.connection.timeouts", "small"].value == 1
    assert last["db.client.connection.pending_requests", "patient"].value == 0
    short, long = (last["db.client.connection.wait_time", name] for name in ("small", "patient"))
    assert (short.type, short.unit, short.count, long.count) == ("histogram", "s", 2, 2)
    assert short.sum >= 0.5
    assert long.sum >= 0.5


def pool(point: Point) -> str:
    return str(point.attributes["db.client.connection.pool.name"])


def operations(run: Run, parent: str) -> list[object]:
    return [span.attributes["db.operation.name"] for span in run.below(parent)]


def test_an_engine_takes_all_the_options_that_it_takes_without_us(run_text: RunText) -> None:
    """SQLAlchemy reads in the code of `Engine.__init__` which options are an engine's."""
    run_text(
        """
        import sqlalchemy

        engine = sqlalchemy.create_engine(
            "sqlite://", echo=False, execution_options={"a": 1}, logging_name="x", hide_parameters=True
        )
        assert (engine.get_execution_options()["a"], engine.logging_name, engine.hide_parameters) == (1, "x", True)
        """
    )


def test_an_engine_whose_pool_is_a_tests_mock_is_made_as_without_us(run_text: RunText) -> None:
    run_text(
        """
        from unittest.mock import Mock

        from sqlalchemy.engine import Engine

        pool = Mock()
        assert Engine(pool, Mock(), Mock()).pool is pool
        """
    )
