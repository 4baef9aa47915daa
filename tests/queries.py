"""Runs a program that asks databases, under the agent and without it, and keeps what it printed and exported."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.otlp import Point, Span

ROOT = Path(__file__).parent.parent


class Run:
    """One run of a part of a program in `tests/apps` under the agent.

    Args:
        app: the program's file name.
        part: its argument.
        directory: for its output.
        env: variables to set besides the agent's.
    """

    def __init__(self, app: str, part: str, directory: Path, **env: str) -> None:
        self.command = ("python", str(ROOT / "tests" / "apps" / app), part)
        self.directory = directory
        self.env = {"PYTHONPATH": str(ROOT), **env}
        with Receiver() as self.receiver:
            program = Program(("perfagent", "run", *self.command), directory, agent_env(self.receiver, **self.env))
            self.stdout = program.check()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.2)
        self.spans: list[Span] = self.receiver.spans
        self.points: list[Point] = self.receiver.points

    def bare(self) -> str:
        """What the program prints without the agent."""
        (self.directory / "bare").mkdir()
        return Program(self.command, self.directory / "bare", self.env).check()

    @property
    def queries(self) -> list[Span]:
        """The spans of statements, by their start."""
        return sorted((span for span in self.spans if span.kind == "CLIENT"), key=lambda span: span.start)

    def where(self, condition: Callable[[Span], bool]) -> list[Span]:
        """The spans of statements for which it holds."""
        return [span for span in self.queries if condition(span)]

    def texts(self, parent: str) -> list[str]:
        """The statements below the span of that name, in their order."""
        return [text(span) for span in self.below(parent)]

    def below(self, parent: str) -> list[Span]:
        """The spans of statements whose parent is the span of that name."""
        (above,) = [span for span in self.spans if span.name == parent]
        return self.where(lambda span: span.parent_id == above.span_id and span.trace_id == above.trace_id)

    def exported(self) -> bytes:
        """All that left the process."""
        bodies = [request.body for request in self.receiver.requests]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


def text(span: Span) -> str:
    """The statement of a span."""
    return str(span.attributes["db.query.text"])
