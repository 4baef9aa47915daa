"""A run of a program of `tests/apps` that sends and receives, and what it told."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import Program

if TYPE_CHECKING:
    from tests.otlp import Span

ROOT = Path(__file__).parent.parent


class Run:
    """One run of a program under the agent.

    Args:
        app: its path.
        which: its only argument, which begins the name that RUN gives it.
        directory: for its output.
        env: where its broker is.
    """

    def __init__(self, app: str, which: str, directory: Path, **env: str) -> None:
        self.name = f"{which}{os.urandom(4).hex()}"
        self.env = {"RUN": self.name, "PYTHONPATH": str(ROOT), **env}
        with Receiver() as self.receiver:
            command = ("perfagent", "run", "python", str(ROOT / app), which)
            program = Program(command, directory, agent_env(self.receiver, **self.env), ROOT)
            try:
                self.stdout = program.check(60)
            finally:
                program.stop()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.2)
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)

    def named(self, name: str) -> list[Span]:
        """The spans of that name, by start."""
        return [span for span in self.spans if span.name == name]

    def query(self, mark: str) -> Span:
        """The span of the one statement that the program marked so."""
        (found,) = [span for span in self.spans if span.attributes.get("db.query.text") == f"select ? as {mark}"]
        return found

    def processed(self, offset: int) -> list[Span]:
        """Those of the messages at an offset of Kafka's that the program worked on."""
        return [
            span
            for span in self.spans
            if span.kind == "CONSUMER" and span.attributes["messaging.kafka.offset"] == offset
        ]

    def exported(self) -> bytes:
        """All spans and metrics that left the process; what it logs is its own affair."""
        bodies = [request.body for request in self.receiver.requests if not request.path.endswith("/logs")]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)
