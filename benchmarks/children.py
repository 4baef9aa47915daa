"""Starts processes that are gone for sure when the harness is: each leads a session, which is killed as a whole."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import processes

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that leads its own session; at the end the session is killed.

    Args:
        command: the command to run.
        options: further arguments of `subprocess.Popen`.
    """
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_parent, **options)
    try:
        yield process
    finally:
        # By session, not by process group: a child may have made a group of its own.
        for pid, _stat in processes.members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    # Where the harness itself is killed, no `finally` runs.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
