"""docker-compose.yml as Compose reads it, held against the files that it mounts, and its commands run for real."""

from __future__ import annotations

import itertools
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
from tools.stack.parts import PARTS

from tests.deploy import PROFILES, ROOT, check, env_file, read, tool
from tests.program import Program, find_free_port
from tests.servers import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAIN = ROOT / "docker-compose.yml"
FILES = {
    "alone": f"{MAIN}",
    "logs": f"{MAIN}:{ROOT / 'compose.logs.yml'}",
    "host": f"{MAIN}:{ROOT / 'compose.host.yml'}",
    "both": f"{MAIN}:{ROOT / 'compose.logs.yml'}:{ROOT / 'compose.host.yml'}",
}
WRITABLE = {"elasticsearch", "kafka", "logstash"}  # their images write into their own folders while they start
ROOTS = {"folders"}  # gives volumes away, and ends
UNASKED = {
    "collector",
    "folders",
    "gateway",
    "gateway-2",
    "visitors",
}  # no program in the image that could ask, or ends
COPIES = ("collector", "gateway", "gateway-2", "jaeger")  # run as 10001 in an image without their folder


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return env_file(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module", params=FILES)
def services(env: Path, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return read("compose", FILES[request.param], env, *PROFILES)["services"]


@pytest.fixture(scope="module")
def main(env: Path) -> dict[str, dict[str, Any]]:
    return read("compose", MAIN, env, *PROFILES)["services"]


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_compose_takes_it_with_any_profile(env: Path, files: str) -> None:
    started = {}
    for number in range(len(PROFILES) + 1):
        for profiles in itertools.combinations(PROFILES, number):
            started[profiles] = set(read("compose", files, env, *profiles)["services"])
    assert started["traffic",] - started[()] == {"visitors"}
    assert started["logs",] - started[()] == {"logstash", "elasticsearch"}
    assert started["load",] - started[()] == {"kafka"}
    assert {"shop", "payments", "hub", "nginx", "collector", "gateway", "gateway-2", "prometheus", "alertmanager",
            "jaeger", "grafana", "postgres", "redis", "postgres-exporter", "redis-exporter"} <= started[()]  # fmt: skip


def test_nothing_starts_without_passwords(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"^(\w+_PASSWORD)=", example, re.MULTILINE):
        path = env_file(tmp_path)
        path.write_text(re.sub(rf"^{name}=.*$", f"{name}=", path.read_text(), flags=re.MULTILINE))
        assert name in check("compose", MAIN, path).stderr


def test_what_compose_would_refuse_is_refused(env: Path, tmp_path: Path) -> None:
    bad = tmp_path / "compose.yml"
    bad.write_text("services:\n  one: {image: a, depends_on: [two]}\n")
    assert "two" in check("compose", bad, env).stderr
    bad.write_text("services:\n  one: {image: a, prots: ['1:1']}\n")
    assert "prots" in check("compose", bad, env).stderr


def test_every_variable_is_explained_and_passwords_have_no_default() -> None:
    text = (ROOT / ".env.example").read_text()
    explained = dict(re.findall(r"(?:^#.*\n)+^(\w+)=(.*)$", text, re.MULTILINE))
    asked = read("variables", FILES["both"])
    assert explained.keys() == asked.keys()
    for name, variable in asked.items():
        assert variable["Required"] == name.endswith("_PASSWORD")
        assert variable["DefaultValue"] == explained[name]


def test_env_sh_makes_passwords_once(tmp_path: Path) -> None:
    folder = tmp_path / "deploy" / "docker"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "docker" / "env.sh", folder)
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run(["sh", str(folder / "env.sh")], check=True, capture_output=True)
    made = tmp_path / ".env"
    assert made.stat().st_mode & 0o777 == 0o600
    values = re.findall(r"^\w+_PASSWORD=(.*)$", made.read_text(), re.MULTILINE)
    assert len(set(values)) == len(values) == 5
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
    read("compose", MAIN, made, *PROFILES)
    again = subprocess.run(["sh", str(folder / "env.sh")], check=False, capture_output=True)
    assert again.returncode == 1
    assert re.findall(r"^\w+_PASSWORD=(.*)$", made.read_text(), re.MULTILINE) == values
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_containers_have_no_more_rights_than_they_need(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert service.get("read_only", False) is (name not in WRITABLE), name
        assert int(service["mem_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"] == ("no" if name in ROOTS else "unless-stopped"), name
        assert service.get("cap_add", []) == (["CHOWN"] if name in ROOTS else []), name
        if "build" not in service:  # those of the Dockerfile have theirs, which tests/test_deploy_images.py looks at
            user, _, group = service["user"].partition(":")
            assert user.isdecimal(), name
            assert group.isdecimal(), name
            assert (user == "0") is (name in ROOTS), name


def test_what_is_open_is_open_to_this_machine_alone(services: dict[str, dict[str, Any]]) -> None:
    published = [(name, port) for name, service in services.items() for port in service.get("ports", [])]
    assert {port["host_ip"] for _, port in published} == {"127.0.0.1"}
    assert len({port["published"] for _, port in published}) == len(published)
    for name, service in services.items():
        outside = "outside" in service["networks"]
        assert "inside" in service["networks"], name
        assert outside is ("ports" in service), f"{name} reaches the outside without need"


def test_the_inside_has_no_way_out(env: Path) -> None:
    assert read("compose", MAIN, env)["networks"]["inside"]["internal"] is True


def test_images_are_pinned_and_of_the_versions_that_are_tested(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        if "build" in service:
            assert (image, tag) in (("perfagent-hub", "dev"), ("perfagent-shop", "dev")), name
        else:
            assert re.match(r"v?\d+\.\d+", tag), f"{name}: {service['image']}"
    versions = {name: service["image"].rpartition(":")[2].lstrip("v") for name, service in services.items()}
    assert versions["collector"] == versions["gateway"] == versions["gateway-2"] == PARTS["collector"].version
    assert versions["alertmanager"] == PARTS["alertmanager"].version
    assert versions["prometheus"] == re.sub(r"0\.3(\d\d)\.(\d+)", r"3.\1.\2", PARTS["prometheus"].version)
    assert (versions["jaeger"], PARTS["jaeger"].version) == ("2.13.0", "1.76.0")  # one release of both
    assert versions["kafka"] == PARTS["kafka"].version


def test_what_is_mounted_is_there_and_cannot_be_written(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists(), f"{name}: {mount['source']}"
                assert mount["read_only"] is True, f"{name}: {mount['source']}"


def test_folders_that_an_image_lacks_are_given_to_who_writes_there(services: dict[str, dict[str, Any]]) -> None:
    given = re.findall(r"/v/([\w-]+)", " ".join(services["folders"]["command"]))
    assert set(COPIES) <= set(given)
    mounted = {mount["target"].removeprefix("/v/"): mount["source"] for mount in services["folders"]["volumes"]}
    assert {name: name for name in given} == mounted
    for name in COPIES:
        assert services[name]["user"] == "10001:10001"
        assert services[name]["depends_on"]["folders"]["condition"] == "service_completed_successfully"


def test_each_is_asked_whether_it_is_well_and_the_collectors_by_ready(services: dict[str, dict[str, Any]]) -> None:
    unasked = {name for name, service in services.items() if service.get("healthcheck", {}).get("disable")}
    none = {name for name, service in services.items() if "healthcheck" not in service and "build" not in service}
    assert unasked | none == UNASKED
    asked = " ".join(services["ready"]["healthcheck"]["test"])
    assert {"collector", "gateway", "gateway-2"} <= set(re.findall(r"[\w-]+", asked))
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert other not in UNASKED, f"{name} would wait for {other} for ever"


def texts() -> Iterator[tuple[Path, str]]:
    """The configurations that containers read, without comments."""
    folders = [ROOT / "collector" / name for name in ("prometheus", "alertmanager", "jaeger", "logstash")]
    folders += [ROOT / "collector" / "grafana" / "provisioning", ROOT / "deploy" / "nginx"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    paths += [ROOT / "collector" / f"{name}.yaml" for name in ("agent", "gateway", "gateway-logstash")]
    for path in paths:
        if "tests" not in path.parts and path.suffix in (".yaml", ".yml", ".conf"):
            yield path, re.sub(r"(^|\s)#.*$", "", path.read_text(), flags=re.MULTILINE)


def test_every_host_in_a_configuration_is_a_service(main: dict[str, dict[str, Any]]) -> None:
    found = set()
    for path, text in texts():
        for host, port in re.findall(r"(?:(?<=:-)|(?<![\w.$}-]))([a-z][a-z-]*(?:-\d)?):(\d{2,5})(?![\d\w])", text):
            assert host in {*main, "localhost"}, f"{path.relative_to(ROOT)} names {host}:{port}"
            found.add((host, int(port)))
    wanted = "gateway:4317 jaeger:4317 prometheus:9090 alertmanager:9093 logstash:4319 hub:4318 shop:8000"
    assert {f"{host}:{port}" for host, port in found} >= set(wanted.split())


def test_collectors_have_room_above_the_limit_at_which_they_refuse(services: dict[str, dict[str, Any]]) -> None:
    for name in ("collector", "gateway", "gateway-2"):
        limit = int(services[name]["environment"]["MEMORY_MIB"]) * 2**20
        assert int(services[name]["mem_limit"]) >= 1.3 * limit, name


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_alertmanager_starts_as_compose_has_it_and_is_healthy(main: dict[str, Any], tmp_path: Path) -> None:
    port = str(find_free_port())
    contained = Contained(main["alertmanager"], tmp_path, {"9093": port})
    program = contained.start(tool("alertmanager"), f"--web.listen-address=127.0.0.1:{port}")
    try:
        program.wait_until(contained.is_healthy, "never healthy")
        assert program.terminate() == 0
    finally:
        program.stop()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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

    from tests.servers import _directory, _until_ready

    initdb, server = (find(name, "apt-get install postgresql") for name in ("initdb", "postgres"))
    psql = find("psql", "apt-get install postgresql")
    service = main["postgres"]
    port = find_free_port()
    with _directory("postgres") as directory:
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
            with _until_ready(lambda: psycopg.connect(**local, dbname="postgres", autocommit=True), directory) as first:
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_statistics_keep_the_password(postgres: Callable[..., Any]) -> None:
    with postgres("shop") as owner:
        statements = [row[0] for row in owner.execute("SELECT query FROM pg_stat_statements").fetchall()]
    assert any("CREATE EXTENSION" in one for one in statements), "statements of the scripts are seen at all"
    assert [one for one in statements if "MONITOR_PASSWORD" in one] == []


@pytest.mark.slow
def test_postgres_is_asked_by_tcp_alone(main: dict[str, Any], postgres: Callable[..., Any], tmp_path: Path) -> None:
    """The image's first start serves its scripts by the socket, and must not count as healthy then."""
    isready = find("pg_isready", "apt-get install postgresql")
    port = str(postgres.port)  # type: ignore[attr-defined]
    contained = Contained({**main["postgres"], "volumes": []}, tmp_path, {}, {"pg_isready": f"{isready} -p {port}"})
    assert contained.is_healthy()
    assert "-h 127.0.0.1" in main["postgres"]["healthcheck"]["test"][1]
    elsewhere = {"pg_isready": f"{isready} -p {find_free_port()}"}
    assert not Contained({**main["postgres"], "volumes": []}, tmp_path, {}, elsewhere).is_healthy()
