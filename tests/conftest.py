"""Fixtures that every test may use: a receiver, a free port, and programs in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.otlp import Receiver
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


pytest_plugins = ["tests.servers"]


class RunProgram(Protocol):
    """The type of the fixture `run_program`."""

    def __call__(self, *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Program: ...


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
