"""A run of a program of `tests/apps` that sends and receives, and what it told."""

from __future__ import annotations

import gzip
import itertools
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
                self.stdout = program.check()
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


class Queue:
    """A worker under the agent, and clients that send to it; `printed` is what one of these said.

    Args:
        receiver: of what all of them tell.
        directory: for what they write.
        worker: the worker's command.
        app: the client's path, which is called with a word.
        env: where the broker is.
    """

    def __init__(self, receiver: Receiver, directory: Path, worker: tuple[str, ...], app: str, **env: str) -> None:
        self.printed = ""
        self._clients: set[object] = set()
        self.receiver, self._app, self._directories = receiver, app, (directory / str(n) for n in itertools.count())
        self.env = agent_env(receiver, HOME=str(directory), PYTHONPATH=str(ROOT), **env)
        self.worker = Program(("perfagent", "run", *worker), directory, self.env, ROOT)

    def send(self, word: str) -> str:
        """What a client prints that sends something and waits for it."""
        directory = next(self._directories)
        directory.mkdir()
        program = Program(("perfagent", "run", "python", str(ROOT / self._app), word), directory, self.env, ROOT)
        self._clients.add(program.pid)
        try:
            return program.check().strip()
        finally:
            program.stop()

    def spans(self, name: str, count: int = 1) -> list[Span]:
        """The spans of that name by their start, as soon as there are so many."""
        found = self.receiver.wait_for_spans(count, where=lambda span: span.name == name)
        return sorted(found, key=lambda span: span.start)

    def below(self, parent: Span, name: str, count: int = 1) -> list[Span]:
        """Those below one span, by their start, as soon as there are so many."""
        found = self.receiver.wait_for_spans(
            count, where=lambda span: span.name == name and span.parent_id == parent.span_id
        )
        return sorted(found, key=lambda span: span.start)

    def orphans(self) -> set[str]:
        """The names of what a worker's processes asked Redis for with nobody above it."""
        self.receiver.wait_until_quiet(0.5)
        return {
            span.name
            for span in self.receiver.spans
            if not span.parent_id
            and span.attributes.get("db.system.name") == "redis"
            and span.resource["process.pid"] not in self._clients
        }
