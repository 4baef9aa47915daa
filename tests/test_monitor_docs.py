"""A newcomer's way through the page of the performance monitor, without an agent and with one and a hub."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hubs import Home

PAGE = "docs/how-to/monitor.md"


def test_the_pages_program_runs_without_an_agent(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("\n".join(blocks(PAGE, "python")))
    shown = run_program(sys.executable, "shop.py", cwd=tmp_path).check()
    assert shown.startswith("1 ")
    assert "2 users, 1 session\n" in shown
    assert "a baseline of 60 minutes is asked for, and there are 0 of them: come back in 60 min\n" in shown
    assert "True 0.0" in shown
    assert shown.endswith("('age',)\n")


@pytest.mark.slow
def test_the_pages_commands_show_it_in_a_hub(run_program: RunProgram, home: Home, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("\n".join(blocks(PAGE, "python")))
    (commands,) = blocks("docs/how-to/monitor.md", "sh")
    program = run_program(
        "sh", "-ec", commands, env=home.env(OTEL_SERVICE_NAME="shop", PERFAGENT_EXIT_TIMEOUT="30000"), cwd=tmp_path
    )
    shown = program.check(60)
    assert "shop" in shown[shown.index("('age',)") :]
    names = {one["name"] for one in home.get("metrics?limit=500", timeout=30)["items"]}
    assert {"orders.open", "perfagent.block.duration", "perfagent.queue.backlog"} <= names
