"""Runs a command for a profiler: its terminal, signals and exit status are those that it would have without."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

FORWARDED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
LOOK = 0.02  # seconds between two looks at a process where the system cannot tell of its end
PATIENCE = 10.0  # seconds that a command has to end after SIGTERM


class CommandError(Exception):
    """Why a command cannot be run, for people; `status` is what a shell would exit with: 126 or 127."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Command:
    """A command that runs in this terminal; signals that this process gets are passed on to it.

    Args:
        words: the program and its arguments.
        env: its environment; that of this process when left out.

    Raises:
        CommandError: it is not found, or cannot be run.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.status: int | None = None
        """How it ended: its exit status, or 128 and the number of the signal that killed it."""
        self.usage: resource.struct_rusage | None = None
        """What it and the children that it waited for have used, once it has ended."""
        self.floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        """Its `ru_maxrss` is never below our own: until the program is loaded, the new process has our memory."""
        self._early: list[int] = []
        self.pid = 0
        self._forward_signals()
        try:
            self._process = subprocess.Popen(words, env=env)  # noqa: S603 - the user's own command
        except FileNotFoundError:
            raise CommandError(f"{words[0]}: no such command on PATH, or no such file", 127) from None
        except OSError as error:
            hint = f"; try `python {words[0]}`" if words[0].endswith(".py") else ""
            raise CommandError(f"{words[0]} cannot be run: {error.strerror}{hint}", 126) from None
        self.pid = self._process.pid
        self._end = End(self.pid)
        for number in self._early:
            self._send(number)

    def wait(self, seconds: float) -> bool:
        """Waits for its end, for so many seconds at most; returns whether it has ended."""
        if self.status is None and self._end.wait(seconds):
            _pid, code, self.usage = os.wait4(self.pid, 0)
            code = os.waitstatus_to_exitcode(code)
            self._process.returncode = code  # Popen is not to wait for it again
            self.status = code if code >= 0 else 128 - code
        return self.status is not None

    @property
    def peak(self) -> int:
        """The most bytes of memory that it, or one of the children that it waited for, had at a time; 0: not known."""
        most = self.usage.ru_maxrss if self.usage is not None else 0
        return most * (1 if sys.platform == "darwin" else 1024) if most > self.floor else 0

    def stop(self) -> None:
        """Ends it by SIGTERM, and where that takes more than 10 s by SIGKILL."""
        self._send(signal.SIGTERM)
        if not self.wait(PATIENCE):
            self._send(signal.SIGKILL)
            while not self.wait(1):
                pass

    def _forward_signals(self) -> None:
        for name in FORWARDED:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # `nohup` stays in force
                signal.signal(number, self._forward)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if not self.pid:
            self._early.append(number)
        elif not (number in (signal.SIGINT, signal.SIGQUIT) and is_typed()):
            self._send(number)

    def _send(self, number: int) -> None:
        if self.status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass


def is_typed() -> bool:
    """Whether this process is in a terminal's foreground, so that the command gets its keys (Ctrl-C) by itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


class End:
    """The end of a process, of our own or another: told at once on Linux, else by looking every 20 ms.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = -1
        if hasattr(os, "pidfd_open"):
            try:
                self._descriptor = os.pidfd_open(pid)
            except OSError:
                pass

    def wait(self, seconds: float) -> bool:
        """Waits for it, for so many seconds at most; returns whether it has come."""
        if self._descriptor >= 0:
            return bool(select.select([self._descriptor], [], [], max(seconds, 0))[0])
        until = time.monotonic() + seconds
        while not self._has_come():
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, LOOK))
        return True

    def _has_come(self) -> bool:
        import psutil

        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
