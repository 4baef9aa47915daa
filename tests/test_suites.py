"""The frameworks' own test suites give the same results under perfagent as without it.

Each suite comes with the framework's source distribution and runs in an environment of its own, bare and under the
agent. A test may fail in both (some do as root); none may differ but those that `EXPLAINED` names with the reason.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

SUITES = {
    "starlette": (
        "1.10.0",
        ("starlette[full]", "httpx2[zstd]", "blockbuster", "opentelemetry-sdk", "pytest", "trio", "importlib-metadata"),
    ),
    "flask": ("3.1.3", ("pytest<9", "asgiref", "greenlet", "python-dotenv", "cryptography")),
}
EXPLAINED: dict[str, str] = {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", SUITES)
def test_a_frameworks_own_suite_gives_the_same_results(
    framework: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    python, folder = _prepare(framework, tmp_path)
    command = (str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "--junitxml")
    bare = run_program(*command, str(tmp_path / "bare.xml"), cwd=folder)
    bare.wait(200)
    agent = run_program("perfagent", "run", *command, str(tmp_path / "agent.xml"), cwd=folder, env=agent_env(receiver))
    agent.wait(200)
    without, under = _results(tmp_path / "bare.xml"), _results(tmp_path / "agent.xml")
    assert len(without) > 400
    assert list(without.values()).count("passed") > 0.95 * len(without)
    differing = {
        name: (without.get(name), under.get(name))
        for name in without.keys() | under.keys()
        if without.get(name) != under.get(name) and name not in EXPLAINED
    }
    assert differing == {}
    assert len([span for span in receiver.spans if span.kind == "SERVER"]) > 200


def _prepare(framework: str, directory: Path) -> tuple[Path, Path]:
    """The suite's interpreter and its folder."""
    version, packages = SUITES[framework]
    pip = (sys.executable, "-m", "pip")
    exact = f"{framework}=={version}"
    _run(*pip, "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(directory), exact)
    with tarfile.open(directory / f"{framework}-{version}.tar.gz") as archive:
        archive.extractall(directory, filter="data")
    venv.create(directory / "venv", with_pip=False)
    python = directory / "venv" / "bin" / "python"
    _run(*pip, "--python", str(python), "install", "--quiet", exact, *packages)
    return python, directory / f"{framework}-{version}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=300)


def _results(report: Path) -> dict[str, str]:
    """What became of each test."""
    return {
        f"{case.get('classname')}::{case.get('name')}": next(
            (child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"
        )
        for case in ElementTree.parse(report).iter("testcase")
    }
