"""A program that the demo starts, watches and ends."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).parent
STARTING = 30  # seconds that a server may take; a slow agent adds two


class DemoError(Exception):
    """Why there is nothing to show."""


class Child:
    """A program of the demo, started where it finds the package `shop`; what it says is kept in a file.

    Args:
        command: as for a shell; a server is given a free port with `--port`.
        directory: for the file.
        environment: all of it, or what it needs besides our own.
        port: of a server; a free one where it is None.
    """

    def __init__(self, command: str, directory: Path, environment: dict[str, str], port: int | None = None) -> None:
        words = shlex.split(command)
        self._log = directory / f"{len(list(directory.iterdir()))}.log"
        self._command = command
        if "uvicorn" in words:
            self._port = _free_port() if port is None else port
            words.append(f"--port={self._port}")
        scripts = str(Path(sys.executable).parent)
        environment = environment or dict(os.environ)
        environment["PATH"] = scripts + os.pathsep + environment.get("PATH", "")
        program = shutil.which(words[0], path=environment["PATH"])
        if program is None:
            raise DemoError(f"there is no program {words[0]!r}, neither in {scripts} nor elsewhere on PATH")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *words[1:]], stdout=log, stderr=log, env=environment, cwd=EXAMPLES, start_new_session=True
            )

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def said(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def wait_for_port(self) -> None:
        """Returns when it accepts connections; raises DemoError."""
        deadline = time.monotonic() + STARTING
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.05)
        reason = f"did not open its port within {STARTING} s" if self.running else "ended at once"
        raise DemoError(f"`{self._command}` {reason}:\n{self.said()}")

    def stop(self) -> None:
        """Asks it to end, and ends it with all that it started if it does not within ten seconds."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
