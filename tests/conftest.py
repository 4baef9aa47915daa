"""Fixtures that every test may use: a receiver, a free port, and programs in processes of their own."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


pytest_plugins = [
    "tests.hubs", "tests.servers", "tests.brokers", "tests.web", "tests.hub", "tests.browser", "tests.tries",
]  # fmt: skip


def pytest_itemcollected(item: pytest.Item) -> None:
    """What is alone or nightly is slow, too."""
    if item.get_closest_marker("alone") or item.get_closest_marker("nightly"):
        item.add_marker("slow")


class RunProgram(Protocol):
    """The type of the fixture `run_program`."""

    def __call__(self, *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Program: ...


class RunText(Protocol):
    """The type of the fixture `run_text`."""

    def __call__(self, text: str, *, bare: bool = False, **env: str) -> Program: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running OTLP/HTTP receiver; `receiver.url` is what OTEL_EXPORTER_OTLP_ENDPOINT wants."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def free_port() -> int:
    """A TCP port on the loopback address that nothing listens on."""
    return find_free_port()


@pytest.fixture
def run_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunProgram]:
    """Starts commands with a clean environment plus `env`; they and all that they started are killed at the end."""
    programs: list[Program] = []

    def run(*command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Program:
        program = Program(command, tmp_path_factory.mktemp("program"), env, cwd)
        programs.append(program)
        return program

    yield run
    for program in programs:
        program.stop()


@pytest.fixture
def run_text(run_program: RunProgram, receiver: Receiver, tmp_path: Path) -> RunText:
    """Runs a program's text until it exits with 0: under the agent, which sends to `receiver`, or bare."""

    def run(text: str, *, bare: bool = False, **env: str) -> Program:
        path = tmp_path / "prog.py"
        path.write_text(dedent(text))
        agent = () if bare else ("perfagent", "run")
        program = run_program(*agent, sys.executable, str(path), env=agent_env(receiver, **env))
        program.check()
        return program

    return run
