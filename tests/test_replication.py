"""The lag of real replicas grows while they replay nothing and falls when they do; nobody sees the password."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import psycopg
import pymysql
import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfagent import start_replication_monitor
from perfagent.resilience.replicas import Replica, ReplicationError
from perfagent.resilience.replication import ReplicationMonitor
from perfagent.settings.resilience import ResilienceSettings
from tests.agent import agent_env
from tests.program import find_free_port
from tests.replicas import Pair, mariadb_pair, postgres_pair
from tests.servers import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.otlp import Receiver
    from tests.servers import MysqlServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with postgres_pair() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ResilienceSettings({}, "/nowhere")
    monkeypatch.setattr(ResilienceSettings, "current", classmethod(lambda _: table))


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}


def write(pair: Pair) -> None:
    with psycopg.connect(pair.primary, autocommit=True) as primary:
        primary.execute("CREATE TABLE IF NOT EXISTS things (at timestamptz)")
        primary.execute("INSERT INTO things VALUES (now())")


def on_replica(pair: Pair, statement: str) -> object:
    with psycopg.connect(pair.replica, autocommit=True) as replica:
        row = replica.execute(statement).fetchone()
    return row[0] if row else None


def test_a_replica_that_replays_nothing_falls_behind_and_catches_up(pair: Pair) -> None:
    write(pair)
    until(lambda: on_replica(pair, "SELECT to_regclass('things')"))
    monitor = start_replication_monitor(pair.replica, interval=0.1, port=0)
    try:
        until(lambda: monitor.lag == 0)  # idle, and not behind, however long the last transaction is ago
        on_replica(pair, "SELECT pg_wal_replay_pause()")
        until(lambda: on_replica(pair, "SELECT pg_get_wal_replay_pause_state()") == "paused")
        write(pair)
        until(lambda: (monitor.lag or 0) > 1)
        first = scraped(monitor.port)["replication_lag_seconds"]
        time.sleep(0.5)
        until(lambda: scraped(monitor.port)["replication_lag_seconds"] > first + 0.4)
        on_replica(pair, "SELECT pg_wal_replay_resume()")
        until(lambda: scraped(monitor.port)["replication_lag_seconds"] == 0)
    finally:
        on_replica(pair, "SELECT pg_wal_replay_resume()")
        monitor.stop()


def test_a_primary_is_behind_nobody_and_either_driver_will_do(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("psycopg", "psycopg2"):
        replica = Replica(pair.primary)
        assert replica._driver.__name__ == driver
        assert replica.lag() == 0
        replica.close()
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ImportError, match=r'needs psycopg or psycopg2: pip install "psycopg\[binary\]"'):
        Replica(pair.primary)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 2.5", 2.5),
        ("SELECT interval '90 seconds'", 90),
        ("SELECT -1", 0),
        ("SELECT NULL", "the answer is NULL"),
        ("SELECT 'soon'", "the query's first value is 'soon', no number of seconds"),
        ("SELECT 1 WHERE false", "the query has no row"),
        ("SELECT no_such_column", "no_such_column"),
    ],
)
def test_a_query_of_ones_own_tells_seconds_or_why_not(pair: Pair, query: str, value: float | str) -> None:
    replica = Replica(pair.replica, query)
    for _ in range(2):  # a failed query does not spoil the next
        if isinstance(value, str):
            with pytest.raises(ReplicationError, match=value):
                replica.lag()
        else:
            assert replica.lag() == value
    replica.close()


def test_a_server_that_goes_away_is_told_of_once_and_the_old_lag_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with postgres_pair() as pair:
        monitor = start_replication_monitor(pair.replica, interval=0.05, port=0)
        until(lambda: monitor.lag is not None)
        assert scraped(monitor.port)["replication_check_failures_total"] == 0
    until(lambda: monitor.problem and monitor._failed > 3)
    found = scraped(monitor.port)
    assert found["replication_check_failures_total"] > 3
    assert "replication_lag_seconds" not in found
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{monitor.port}/health", timeout=60)
    assert refused.value.code == 503
    monitor.stop()
    told = [record.getMessage() for record in caplog.records if record.name == "perfagent.replication"]
    assert len(told) == 1
    assert PASSWORD not in caplog.text


def test_it_connects_again_when_the_server_ends_the_connection(pair: Pair) -> None:
    monitor = start_replication_monitor(pair.replica, interval=0.05, serve=False)
    until(lambda: monitor.lag is not None)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perfagent'"
    with psycopg.connect(pair.replica, autocommit=True) as other:
        assert other.execute(kill).fetchone() == (True,)
    until(lambda: monitor._failed > 0)
    until(lambda: monitor.lag is not None)
    monitor.stop()
    assert monitor.port == 0


def test_a_mariadb_replica_that_stops_applying_falls_behind_and_catches_up() -> None:
    with mariadb_pair() as pair:
        replica = Replica(pair.replica)

        def lag() -> float:
            """-1 while its threads have just been started: they do not tell yet."""
            try:
                return replica.lag()
            except ReplicationError:
                return -1

        where = pair.replica.partition("@")[2].partition("/")[0].rpartition(":")[2]
        until(lambda: lag() == 0)
        with _mysql_at(pair.replica) as connection, connection.cursor() as cursor:
            cursor.execute("STOP SLAVE SQL_THREAD")
            with pytest.raises(ReplicationError, match="the answer is NULL"):
                replica.lag()
            cursor.execute("STOP SLAVE")
            cursor.execute("CHANGE MASTER TO MASTER_DELAY=600")
            cursor.execute("START SLAVE")
            with _mysql_at(pair.primary) as primary, primary.cursor() as writing:
                writing.execute("CREATE TABLE shop.things (id int)")
            until(lambda: lag() >= 2)
            cursor.execute("STOP SLAVE")
            cursor.execute("CHANGE MASTER TO MASTER_DELAY=0")
            cursor.execute("START SLAVE")
            until(lambda: lag() == 0)
        replica.close()
        primary_asked = Replica(pair.primary)
        with pytest.raises(ReplicationError, match="it is no replica"):
            primary_asked.lag()
        primary_asked.close()
        assert where in replica.name


def _mysql_at(url: str) -> pymysql.Connection:
    user, _, rest = url.partition("://")[2].partition(":")
    password, _, place = rest.partition("@")
    port = int(place.partition("/")[0].partition(":")[2])
    return pymysql.connect(host="127.0.0.1", port=port, user=user, password=password, autocommit=True)


def test_a_mysql_of_ones_own_query(mysql_server: MysqlServer) -> None:
    replica = Replica(mysql_server.url, "SELECT 1.5")
    assert replica.lag() == 1.5
    replica.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "  ",
        "replica",
        "oracle://u:opensesame@there/x",
        "http://u:opensesame@there",
        "postgresql://u:opensesame@there:port/x",
    ],
)
def test_an_address_that_is_none_is_an_error_that_does_not_show_it(dsn: str) -> None:
    with pytest.raises(ValueError, match=r"REPLICATION_DSN is .*e.g. postgresql://monitor@replica:5432/shop") as found:
        start_replication_monitor(dsn, port=0)
    assert "opensesame" not in str(found.value)


@pytest.mark.parametrize("told", [{"interval": 0}, {"interval": "x"}, {"port": -1}, {"port": 70_000}])
def test_a_wrong_number_is_an_error(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not accepted: .*e\.g\."):
        start_replication_monitor("postgresql://there/x", **told)  # type: ignore[arg-type]


def test_no_text_of_a_failure_shows_the_password() -> None:
    port = find_free_port()
    for dsn in (
        f"postgresql://tester:open%20sesame@127.0.0.1:{port}/shop",
        f"host=127.0.0.1 port={port} user=tester password=opensesame dbname=shop",
        "postgresql://tester:opensesame@127.0.0.1/shop?nonsense=1",
        "host=127.0.0.1 nonsense=1 password='opensesame'",
        f"mysql://tester:opensesame@127.0.0.1:{port}/shop",
    ):
        replica = Replica(dsn)
        assert "sesame" not in replica.name
        with pytest.raises(ReplicationError) as found:
            replica.lag()
        assert str(found.value)
        assert "sesame" not in str(found.value)
        assert found.value.__cause__ is None
        assert found.value.__suppress_context__


def test_a_port_that_is_taken_is_an_error_where_the_caller_gave_it(
    pair: Pair, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start_replication_monitor(pair.replica, port=0)
    with pytest.raises(OSError, match="in use"):
        start_replication_monitor(pair.replica, port=first.port)
    table = ResilienceSettings(
        {"REPLICATION_METRICS_PORT": str(first.port), "REPLICATION_DSN": pair.replica}, "/nowhere"
    )
    monkeypatch.setattr(ResilienceSettings, "current", classmethod(lambda _: table))
    second = start_replication_monitor()
    assert second.port == 0
    assert "cannot be had on 127.0.0.1 (Address already in use); going on without it" in capsys.readouterr().err
    first.stop()
    second.stop()


def test_a_forked_child_has_neither_port_nor_connection(pair: Pair) -> None:
    monitor = start_replication_monitor(pair.replica, interval=0.05, port=0)
    until(lambda: monitor.lag is not None)
    pid = os.fork()
    if not pid:
        os._exit(int(monitor.port != 0 or monitor.lag is not None or monitor.replica._connection is not None))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    looks = monitor._looked
    until(lambda: monitor._looked > looks)
    assert monitor.problem == ""
    assert "replication_lag_seconds" in scraped(monitor.port)
    monitor.stop()


def test_the_agent_exports_it_and_its_queries_are_no_spans(
    pair: Pair, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    code = """
import time, psycopg
from perfagent import start_replication_monitor
monitor = start_replication_monitor(interval=0.1)
while monitor.lag is None:
    time.sleep(0.01)
time.sleep(0.5)
with psycopg.connect(monitor.replica._dsn) as own:
    own.execute("SELECT 'the program'")
time.sleep(1.5)
"""
    env = agent_env(receiver, REPLICATION_DSN=pair.replica, REPLICATION_METRICS_PORT="0")
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=env, cwd=tmp_path)
    program.check()
    point = receiver.wait_for_metric("replication_lag_seconds")
    assert point.value == 0
    assert point.attributes == {"replica": Replica(pair.replica).name}
    (span,) = receiver.wait_for_spans(1)
    assert span.attributes["db.query.text"] == "SELECT ?"
    assert PASSWORD not in program.stdout + program.stderr


def test_the_lag_reaches_the_hub(pair: Pair, hub: ServedHub, run_program: RunProgram) -> None:
    code = """
from perfagent import start_replication_monitor
start_replication_monitor(interval=0.2, query="SELECT 75")
import time
time.sleep(100)
"""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url, "OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_SERVICE_NAME": "shop",
        "REPLICATION_DSN": pair.replica, "REPLICATION_METRICS_PORT": "0",
    }  # fmt: skip
    program = run_program("perfagent", "run", sys.executable, "-c", code, env=env)
    program.wait_until(
        lambda: any(one["name"] == "replication_lag_seconds" for one in hub.get("metrics")["items"]),
        "not in the hub",
        60,
    )


def test_the_command_shows_it_once(pair: Pair, run_program: RunProgram) -> None:
    name = Replica(pair.replica).name
    env = {"REPLICATION_DSN": pair.replica}
    assert run_program("perfagent", "replication-lag", "--once", env=env).check() == f"{name}: 0.000 s behind\n"
    late = ("--query", "SELECT 31.25", "--once")
    shown = run_program("perfagent", "replication-lag", *late, "--output", "json", env=env).check()
    assert json.loads(shown) == {"replica": name, "lag_seconds": 31.25, "problem": None}
    assert run_program("perfagent", "replication-lag", *late, "--fail-above", "30", env=env).wait() == 1
    assert run_program("perfagent", "replication-lag", *late, "--fail-above", "32", env=env).wait() == 0
    gone = run_program(
        "perfagent", "replication-lag", "--once", "--dsn", f"mysql://u:{PASSWORD}@127.0.0.1:{find_free_port()}/x"
    )
    assert gone.wait() == 3
    assert gone.stderr.count("does not tell how far it is behind: ") == 1
    assert PASSWORD not in gone.stderr
    missing = run_program("perfagent", "replication-lag", "--once")
    assert missing.wait() == 2
    assert missing.stderr.startswith("perfagent: REPLICATION_DSN is missing")
    assert run_program("perfagent", "replication-lag", "--fail-above", "3").wait() == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run_program("perfagent", "replication-lag", "--port", str(taken.getsockname()[1]), env=env)
        assert refused.wait() == 2
    assert "cannot be had (Address already in use); --port gives another" in refused.stderr


def test_the_command_serves_it(pair: Pair, run_program: RunProgram, free_port: int) -> None:
    command = ("perfagent", "replication-lag", "--interval", "0.2", "--port", str(free_port))
    program = run_program(*command, env={"REPLICATION_DSN": pair.replica})
    program.wait_for_port(free_port)
    program.wait_until(lambda: scraped(free_port).get("replication_lag_seconds") == 0, "no lag")
    program.wait_for_output("0.000 s behind")
    assert f"/metrics is served on port {free_port}\n" in program.stdout
    assert PASSWORD not in program.stdout + program.stderr


def test_config_does_not_show_the_password(run_program: RunProgram) -> None:
    for dsn in (f"postgresql://u:{PASSWORD}@there/x", f"host=there password={PASSWORD}"):
        shown = run_program("perfagent", "config", "replication_dsn", env={"REPLICATION_DSN": dsn}).check()
        assert "REPLICATION_DSN = (set, not shown)" in shown
        assert PASSWORD not in shown


def test_a_monitor_looks_when_it_is_asked(pair: Pair) -> None:
    monitor = ReplicationMonitor(Replica(pair.replica, "SELECT 3"), 60)
    assert monitor.check() == monitor.fresh() == 3
    monitor.stop()
