"""A web program under the agent, asked over real connections, and what it sent about it."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.agent import agent_env
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.otlp import Receiver, Span

ROOT = Path(__file__).parent.parent


class StartWeb(Protocol):
    """The type of the fixture `start_web`."""

    def __call__(self, *command: str, **env: str) -> Web: ...


class Web:
    """A server that `perfagent run` has started.

    Args:
        receiver: takes its telemetry.
        directory: takes its output, and is its HOME.
        command: what to run; `PORT` in it becomes the port.
        env: further variables.
    """

    def __init__(self, receiver: Receiver, directory: Path, *command: str, **env: str) -> None:
        self.receiver = receiver
        self.port = find_free_port()
        words = [word.replace("PORT", str(self.port)) for word in command]
        variables = agent_env(receiver, HOME=str(directory), **env)
        self.program = Program(("perfagent", "run", *words), directory, variables, cwd=ROOT)
        try:
            self.program.wait_for_port(self.port)
        except BaseException:
            self.program.stop()
            raise

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """The response, read to its end; its body is in `body`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            try:
                response.body = response.read()  # type: ignore[attr-defined]
            except http.client.IncompleteRead as error:
                response.body = error.partial  # type: ignore[attr-defined]
            return response
        finally:
            connection.close()

    def server_spans(self, path: str, count: int = 1) -> list[Span]:
        """The server spans of a path, as soon as there are so many."""
        return self.receiver.wait_for_spans(
            count, where=lambda span: span.kind == "SERVER" and span.attributes["url.path"] == path
        )

    def server_span(self, path: str) -> Span:
        """The one server span of a path."""
        (span,) = self.server_spans(path)
        return span

    def spans_of(self, path: str) -> list[Span]:
        """Every server span of a path so far."""
        return [span for span in self.receiver.spans if span.kind == "SERVER" and span.attributes["url.path"] == path]

    def child(self, parent: Span) -> Span:
        """The one span whose parent this is."""
        (span,) = self.receiver.wait_for_spans(1, where=lambda span: span.parent_id == parent.span_id)
        return span


@pytest.fixture
def start_web(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWeb]:
    """Starts web programs that send to `receiver`; they and all that they started are killed at the end."""
    started: list[Web] = []

    def start(*command: str, **env: str) -> Web:
        started.append(Web(receiver, tmp_path_factory.mktemp("web"), *command, **env))
        return started[-1]

    yield start
    for web in started:
        web.program.stop()
