"""The garbage collector as PERFAGENT_GC_THRESHOLD and SHORT_LIVED_PROCESS set it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver

SHOWN = "import gc; print(gc.isenabled(), gc.get_stats()[2]['collections'], gc.get_threshold())"


def test_a_short_lived_process_collects_once_and_then_never(receiver: Receiver, run_program: RunProgram) -> None:
    code = f"{SHOWN}\nrows = [[] for _ in range(300_000)]\n{SHOWN}"
    env = agent_env(receiver, SHORT_LIVED_PROCESS="1")
    first, last = run_program("perfagent", "run", "python", "-c", code, env=env).check().splitlines()
    assert first.startswith("False 1 ")
    assert last == first


def test_a_process_that_it_starts_has_the_thresholds_too(receiver: Receiver, run_program: RunProgram) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOWN!r}])"
    env = agent_env(receiver, PERFAGENT_GC_THRESHOLD="1000,10,10")
    shown = run_program("perfagent", "run", "python", "-c", code, env=env).check()
    assert shown.endswith("(1000, 10, 10)\n")


@pytest.mark.parametrize("text", ["99999999999999999999,10,10", "1,2,3,4", "1000;10;10", "1.5,10,10"])
def test_thresholds_that_are_none_are_named_and_the_agent_starts(
    text: str, receiver: Receiver, run_program: RunProgram
) -> None:
    code = "import gc, sys; print(gc.isenabled(), 'perfagent.runtime.pipeline' in sys.modules)"
    env = agent_env(receiver, PERFAGENT_GC_THRESHOLD=text)
    program = run_program("perfagent", "run", "python", "-c", code, env=env)
    assert program.check() == "True True\n"
    assert f"PERFAGENT_GC_THRESHOLD={text!r}" in program.stderr
    assert "1000,10,10" in program.stderr
