"""The programs under load as running servers, each with an agent in front."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import children, processes
from .agents import BIN, Agent
from .sink import Sink

_ROOT = Path(__file__).parent.parent
_READY_WITHIN_SECONDS = 60
_STOPPED_WITHIN_SECONDS = 30

ROUTES = ("/hello", "/queries")


@dataclass(frozen=True, slots=True)
class Program:
    """A web application and the server that runs it; `{port}` stands for its port."""

    name: str
    title: str
    command: tuple[str, ...]


PROGRAMS = {
    "fastapi": Program(
        "fastapi",
        "FastAPI, uvicorn",
        ("uvicorn", "benchmarks.apps.fastapi_app:app", "--port={port}", "--no-access-log", "--log-level=warning"),
    ),
    # gthread, because the sync worker closes the connection after every response: wrk would measure connecting.
    "flask": Program(
        "flask",
        "Flask, gunicorn",
        (
            "gunicorn", "benchmarks.apps.flask_app:app", "--bind=127.0.0.1:{port}", "--worker-class=gthread",
            "--workers=1", "--threads=4", "--keep-alive=60", "--no-control-socket", "--log-level=warning",
        ),
    ),
}  # fmt: skip


class ServerError(Exception):
    """A server did not start, or died."""


class Server:
    """A program under an agent, listening."""

    def __init__(
        self, program: Program, agent: Agent, sink: Sink, process: subprocess.Popen[bytes], port: int, log: Path
    ) -> None:
        self.program = program
        self.agent = agent
        self.sink = sink
        self._process = process
        self._log = log
        self.url = f"http://127.0.0.1:{port}"

    def served(self) -> dict[str, int]:
        """How many requests each route has answered, by the program's own count."""
        with urllib.request.urlopen(f"{self.url}/served", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts

    def cpu_seconds(self) -> float:
        """CPU time that the whole process tree has used so far."""
        return processes.cpu_seconds(self._process.pid)

    def memory(self) -> processes.Memory:
        """Memory that the whole process tree holds."""
        return processes.memory(self._process.pid)

    def stop(self) -> float:
        """Send SIGTERM and wait; returns the seconds until the process ended."""
        begin = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            return float(_STOPPED_WITHIN_SECONDS)
        return time.perf_counter() - begin

    def wait_until_ready(self) -> None:
        """Return when it answers; raises ServerError when it ends before, or takes too long."""
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            try:
                self.served()
            except OSError:  # urllib's errors are among them
                if self._process.poll() is not None:
                    raise self._error(f"ended with {self._process.returncode}") from None
                time.sleep(0.05)
            else:
                return
        raise self._error(f"did not answer within {_READY_WITHIN_SECONDS} s")

    def _error(self, what: str) -> ServerError:
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return ServerError("\n  ".join([f"{self.program.name} under {self.agent.name} {what}:", *lines]))


@contextmanager
def running(program: Program, agent: Agent, sink: Sink, folder: Path) -> Iterator[Server]:
    """A server that answers requests, killed at the end.

    Args:
        program: what to run.
        agent: what to put in front.
        sink: where the agent sends.
        folder: takes the server's output.
    """
    port = children.free_port()
    log = folder / f"{program.name}-{agent.name}-{port}.log"
    script, *arguments = (word.format(port=port) for word in program.command)
    with (
        log.open("wb") as output,
        children.started(
            agent.command([str(BIN / script), *arguments]),
            cwd=_ROOT,
            env=agent.environ(sink.url),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        server = Server(program, agent, sink, process, port, log)
        server.wait_until_ready()
        yield server
