"""Interpreters of other versions and environments, each made once and kept in ~/.cache/perfagent-pythons."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
CACHE = Path.home() / ".cache" / "perfagent-pythons"


@cache
def find(version: str) -> Path | None:
    """An interpreter of a version such as 3.12: this one, pyenv's or the one on PATH; None where there is none."""
    if "{}.{}".format(*sys.version_info) == version:
        return Path(sys.executable)
    found = [*sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")), shutil.which(f"python{version}")]
    return next((Path(path) for path in found if path and _runs(path)), None)


def _runs(path: str | Path) -> bool:
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def found() -> list[str]:
    """Those of `VERSIONS` that this machine has."""
    return [version for version in VERSIONS if find(version)]


def environment(version: str, *requirements: str) -> Path:
    """The interpreter of an environment with these packages and without perfagent.

    It is made where the cache has none: some minutes for a big one.

    Args:
        version: one of `found()`.
        requirements: as pip takes them.
    """
    name = hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()[:12]
    folder = CACHE / f"{version}-{name}"
    python = folder / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            interpreter = find(version)
            assert interpreter is not None, version
            _run(str(interpreter), "-m", "venv", "--clear", "--without-pip", str(folder))
            pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
            if requirements:
                _run(*pip, "install", "--quiet", *requirements)
            (folder / "ready").write_text("\n".join(requirements))
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
