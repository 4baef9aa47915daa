"""What the pages of breakers, error budgets and replication lag show does what they say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from perfagent.resilience.breakers.configuration import read
from tests.replicas import postgres_pair
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram

BREAKERS, BUDGETS, LAG = "docs/how-to/breakers.md", "docs/how-to/error-budgets.md", "docs/how-to/replication-lag.md"


def test_the_page_of_breakers(run_program: RunProgram, tmp_path: Path) -> None:
    printed = [run_program(sys.executable, "-c", block, cwd=tmp_path).check() for block in blocks(BREAKERS, "python")]
    said, _mistake = blocks(BREAKERS, "text")
    assert printed == [said, "7\nin a block\nwithout asyncio, too\nclosed\n", "1.0\n"]


def test_the_file_that_the_page_of_breakers_shows_and_its_mistake(run_program: RunProgram, tmp_path: Path) -> None:
    (text,) = blocks(BREAKERS, "yaml")
    (tmp_path / "config").mkdir()
    path = tmp_path / "config/circuit-breakers.yaml"
    path.write_text(text)
    assert read(path).rules("payments").failure_threshold == 3
    path.write_text(text.replace("recovery_time: 10", "recovery_time: -1"))
    program = run_program(sys.executable, "-c", "import perfagent; perfagent.get_breaker('x')", cwd=tmp_path)
    assert program.wait() == 1
    _said, mistake = blocks(BREAKERS, "text")
    assert " ".join(mistake.split()) in program.stderr


def test_the_page_of_error_budgets(run_program: RunProgram, tmp_path: Path) -> None:
    (block,) = blocks(BUDGETS, "python")
    env = {"ERROR_BUDGETS": "api=1000,worker=500", "ERROR_BUDGET_DIR": str(tmp_path)}
    shown = run_program(sys.executable, "-c", block, env=env).check()
    assert shown == "996\nworker: 500 errors, 500 are allowed\nTrue\n"


@pytest.mark.slow
def test_the_page_of_replication_lag(run_program: RunProgram, tmp_path: Path) -> None:
    with postgres_pair() as pair:
        env = {"REPLICATION_DSN": pair.replica}
        once, script = blocks(LAG, "sh")
        assert run_program("sh", "-ec", once, env=env).check().endswith(": 0.000 s behind\n")
        assert '"lag_seconds": 0.0' in run_program("sh", "-ec", script, env=env).check()
        (block,) = blocks(LAG, "python")
        assert run_program(sys.executable, "-c", block, env=env).check() == "0 s behind\n"
