"""The receiver that agents send to, as the harness sees it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import children

_ROOT = Path(__file__).parent.parent

HEALTHY = "ok"
FAULTS = ("refused", "hanging", "503", "429", "garbage")


class Sink:
    """A running receiver, or in the mode "refused" a port where nobody listens."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def received(self) -> dict[str, int]:
        """What came in since the last call: "requests", "bytes", and the counts of `spans.count`."""
        # Counting decodes every payload, which takes it a while after a long run.
        with urllib.request.urlopen(f"{self.url}/received", timeout=300) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


@contextmanager
def running(mode: str = HEALTHY) -> Iterator[Sink]:
    """A receiver in a process of its own, stopped at the end.

    Args:
        mode: "ok", or one of `FAULTS`: "hanging" reads and never answers, "garbage" answers 200 and nonsense.
    """
    if mode == "refused":
        yield Sink(children.free_port())
        return
    command = [sys.executable, "-m", "benchmarks.sink_server", mode]
    with children.started(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Sink(int(process.stdout.readline()))
