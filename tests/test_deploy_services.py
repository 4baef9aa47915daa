"""What docker-compose.yml starts, started: its commands, variables and health checks with the real programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy import PROFILES, ROOT, env_file, read, tool
from tests.program import Program, find_free_port
from tests.servers import find
from tests.test_deploy_compose import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return env_file(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module")
def main(env: Path) -> dict[str, dict[str, Any]]:
    return read("compose", FILES["alone"], env, *PROFILES)["services"]


class Contained:
    """A service of the Compose file as a process: its command and environment, with its paths and ports mapped.

    Args:
        service: as Compose reads it.
        directory: takes its volumes.
        ports: of the container, and what they are here.
        hosts: other texts, such as names of hosts.
    """

    def __init__(
        self, service: dict[str, Any], directory: Path, ports: dict[str, str], hosts: dict[str, str] | None = None
    ) -> None:
        self.service, self.directory = service, directory
        self._changes = {f":{port}": f":{here}" for port, here in ports.items()}
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                self._changes[mount["target"]] = mount["source"]
            else:
                (directory / "volumes" / mount["source"]).mkdir(parents=True)
                self._changes[mount["target"]] = str(directory / "volumes" / mount["source"])
        self._changes |= hosts or {}

    def here(self, text: str) -> str:
        """A text of the container as it is on this machine."""
        names = sorted(self._changes, key=len, reverse=True)
        found = "|".join((r"(?<![\w-])" if name.startswith("/") else "") + re.escape(name) for name in names)
        return re.sub(rf"(?:{found})(?![\w-])", lambda match: self._changes[match[0]], text) if names else text

    def start(self, *command: str, **env: str) -> Program:
        """Runs the image's program, given first, with the words and the environment of Compose."""
        environ = {name: self.here(value) for name, value in self.service.get("environment", {}).items()}
        words = [self.here(word) for word in self.service["command"]]
        return Program((*command, *words), self.directory, {**environ, **env})

    def is_healthy(self, **programs: str) -> bool:
        """Whether the health check of Compose succeeds; `wget` is done by us, for the busybox of images has its own."""
        kind, *words = self.service["healthcheck"]["test"]
        words = [self.here(word) for word in words]
        if words[0] == "wget":
            assert words[1:4] == ["-q", "-O", "/dev/null"]
            return answers(words[4])
        if kind == "CMD-SHELL":
            words = ["sh", "-c", *words]
        words[0] = programs.get(words[0], words[0])
        environ = {"PATH": os.environ["PATH"], **self.service.get("environment", {})}
        return subprocess.run(words, env=environ, capture_output=True, check=False, timeout=20).returncode == 0


def answers(url: str) -> bool:
    """Whether a page is there: what `wget -q -O /dev/null URL` tells by its exit."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return 200 <= answer.status < 300
    except OSError:
        return False


def test_prometheus_starts_as_compose_has_it_and_is_healthy(main: dict[str, Any], tmp_path: Path) -> None:
    port = str(find_free_port())
    contained = Contained(main["prometheus"], tmp_path, {"9090": port})
    program = contained.start(tool("prometheus"), f"--web.listen-address=127.0.0.1:{port}")
    promtool = tool("prometheus", "promtool")
    try:
        program.wait_until(lambda: contained.is_healthy(promtool=promtool), "never healthy")
        assert answers(f"http://127.0.0.1:{port}/-/ready")
        assert program.terminate() == 0
    finally:
        program.stop()
    assert not contained.is_healthy(promtool=promtool)


def test_alertmanager_starts_as_compose_has_it_and_is_healthy(main: dict[str, Any], tmp_path: Path) -> None:
    port = str(find_free_port())
    contained = Contained(main["alertmanager"], tmp_path, {"9093": port})
    program = contained.start(tool("alertmanager"), f"--web.listen-address=127.0.0.1:{port}")
    try:
        program.wait_until(contained.is_healthy, "never healthy")
        assert program.terminate() == 0
    finally:
        program.stop()


def test_alertmanager_tells_the_webhook_what_fires(main: dict[str, Any], tmp_path: Path) -> None:
    ports = {"9093": str(find_free_port()), "8080": str(find_free_port())}
    files = shutil.copytree(ROOT / "collector" / "alertmanager", tmp_path / "etc")
    text = (files / "alertmanager.yml").read_text()
    (files / "alertmanager.yml").write_text(text.replace("webhook:8080", f"127.0.0.1:{ports['8080']}"))
    for name in ("alertmanager", "webhook"):
        (tmp_path / name).mkdir()
    alertmanager = Contained(main["alertmanager"], tmp_path / "alertmanager", ports, {"/etc/alertmanager": str(files)})
    webhook = Contained(main["webhook"], tmp_path / "webhook", ports, {"8080": ports["8080"]})
    programs = [
        alertmanager.start(tool("alertmanager"), f"--web.listen-address=127.0.0.1:{ports['9093']}"),
        webhook.start(),
    ]
    try:
        programs[0].wait_until(alertmanager.is_healthy, "never healthy")
        programs[1].wait_until(webhook.is_healthy, "never healthy")
        url = f"http://127.0.0.1:{ports['9093']}/api/v2/alerts"
        labels = {"alertname": "SlowRequests", "service_name": "shop", "severity": "critical"}
        fires = [{"labels": labels, "annotations": {"summary": "shop is slow"}}]
        request = urllib.request.Request(url, json.dumps(fires).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5).close()
        programs[1].wait_for_output('firing critical SlowRequests "shop is slow"', timeout=30)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"http://127.0.0.1:{ports['8080']}/alerts", b"no JSON", timeout=5)
        assert programs[1].terminate() == 0
    finally:
        for program in programs:
            program.stop()


@pytest.mark.parametrize("name", ["jaeger", "collector", "gateway", "gateway-2"])
def test_jaeger_and_the_collectors_start_as_compose_has_them(main: dict[str, Any], tmp_path: Path, name: str) -> None:
    variables = (
        "OTLP_GRPC_PORT",
        "OTLP_HTTP_PORT",
        "TELEMETRY_PORT",
        "SPAN_METRICS_PORT",
        "QUERY_PORT",
        "QUERY_GRPC_PORT",
    )
    ports = {variable: str(find_free_port()) for variable in variables}
    health = str(find_free_port())
    contained = Contained(main[name], tmp_path, {"13133": health})
    stored = next(mount for mount in main[name]["volumes"] if mount["type"] == "volume")
    env = {**ports, "HEALTH_PORT": health, "LISTEN": "127.0.0.1", "STORAGE": contained.here(stored["target"])}
    if name.startswith("gateway"):
        env["LOGS"] = contained.here("/var/lib/otelcol/logs.jsonl")
    program = contained.start(tool("jaeger" if name == "jaeger" else "collector"), **env)
    try:
        if name == "jaeger":
            program.wait_until(contained.is_healthy, "never healthy")
        else:
            asked = " ".join(main["ready"]["healthcheck"]["test"])
            assert '"http://$host:13133/"' in asked
            program.wait_until(lambda: answers(f"http://127.0.0.1:{health}/"), "never healthy")
        assert stored["target"] in ("/var/lib/jaeger", "/var/lib/otelcol"), "what the file has as its default"
        # A Collector says that it is well an instant before it takes signals.
        assert program.terminate() in (0, -signal.SIGTERM)
    finally:
        program.stop()


@pytest.mark.parametrize("files", ["alone", "logs"])
def test_redis_starts_with_a_password_that_no_list_of_processes_shows(env: Path, tmp_path: Path, files: str) -> None:
    find("redis-server", "apt-get install redis-server")
    port = str(find_free_port())
    etc = shutil.copytree(ROOT / "deploy" / "redis", tmp_path / "etc")
    text = (etc / "redis.conf").read_text()
    memory, log = tmp_path / "password.conf", tmp_path / "redis.log"
    (tmp_path / "data").mkdir()
    for before, after in (("/tmp/password.conf", str(memory)), ("dir /data", f"dir {tmp_path / 'data'}\nport {port}")):
        assert before in text
        text = text.replace(before, after)
    (etc / "redis.conf").write_text(text)
    here = {"/tmp/password.conf": str(memory), "/etc/redis": str(etc), "/var/log/redis/redis.log": str(log)}
    service = {**read("compose", FILES[files], env)["services"]["redis"], "volumes": []}
    contained = Contained(service, tmp_path, {}, {**here, "redis-cli": f"redis-cli -p {port}"})
    program = contained.start("sh", "-c", 'umask 077; exec "$@"', "as the image does it")
    try:
        program.wait_until(contained.is_healthy, "never healthy")
        words = Path(f"/proc/{program.pid}/cmdline").read_bytes()
        assert b"redis-server" in words, "the shell has become Redis, so signals reach it"
        assert b"the-REDIS_PASSWORD" not in words
        assert memory.stat().st_mode & 0o777 == 0o600
        assert files == "alone" or log.stat().st_mode & 0o777 == 0o644, "Logstash is another user"
        import redis

        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=int(port)).ping()
        client = redis.Redis(port=int(port), password="the-REDIS_PASSWORD")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        assert program.terminate() == 0
    finally:
        program.stop()


@pytest.fixture(scope="module")
def postgres(main: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """PostgreSQL with the options of Compose, made by the scripts as the image runs them; gives connections."""
    import psycopg

    from tests.servers import directory_of, until_ready

    initdb, server = (find(name, "apt-get install postgresql") for name in ("initdb", "postgres"))
    psql = find("psql", "apt-get install postgresql")
    service = main["postgres"]
    port = find_free_port()
    with directory_of("postgres") as directory:
        data, password = directory / "data", directory / "password"
        password.write_text("the-POSTGRES_PASSWORD")
        password.chmod(0o644)
        arguments = service["environment"]["POSTGRES_INITDB_ARGS"].split()
        arguments += ["--auth-local=trust", "--no-sync", "--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
        directory.run(initdb, "-D", data, "-U", "shop", *arguments)
        options = service["command"][1:]
        with directory.serve(
            server, "-D", data, "-h", "127.0.0.1", "-p", port, "-k", directory.path, *options, stop="INT"
        ):
            local = {"host": str(directory.path), "port": port, "user": "shop"}
            with until_ready(lambda: psycopg.connect(**local, dbname="postgres", autocommit=True), directory) as first:
                first.execute("CREATE DATABASE shop")
            command = [psql, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-h", local["host"], "-p", str(port), "-U", "shop"]
            for script in sorted((ROOT / "deploy" / "postgres").glob("*.sql")):
                done = subprocess.run(
                    [*command, "-d", "shop", "-f", str(script)],
                    env={"PATH": os.environ["PATH"], **service["environment"]},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert (done.returncode, done.stderr) == (0, ""), done

            def connect(user: str) -> Any:
                password = {"shop": "the-POSTGRES_PASSWORD", "monitor": "the-MONITOR_PASSWORD"}[user]
                return psycopg.connect(
                    host="127.0.0.1", port=port, user=user, password=password, dbname="shop", autocommit=True
                )

            connect.port = port  # type: ignore[attr-defined]
            yield connect


def test_who_monitors_postgres_reads_statistics_and_no_data(postgres: Callable[..., Any]) -> None:
    import psycopg

    with postgres("shop") as owner, postgres("monitor") as monitor:
        owner.execute("CREATE TABLE IF NOT EXISTS secrets AS SELECT 'hidden' AS word")
        owner.execute("SELECT count(*) FROM secrets WHERE word = 'hidden'")
        seen = [row[0] for row in monitor.execute("SELECT query FROM pg_stat_statements").fetchall()]
        assert "SELECT count(*) FROM secrets WHERE word = $1" in seen  # another role's, its literals gone
        assert monitor.execute("SELECT count(*) FROM pg_stat_activity WHERE query <> ''").fetchone()[0] >= 1
        assert monitor.execute("SHOW track_io_timing").fetchone() == ("on",)
        for forbidden in (
            "SELECT * FROM secrets",
            "CREATE TABLE mine (a int)",
            "CREATE TEMPORARY TABLE mine (a int)",
            "SET default_transaction_read_only = off; CREATE TABLE mine (a int)",
            "SELECT pg_read_file('postgresql.conf')",
            "SELECT pg_terminate_backend(pg_backend_pid() + 1)",
        ):
            try:
                monitor.execute(forbidden)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
                continue
            assert "terminate" in forbidden, forbidden  # of no process: warns, and ends nothing
        roles = monitor.execute("SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'monitor'::regrole")
        assert roles.fetchall() == [("pg_monitor",)]


def test_no_statistics_keep_the_password(postgres: Callable[..., Any]) -> None:
    with postgres("shop") as owner:
        statements = [row[0] for row in owner.execute("SELECT query FROM pg_stat_statements").fetchall()]
    assert any("CREATE EXTENSION" in one for one in statements), "statements of the scripts are seen at all"
    assert [one for one in statements if "MONITOR_PASSWORD" in one] == []


def test_postgres_is_asked_by_tcp_alone(main: dict[str, Any], postgres: Callable[..., Any], tmp_path: Path) -> None:
    """The image's first start serves its scripts by the socket, and must not count as healthy then."""
    isready = find("pg_isready", "apt-get install postgresql")
    port = str(postgres.port)  # type: ignore[attr-defined]
    contained = Contained({**main["postgres"], "volumes": []}, tmp_path, {}, {"pg_isready": f"{isready} -p {port}"})
    assert contained.is_healthy()
    assert "-h 127.0.0.1" in main["postgres"]["healthcheck"]["test"][1]
    elsewhere = {"pg_isready": f"{isready} -p {find_free_port()}"}
    assert not Contained({**main["postgres"], "volumes": []}, tmp_path, {}, elsewhere).is_healthy()
