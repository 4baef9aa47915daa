"""The Dockerfile: BuildKit's own lint, what goes into the build, and what the images run, run as processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfagent.hub.access import Access, secret
from tests.deploy import KUBERNETES, PROFILES, ROOT, check, env_file, kustomize, read
from tests.images import Image
from tests.program import Program, find_free_port

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from tests.otlp import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # what the images hold is fetched and compiled

DOCKERFILE = ROOT / "Dockerfile"
IMAGES = ("agent", "hub", "shop", "shop-plain")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return read("dockerfile", DOCKERFILE)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    env = env_file(tmp_path_factory.mktemp("env"))
    return read("compose", ROOT / "docker-compose.yml", env, *PROFILES)["services"]


def test_buildkit_has_no_warning(described: dict[str, Any]) -> None:
    assert described["warnings"] == []


def test_buildkits_lint_would_tell(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:3.11 as one\nENV A=$NOT_THERE\nCMD python -m http.server\n")
    told = "\n".join(read("dockerfile", bad)["warnings"])
    assert re.findall(r"line \d+: (\w+)", told) == ["FromAsCasing", "UndefinedVar", "JSONArgsRecommended"]
    bad.write_text("FROM python:3.11\nCOPPY a b\n")
    assert "unknown instruction: COPPY" in check("dockerfile", bad).stderr


def test_images_run_by_number_as_nobody_special_and_say_what_they_are(described: dict[str, Any]) -> None:
    for name in IMAGES:
        config = described["images"][name]["config"]
        assert config["User"] == "10001:10001", name
        assert config["Cmd"], name
        labels = {label.rpartition(".")[2] for label in config["Labels"]}
        assert labels >= {"title", "description", "licenses", "version", "revision"}, name
        assert name == "agent" or config["Healthcheck"]["Test"][0] == "CMD", (
            f"{name}: a shell would not pass its exit on"
        )


def test_what_is_installed_is_pinned_by_hash_and_bases_by_version(described: dict[str, Any]) -> None:
    text = DOCKERFILE.read_text()
    assert re.findall(r"^ARG \w+=(\S+:.*)$", text, re.MULTILINE) == ["python:3.11.14-slim-bookworm", "busybox:1.37.0"]
    for line in [step["words"][0] for stage in described["stages"] for step in stage["steps"] if step["kind"] == "RUN"]:
        for install in re.findall(r"pip[^&]* install [^&]*", line):
            assert "--require-hashes" in install or "--no-index" in install, install
    for path in (ROOT / "deploy" / "docker").glob("*.txt"):
        pinned = re.split(r"\n(?=\w)", path.read_text().strip())
        assert [one for one in pinned if not re.match(r"[\w.-]+(\[\w+\])?==\S+ .*--hash=sha256:", one, re.DOTALL)] == []


def test_what_the_hub_is_pinned_to_is_what_the_project_asks_for() -> None:
    text = (ROOT / "deploy" / "docker" / "hub.txt").read_text()
    pinned = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.M)}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirement in map(Requirement, [*extras["grpc"], *extras["hub"], *extras["prometheus"]]):
        if requirement.name != "perfagent":
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_build_gets_nothing_but_what_it_copies() -> None:
    sent = read("context", ROOT)
    assert {path.partition("/")[0] for path in sent} == {
        "LICENSE", "README.md", "pyproject.toml", "deploy", "examples", "src",
    }  # fmt: skip
    assert [path for path in sent if "__pycache__" in path or path.startswith(("deploy/k", "examples/t"))] == []


@pytest.fixture(scope="module")
def hub(agent: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image("hub", tmp_path_factory.mktemp("hub-image"), agent)


@pytest.fixture(scope="module")
def shop(agent: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image("shop", tmp_path_factory.mktemp("shop-image"), agent)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image("agent", tmp_path_factory.mktemp("agent-image"))


def files(image: Image, volume: str) -> dict[str, tuple[int, int]]:
    """Every file of an image but those in a volume, with its size and the moment of its last change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in image.root.rglob("*")
        if not path.is_relative_to(image.path(volume)) and not path.is_dir()
    }


def is_healthy(image: Image, test: list[str], changes: dict[str, str], directory: Path) -> bool:
    """Whether the health check of an image or of Compose succeeds."""
    assert test[0] == "CMD"
    directory.mkdir(exist_ok=True)
    return image.start(test[1:], directory, changes).wait() == 0


def test_the_hubs_image_serves_says_that_it_is_healthy_and_ends_with_0(
    hub: Image, compose: dict[str, Any], tmp_path: Path
) -> None:
    service = compose["hub"]
    ports = {"4318": str(find_free_port()), "4317": str(find_free_port())}
    changes = {**ports, "http://prometheus:9090": "", "http://jaeger:16686": ""}  # nobody is there to be asked
    probe, before = hub.config["Healthcheck"]["Test"], files(hub, "/var/lib/perfagent")
    assert not is_healthy(hub, probe, changes, tmp_path / "before")
    started = hub.start(service["command"] or hub.config["Cmd"], tmp_path, changes, **service["environment"])
    try:
        started.wait_until(lambda: is_healthy(hub, probe, changes, tmp_path / "probe"), "never healthy")
        folder = hub.path("/var/lib/perfagent/hub")
        assert folder.stat().st_mode & 0o777 == 0o700
        token = Access(secret(str(folder))).token("viewer")
        # As Prometheus or the proxy asks, by the name that Compose gives it; its page is for nobody without a link.
        assert (
            ask(f"http://127.0.0.1:{ports['4318']}/metrics", Host="hub:4318", Authorization=f"Bearer {token}")[0] == 200
        )
        assert ask(f"http://127.0.0.1:{ports['4318']}/metrics", Host="hub:4318")[0] == 401
        assert ask(f"http://127.0.0.1:{ports['4318']}/metrics", Host="evil.example")[0] == 403
        assert ask(f"http://127.0.0.1:{ports['4318']}/v1/traces", b"", Host="hub:4318")[0] == 401
        assert started.terminate(timeout=seconds(service["stop_grace_period"])) == 0
    finally:
        started.stop()
    assert files(hub, "/var/lib/perfagent") == before, "its file system is read-only in Compose and Kubernetes"


def test_a_restarted_hub_takes_its_volume_over(hub: Image, tmp_path: Path) -> None:
    """A container that was killed leaves the lock file, of another network, behind."""
    folder = hub.path("/var/lib/perfagent/hub")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "hub.lock").write_text('{"address": "http://127.0.0.1:4318", "pid": 1, "machine": "another"}\n')
    changes = {"4318": str(find_free_port()), "4317": str(find_free_port())}
    started = hub.start(hub.config["Cmd"], tmp_path, changes)
    try:
        started.wait_until(
            lambda: is_healthy(hub, hub.config["Healthcheck"]["Test"], changes, tmp_path / "probe"), "never healthy"
        )
        assert started.terminate() == 0
    finally:
        started.stop()


def test_the_shops_image_serves_under_the_agent(
    shop: Image, compose: dict[str, Any], receiver: Receiver, tmp_path: Path
) -> None:
    changes = {"http://collector:4318": receiver.url, "8000": str(find_free_port()), "8001": str(find_free_port())}
    changes["http://payments:"] = "http://127.0.0.1:"
    before = files(shop, "/var/lib/shop")
    started: list[Program] = []
    try:
        for name in ("payments", "shop"):
            service = compose[name]
            (tmp_path / name).mkdir()
            command = service["command"] or shop.config["Cmd"]
            started.append(shop.start(command, tmp_path / name, changes, **service["environment"]))
            probe = service.get("healthcheck", shop.config["Healthcheck"])
            started[-1].wait_until(
                lambda probe=probe, name=name: is_healthy(
                    shop, probe.get("test") or probe["Test"], changes, tmp_path / f"{name}-probe"
                ),
                "never healthy",
            )
        url = f"http://127.0.0.1:{changes['8000']}/customers/5"
        assert ask(f"{url}/cart", b'{"product_id": 8}', Content_Type="application/json")[0] == 201
        ask(f"{url}/checkout", b"")
        (charge,) = receiver.wait_for_spans(where=lambda span: span.attributes.get("http.route") == "/charges")
        (call,) = receiver.wait_for_spans(where=lambda span: span.span_id == charge.parent_id)
        assert (charge.resource["service.name"], call.resource["service.name"]) == ("payments", "shop")
        resources = {span.resource["service.name"]: span.resource for span in receiver.spans}
        assert set(resources) == {"shop", "payments"}
        assert resources["shop"]["deployment.environment.name"] == "compose"
        assert [span for span in receiver.spans if "health" in span.name] == []
        for program in reversed(started):  # uvicorn ends as the signal says, once all is answered
            assert program.terminate(timeout=60) in (0, -15)
    finally:
        for program in started:
            program.stop()
    assert files(shop, "/var/lib/shop") == before


def seconds(text: str) -> float:
    """A duration of Compose, such as 15s."""
    minutes, _, rest = text.rpartition("m")
    return 60 * float(minutes or 0) + float(rest.rstrip("s") or 0)


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


# Injection: a program that knows nothing of the agent, in an environment without it.
UNMODIFIED = """
import sqlite3, sys
assert not any(name.partition(".")[0] == "opentelemetry" for name in sys.modules)
sqlite3.connect(":memory:").cursor().execute("select 1")
try:
    from opentelemetry import trace
except ImportError:
    print("no opentelemetry")
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter without a package: what the image of an unmodified program has."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


OPERATOR = "/otel-auto-instrumentation-python"
"""Where the OpenTelemetry operator (0.158) mounts the volume; its init container and PYTHONPATH are as below."""


def copied(agent: Image, target: Path, command: tuple[str, ...] = ()) -> Path:
    """The volume after the init container, which runs the operator's own words where no others are given."""
    target.mkdir()
    words = [agent.here(word) for word in (command or ("cp", "-r", "/autoinstrumentation/.", OPERATOR))[:-1]]
    subprocess.run([*words, str(target)], check=True)
    return target


def by_init_container() -> tuple[tuple[str, ...], str]:
    """The command of the init container of deploy/kubernetes, and the program's PYTHONPATH."""
    manifests = kustomize(KUBERNETES / "overlays" / "injected")
    (pod,) = (
        one["spec"]["template"]["spec"]
        for one in manifests
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "shop")
    )
    (copies,) = pod["initContainers"]
    (path,) = (given["value"] for given in pod["containers"][0]["env"] if given["name"] == "PYTHONPATH")
    return tuple(copies["command"]), path


def injected(bare: str, pythonpath: str, receiver: Receiver, directory: Path, *command: str) -> Program:
    """A program whose container got the variables that injection sets, and nothing else."""
    env = {
        "PYTHONPATH": pythonpath,
        "OTEL_SERVICE_NAME": "injected",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "PERFAGENT_STRICT": "true",
    }
    directory.mkdir()
    return Program((bare, *command), directory, env)


@pytest.mark.parametrize("way", ["init container", "operator"])
def test_an_unmodified_program_is_measured_by_what_is_copied_beside_it(
    agent: Image, bare: str, receiver: Receiver, tmp_path: Path, way: str
) -> None:
    if way == "init container":
        command, path = by_init_container()
        volume = copied(agent, tmp_path / "volume", command)
        pythonpath = path.replace(command[-1], str(volume), 1)
        assert agent.config["Cmd"] == list(command)
    else:
        volume = copied(agent, tmp_path / "volume")
        pythonpath = f"{volume}/opentelemetry/instrumentation/auto_instrumentation:{volume}"
    program = injected(bare, pythonpath, receiver, tmp_path / "run", "-c", UNMODIFIED)
    try:
        assert program.check() == "no opentelemetry\n"
        assert program.stderr == ""
        (span,) = receiver.wait_for_spans()
        assert (span.name, span.resource["service.name"]) == ("SELECT", "injected")
    finally:
        program.stop()


def test_the_image_of_the_shop_without_the_agent_is_measured_too(
    agent: Image, receiver: Receiver, tmp_path: Path
) -> None:
    plain = Image("shop-plain", tmp_path / "image")
    assert not list(plain.path("/opt/venv").glob("lib/*/site-packages/perfagent*"))
    volume = copied(agent, tmp_path / "volume")
    port = str(find_free_port())
    (tmp_path / "run").mkdir()
    program = plain.start(
        plain.config["Cmd"],
        tmp_path / "run",
        {"8000": port},
        PYTHONPATH=f"{volume}/opentelemetry/instrumentation/auto_instrumentation:{volume}",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_SERVICE_NAME="shop",
    )
    try:
        program.wait_for_port(int(port))
        assert ask(f"http://127.0.0.1:{port}/products/7")[0] == 200
        (span,) = receiver.wait_for_spans(where=lambda span: span.kind == "SERVER")
        assert span.name == "GET /products/{product_id}"
        assert program.terminate() in (0, -15)
    finally:
        program.stop()


def test_the_programs_own_opentelemetry_is_not_hidden(agent: Image, receiver: Receiver, tmp_path: Path) -> None:
    """The folder `opentelemetry` of the operator's layout has no `__init__`: it adds to the program's package."""
    volume = copied(agent, tmp_path / "volume")
    pythonpath = f"{volume}/opentelemetry/instrumentation/auto_instrumentation:{volume}"
    code = (
        "import opentelemetry.instrumentation.auto_instrumentation as real\n"
        "assert real.__file__.endswith('__init__.py')\n"
        "from opentelemetry import trace\n"
        "with trace.get_tracer('mine').start_as_current_span('own'): pass\n"
    )
    program = injected(sys.executable, pythonpath, receiver, tmp_path / "run", "-c", code)
    try:
        program.check()
        assert [span.name for span in receiver.wait_for_spans()] == ["own"]
    finally:
        program.stop()


def test_a_programs_children_are_measured_as_well(agent: Image, bare: str, receiver: Receiver, tmp_path: Path) -> None:
    volume = copied(agent, tmp_path / "volume")
    pythonpath = f"{volume}/opentelemetry/instrumentation/auto_instrumentation:{volume}"
    child = "import sqlite3; sqlite3.connect(':memory:').cursor().execute('select 1')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    program = injected(bare, pythonpath, receiver, tmp_path / "run", "-c", code)
    try:
        program.check()
        assert [span.name for span in receiver.wait_for_spans()] == ["SELECT"]
    finally:
        program.stop()


def test_copied_files_start_without_being_compiled_again(agent: Image, bare: str, tmp_path: Path) -> None:
    """`cp -r` keeps no time stamp, so bytecode that is checked by one would be thrown away at each start."""
    volume = copied(agent, tmp_path / "volume")
    for path in volume.rglob("*.py"):
        os.utime(path, (1, 1))
    code = "from perfagent.launch.start import __cached__ as path; print(path, open(path, 'rb').read(8).hex())"
    shown = subprocess.run(
        [bare, "-B", "-c", code], env={"PYTHONPATH": str(volume)}, capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(shown[0]).exists()
    assert shown[1].endswith("01000000")  # PEP 552: by hash, not checked


def test_the_wheel_in_the_image_is_whole_and_the_same_each_time(agent: Image, tmp_path: Path) -> None:
    (wheel,) = agent.path("/dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"perfagent/launch/bootstrap/sitecustomize.py", "perfagent/hub/web/index.html"} <= set(names)
    again = tmp_path / "again"
    pip = [sys.executable, "-m", "pip", "--python", str(agent.path("/build/bin/python"))]
    command = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    source = tmp_path / "src"
    shutil.copytree(agent.path("/src"), source)
    subprocess.run([*command, "--wheel-dir", str(again), str(source)], check=True, cwd=source)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
