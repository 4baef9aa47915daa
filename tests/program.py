"""Programs that a test starts as processes of their own, with a clean environment and captured output."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.stack.process import take_port

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# All that a program inherits: nothing that configures Python, OpenTelemetry or the agent.
INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")


class Program:
    """A command that runs in a process group of its own; `stop` ends the whole group.

    Args:
        command: the program and its arguments; found first next to the interpreter that runs the tests.
        directory: where its output is kept, and its working directory unless `cwd` is given.
        env: variables to set besides PATH and the few in `INHERITED`.
        cwd: its working directory.
    """

    def __init__(
        self, command: tuple[str, ...], directory: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.command = command
        self._stdout, self._stderr = directory / "stdout", directory / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=clean_environment({"PERFAGENT_FLIGHT_DIR": str(directory), **(env or {})}),
                cwd=cwd or directory,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self.process.pid

    @property
    def stdout(self) -> str:
        """What it has written to its standard output so far."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written to its standard error so far."""
        return self._stderr.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self.process.poll() is None

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for its end and returns the exit status (minus the signal's number if one killed it).

        Raises:
            AssertionError: after `timeout` seconds, with its output.
        """
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._told(f"still ran after {timeout} s")) from None

    def check(self, timeout: float = PATIENCE) -> str:
        """Waits for its end, asserts that it exited with 0, and returns its standard output."""
        status = self.wait(timeout)
        assert status == 0, self._told(f"exited with {status}")
        return self.stdout

    def terminate(self, timeout: float = PATIENCE) -> int:
        """Sends SIGTERM to the command alone, as a supervisor does, and returns the exit status."""
        self.process.terminate()
        return self.wait(timeout)

    def wait_for_port(self, port: int, timeout: float = PATIENCE) -> None:
        """Returns when something accepts connections on the port; raises with the output if the program ends first."""
        self.wait_until(lambda: _accepts(port), f"port {port} did not open", timeout)

    def wait_for_output(self, text: str, timeout: float = PATIENCE) -> None:
        """Returns when the text stands in its standard output or error; raises with the output if it ends first."""
        self.wait_until(lambda: text in self.stdout or text in self.stderr, f"never wrote {text!r}", timeout)

    def wait_until(self, condition: Callable[[], bool], failure: str, timeout: float = PATIENCE) -> None:
        """Returns when the condition holds.

        Raises:
            AssertionError: with `failure` and the output, after `timeout` seconds or when the program has ended.
        """
        deadline = time.monotonic() + timeout
        while True:
            running = self.running
            if condition():
                return
            assert running, self._told(f"{failure}; exited with {self.process.returncode}")
            assert time.monotonic() < deadline, self._told(f"{failure} within {timeout} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kills the command and all that it started; to be called in any case."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def _told(self, what: str) -> str:
        return f"{' '.join(self.command)}: {what}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def clean_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a program under test: its PATH starts with the scripts of the tests' interpreter, and no hub
    is started unless the test asks for one.
    """
    scripts = str(Path(sys.executable).parent)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1", "PERFAGENT_HUB": "off", **(env or {})}


def find_free_port() -> int:
    """A TCP port on the loopback address that nothing listens on."""
    return take_port(0)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
