"""What the pages about deployment type is there: files, targets, profiles, services, folders, options."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy import KUBERNETES, PROFILES, ROOT, check, env_file, kustomize, read
from tests.servers import find
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKER, NGINX, PODS = ("docs/how-to/docker.md", "docs/how-to/nginx.md", "docs/how-to/kubernetes.md")


def commands(page: str, program: str) -> Iterator[list[str]]:
    """The words of each command of a program that a page types, in a block or in a line."""
    text = (ROOT / page).read_text()
    for line in re.findall(rf"^    ({program} .*)$|`({program} [^`]*)`", text, re.MULTILINE):
        yield shlex.split(line[0] or line[1])


@pytest.mark.slow
def test_what_docker_compose_is_told_is_there(tmp_path: Path) -> None:
    env = env_file(tmp_path)
    seen: set[str] = set()
    for words in commands(DOCKER, "docker compose"):
        files, profiles, rest = [], [], words[2:]
        while rest and rest[0].startswith("-"):
            option, value, *rest = rest
            {"-f": files, "--profile": profiles}[option].append(value)
        path = ":".join(str(ROOT / file) for file in files or ["docker-compose.yml"])
        services: dict[str, Any] = read("compose", path, env, *profiles)["services"]
        assert set(profiles) <= set(PROFILES)
        command, *arguments = rest
        seen |= {command, *files, *profiles}
        if command == "exec":
            assert arguments[0] in services
            assert arguments[1:3] == ["perfagent", "hub"]
        elif command == "logs":
            assert arguments[-1] in services
        else:
            assert command in ("up", "down")
            assert set(arguments) <= {"--build", "--wait", "--volumes"}
    assert seen >= {"up", "down", "exec", "logs", "compose.logs.yml", "compose.host.yml", *PROFILES}


def test_the_ports_that_the_page_names_are_open(tmp_path: Path) -> None:
    services = read("compose", ROOT / "docker-compose.yml", env_file(tmp_path), *PROFILES)["services"]
    published = {int(port["published"]) for one in services.values() for port in one.get("ports", [])}
    named = set(map(int, re.findall(r"localhost:(\d+)", (ROOT / DOCKER).read_text())))
    assert named | {4388, 4317} == published


def test_the_targets_that_are_built_are_there() -> None:
    targets = {stage["name"] for stage in read("dockerfile", ROOT / "Dockerfile")["stages"]}
    built = {words[words.index("--target") + 1] for words in commands(DOCKER, "docker build")}
    assert built == {"hub", "shop", "agent"}
    assert built <= targets


def test_the_dockerfile_that_is_shown_has_no_warning(tmp_path: Path) -> None:
    (text,) = blocks(DOCKER, "dockerfile")
    path = tmp_path / "Dockerfile"
    path.write_text(text)
    assert read("dockerfile", path)["warnings"] == []


def test_the_kustomization_that_is_shown_renders(tmp_path: Path) -> None:
    (text,) = blocks(PODS, "yaml")
    shown = yaml.safe_load(text)
    for folder in ("deploy", "collector"):  # a kustomization names what it is made of by a relative path
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(text)
    rendered = kustomize(tmp_path / "mine")
    (stores,) = (one["data"] for one in rendered if one["metadata"]["name"].startswith("stores-"))
    literals = dict(word.split("=", 1) for word in shown["configMapGenerator"][0]["literals"])
    assert literals.items() <= stores.items()
    assert "PERFAGENT_JAEGER_URL" in stores
    (gateway,) = (one for one in rendered if (one["kind"], one["metadata"]["name"]) == ("StatefulSet", "gateway"))
    assert gateway["spec"]["replicas"] == 4
    used = {
        source["configMapRef"]["name"] for source in gateway["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    }
    assert used <= {one["metadata"]["name"] for one in rendered if one["kind"] == "ConfigMap"}


def test_what_kubectl_is_told_is_there() -> None:
    labels = {
        key
        for folder in ("stack", "shop")
        for one in kustomize(KUBERNETES / folder)
        if one["kind"] == "NetworkPolicy"
        for key in re.findall(r"perfagent/\w+", str(one))
    }
    said = (ROOT / PODS).read_text()
    for words in commands(PODS, "kubectl"):
        if "--kustomize" in words:
            assert kustomize(ROOT / words[-1])
        elif words[1] == "label":
            assert {word.partition("=")[0] for word in words[4:]} <= labels
        else:
            assert words[1:3] == ["--namespace", "perfagent"]
            assert "hub-0" in words
    assert labels <= set(re.findall(r"perfagent/\w+", said)) | {"perfagent/inject"}
    for folder in re.findall(r"(?:components|overlays)/\w+", said):
        assert (KUBERNETES / folder / "kustomization.yaml").exists(), folder


def test_what_nginx_is_told_is_there() -> None:
    find("nginx", "apt-get install nginx")
    for words in commands(NGINX, "nginx"):
        assert Path(words[-1].replace("$PWD", str(ROOT))).exists()
    text = (ROOT / NGINX).read_text()
    conf = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    for said, there in (("50 requests a second", "rate=50r/s"), ("100 more at once", "burst=100"),
                        ("100 connections", "limit_conn connections 100"), ("127.0.0.1:8081", "listen 127.0.0.1:8081"),
                        ("`/nginx_status`", "location = /nginx_status"), ("`/ws/`", "location /ws/")):  # fmt: skip
        assert said in text
        assert there in conf
    for name in re.findall(r"`([\w-]+\.conf)`", text):
        assert (ROOT / "deploy" / "nginx" / name).exists(), name


@pytest.mark.parametrize("name", ["deploy/docker/env.sh"])
def test_scripts_are_plain_shell(name: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / name)], check=True)


def test_check_says_how_it_is_used() -> None:
    done = check("nothing")
    assert done.returncode == 2
    assert "usage: check compose FILE" in done.stderr
