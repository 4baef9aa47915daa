"""One process of the stack: started in a group of its own, watched until it answers, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
STARTING = 60  # seconds until a process must answer; a busy two-core machine takes 20
ENDING = 10  # seconds after SIGTERM until it is killed


class StackError(Exception):
    """Why the stack does not run, with the end of what the process at fault said."""


@dataclass(slots=True)
class Process:
    """A program of the stack.

    Args:
        name: for people, and of its log.
        command: the program and its words.
        environ: what it gets besides our own environment.
        ready: address that answers with 2xx once it serves; "" where it is ready at once.
        directory: its working directory; its log is beside it.
        addresses: what people open or send to, by what it is for.
    """

    name: str
    command: Sequence[str]
    ready: str
    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; to be asked only after `start`."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file of what it says."""
        return self.directory.parent / f"{self.name}.log"

    def start(self) -> None:
        """Starts it; one that was killed starts again with what it has on disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in self.command],
                cwd=self.directory,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Returns when it serves; raises StackError where it ends or takes too long."""
        deadline = time.monotonic() + STARTING
        while self.ready and not _answers(self.ready):
            if not self.running:
                assert self._process is not None
                raise StackError(f"{self.name} ended at once with {self._process.returncode}:\n{self.said()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} does not answer at {self.ready} within {STARTING} s:\n{self.said()}")
            time.sleep(0.1)

    def said(self) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        except FileNotFoundError:
            return ""

    def kill(self) -> None:
        """SIGKILL: it cannot tidy up."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL where it does not end; harmless where it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING)
        self._signal(signal.SIGKILL)  # whatever it has started and left behind
        self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def end_as_by_interrupt() -> None:
    """Makes a supervisor's SIGTERM and a closed terminal what Ctrl-C is, so that what was started is stopped."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


FREE = range(12_000, 32_000)
"""Ports below those that Linux gives to outgoing connections, one of which could take a port before its server does."""
_taken: set[int] = set()


def take_port(wanted: int) -> int:
    """That port where nothing listens on it, else a free one, as for 0; each is given once."""
    for port in ([wanted] if wanted else []) + random.sample(FREE, 500):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                if port == wanted or port not in _taken:
                    _taken.add(port)
                    return port
    raise StackError(f"no port is free on {HOST}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:  # noqa: S310 - our own addresses
            return 200 <= response.status < 300
    except (urllib.error.URLError, OSError):
        return False
