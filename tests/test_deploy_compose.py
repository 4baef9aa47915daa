"""docker-compose.yml as Compose reads it, held against the files that it mounts."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools.stack.parts import PARTS

from tests.deploy import PROFILES, ROOT, check, env_file, read

if TYPE_CHECKING:
    from collections.abc import Iterator

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
@pytest.mark.slow
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
