"""A real hub on a folder, for the time of a measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTING = 60  # seconds, with a big file after a kill


@contextmanager
def running(directory: Path, *, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Starts a hub and yields its address once it answers.

    Args:
        directory: its folder.
        before: words in front of its command, such as those of taskset.
    """
    program = Path(sys.executable).with_name("perfagent")
    command = [*before, str(program), "hub", "--directory", str(directory), "--port", "0"]
    with (directory / "benchmark.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PERFAGENT_HUB_OPEN": "never"})
    try:
        yield _address(directory, process)
    finally:
        process.terminate()
        process.wait(20)


def _address(directory: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and process.poll() is None:
        try:
            address = str(json.loads((directory / "hub.lock").read_text())["address"])
            with urllib.request.urlopen(f"{address}/health/ready", timeout=5):
                return address
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    raise SystemExit("the hub did not start:\n" + (directory / "benchmark.log").read_text())
