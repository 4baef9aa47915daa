"""Load from wrk: at a fixed rate, or as fast as the program answers a number of connections."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("wrk.lua")


class LoadError(Exception):
    """The load could not be made, or the program answered with errors."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted in one run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return self.requests / self.seconds


def require_wrk() -> None:
    """Raise `LoadError` where wrk is not installed."""
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed: apt-get install wrk, or brew install wrk")


def run(url: str, seconds: int, connections: int, rate: int = 0) -> Load:
    """Send requests to `url` for so many seconds.

    Args:
        url: the route under load.
        seconds: how long; wrk takes whole seconds only.
        connections: kept open, each with one request at a time.
        rate: requests a second over all connections; 0 is as many as the program answers.

    Raises:
        LoadError: wrk failed, or a request was not answered with 2xx or 3xx.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(_SCRIPT), url]
    done = subprocess.run(command, env=os.environ | {"RATE": str(rate)}, capture_output=True, text=True)
    if done.returncode != 0:
        raise LoadError(f"wrk on {url} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    load = Load(**json.loads(done.stdout.splitlines()[-1]))
    if load.errors or not load.requests:
        raise LoadError(f"{url}: {load.errors} errors in {load.requests} requests")
    return load
