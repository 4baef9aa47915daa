"""What describes the deployment, read as the real tools read it: Compose's loader, BuildKit's front end, kustomize."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tools.stack.build import is_built, program
from tools.stack.parts import PARTS

from tests.servers import missing

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
PROFILES = ("traffic", "logs", "load")


def tool(part: str, name: str = "") -> str:
    """A program of the stack's cache; skips the test where it is not built."""
    if not is_built(PARTS[part]):
        missing(name or PARTS[part].programs[0], f"python -m tools.stack build {part}")
    return str(program(PARTS[part], name))


def check(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What tools/stack/check says."""
    command = [tool("check"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


def read(*words: str | Path) -> Any:
    """What tools/stack/check has found; fails the test with its complaint."""
    done = check(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def env_file(directory: Path) -> Path:
    """An environment as deploy/docker/env.sh makes it, with passwords that tell their names."""
    text = (ROOT / ".env.example").read_text()
    path = directory / "env"
    path.write_text(re.sub(r"^(\w+_PASSWORD)=$", r"\1=the-\1", text, flags=re.MULTILINE))
    return path


def kustomize(folder: Path) -> list[dict[str, Any]]:
    """The manifests of a folder, as `kubectl apply --kustomize` would send them."""
    return list(_kustomize(folder))


@functools.cache
def _kustomize(folder: Path) -> tuple[dict[str, Any], ...]:
    done = subprocess.run([tool("kustomize"), "build", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # what is deprecated
    return tuple(yaml.safe_load_all(done.stdout))
