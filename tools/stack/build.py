"""Makes a part's programs in the cache folder: once, whole or not at all, with progress, and never twice at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.stack.parts import Part

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perfagent-stack"
TOLD_EVERY = 20  # seconds between two signs of life
INSTALL = {
    "go": "install Go 1.26 or newer: https://go.dev/dl/",
    "mvn": "install a JDK 17 or newer and Maven: apt-get install default-jdk-headless maven",
}


class BuildError(Exception):
    """Why a part could not be made, with the end of what the compiler said."""


def folder(part: Part) -> Path:
    """Where the programs of a part are, or will be; named by its version and recipe, so that neither is ever stale."""
    return CACHE / f"{part.name}-{part.version}-{part.fingerprint}"


def is_built(part: Part) -> bool:
    """Whether all programs of a part are in the cache."""
    return all((folder(part) / program).exists() for program in part.programs)


def program(part: Part, name: str = "") -> Path:
    """The path of a program of a part, the first one where no name is given; it need not be there yet."""
    return folder(part) / (name or part.programs[0])


def build(part: Part) -> Path:
    """Makes what is missing of a part and returns its folder.

    Raises:
        BuildError: a tool is missing or a step failed; the text says what to do.
    """
    made = folder(part)
    with _alone(part):
        if is_built(part):
            return made
        if shutil.which(part.tool) is None:
            raise BuildError(f"{part.name} needs `{part.tool}`, which is not on PATH; {INSTALL[part.tool]}")
        with tempfile.TemporaryDirectory(prefix=f"{part.name}-", dir=CACHE) as work:
            output = Path(work) / "made"
            output.mkdir()
            started = time.monotonic()
            with _told(part, started):
                part.recipe(Steps(Path(work), output))
            missing = [name for name in part.programs if not (output / name).exists()]
            if missing:
                raise BuildError(f"{part.name} was built without {', '.join(missing)}; see {part.recipe.__qualname__}")
            shutil.rmtree(made, ignore_errors=True)
            output.rename(made)
        print(f"{part.name} {part.version}: built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return made


class Steps:
    """What a recipe works with.

    Args:
        work: a folder of its own, gone at the end.
        output: where the programs go.
    """

    def __init__(self, work: Path, output: Path) -> None:
        self.work = work
        self.output = output

    def run(self, *command: str | Path, cwd: Path | None = None, **environ: str) -> str:
        """Runs one step in `work`, or elsewhere, and returns what it printed; raises BuildError."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd or self.work,
            env={**os.environ, "GOBIN": str(self.output), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise BuildError(f"`{' '.join(words)}` exited with {done.returncode}:\n{end}")
        return done.stdout


@contextmanager
def _alone(part: Part) -> Iterator[None]:
    """Holds the lock of a part; whoever comes second finds it built."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{part.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _told(part: Part, started: float) -> Iterator[None]:
    """Says that it begins, and every now and then that it goes on."""
    print(f"{part.name} {part.version}: building, about {part.seconds} s …", file=sys.stderr, flush=True)
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(TOLD_EVERY):
            spent = time.monotonic() - started
            print(f"{part.name} {part.version}: {spent:.0f} of about {part.seconds} s", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
