"""What `docker build --target T` would put into an image, made in a folder, for where no engine runs.

The instructions are those that BuildKit reads from the Dockerfile. RUN runs for real, with the folder in front of each
absolute path of the image, and this machine in place of the base image: its Python, its coreutils. COPY takes only what
.dockerignore lets into the build. All stages of a target share the folder, so none of them may leave two different
things under one path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy import ROOT, read
from tests.program import Program

# Every absolute path of the images that does not come from a base image.
PATHS = ("/src", "/dist", "/build", "/autoinstrumentation", "/opt/venv", "/var/lib/perfagent", "/var/lib/shop", "/app")
ABSOLUTE = re.compile(rf"(?<![\w./])(?:{'|'.join(PATHS)})(?![\w])")


class Image:
    """An image in a folder.

    Args:
        target: a stage of the Dockerfile.
        folder: empty; becomes the root of the file system.
        wheel: another image whose wheel is taken, in place of one more of the same.
    """

    def __init__(self, target: str, folder: Path, wheel: Image | None = None) -> None:
        self.root = folder
        described = read("dockerfile", ROOT / "Dockerfile")
        self._stages = {stage["name"]: stage for stage in described["stages"]}
        self._configs = {name: image["config"] for name, image in described["images"].items()}
        self._context = read("context", ROOT)
        self._done: set[str] = set()
        if wheel is not None:
            shutil.copytree(wheel.path("/dist"), self.path("/dist"))
            self._done.add("wheel")
        self._make(target)
        self.config: dict[str, Any] = self._configs[target]
        self.environ = dict(pair.split("=", 1) for pair in self.config["Env"])
        self.directory = self.path(self.config.get("WorkingDir") or "/")

    def path(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / path.lstrip("/")

    def here(self, text: str) -> str:
        """A text of the image with its paths as they are on this machine."""
        return ABSOLUTE.sub(lambda found: str(self.path(found[0])), text)

    def start(self, command: list[str], directory: Path, changes: dict[str, str], **env: str) -> Program:
        """Runs a command as a container would.

        Args:
            command: of the image or of Compose.
            directory: for what it writes to its output.
            changes: texts that are others on this machine, such as ports.
            env: what Compose sets.
        """
        environ = {name: self._changed(value, changes) for name, value in {**self.environ, **env}.items()}
        environ["PATH"] = os.pathsep.join([environ["PATH"], os.defpath])
        words = [self._changed(word, changes) for word in command]
        words[0] = shutil.which(words[0], path=environ["PATH"]) or words[0]
        return Program(tuple(words), directory, environ, cwd=self.directory)

    def _changed(self, text: str, changes: dict[str, str]) -> str:
        for before, after in changes.items():
            text = text.replace(before, after)
        return self.here(text)

    def _make(self, name: str) -> None:
        if name in self._done or name not in self._stages:  # of a base image
            return
        self._done.add(name)
        stage = self._stages[name]
        self._make(stage["base"])
        directory = "/"
        for step in stage["steps"]:
            words = step.get("words", [])
            if step["kind"] == "WORKDIR":
                directory = words[0]
                self.path(directory).mkdir(parents=True, exist_ok=True)
            elif step["kind"] == "COPY" and step.get("from"):
                self._make(step["from"])
                assert len(words) == 2, step
                assert words[0] == words[1] or not self.path(words[1]).exists(), step
                assert self.path(words[0]).exists(), f"{step['original']}: {words[0]} is not there"
                if words[0] != words[1]:
                    shutil.copytree(self.path(words[0]), self.path(words[1]), symlinks=True)
            elif step["kind"] == "COPY":
                self._copy(words[:-1], self.path(os.path.normpath(os.path.join(directory, words[-1]))), step)
            elif step["kind"] == "RUN":
                self._run(words[0], directory, self._configs[name])

    def _copy(self, sources: list[str], target: Path, step: dict[str, Any]) -> None:
        for source in sources:
            found = [path for path in self._context if path == source or path.startswith(f"{source}/")]
            assert found, f"{step['original']}: .dockerignore leaves nothing of {source}"
            for path in found:
                inside = target / (path.removeprefix(f"{source}/") if path != source else Path(path).name)
                inside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, inside)

    def _run(self, line: str, directory: str, config: dict[str, Any]) -> None:
        environ = dict(pair.split("=", 1) for pair in config["Env"])
        environ.pop("PIP_NO_CACHE_DIR", None)  # what this machine has fetched before need not come again
        # `python` and `pip` of the base image are those of the tests, and the command lines find what is in the folder.
        environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environ["HOME"] = os.environ.get("HOME", "/tmp")
        if os.geteuid() != 0:
            line = re.sub(r" -[og] \d+", "", line)
        done = subprocess.run(
            ["sh", "-ec", self.here(line)],
            cwd=self.path(directory),
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {line}\n{done.stdout}\n{done.stderr}"
