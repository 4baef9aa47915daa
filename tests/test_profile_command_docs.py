"""What the pages of profile, memory, limits and optimizer show works as they show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.test_docs import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver


@pytest.mark.slow
def test_the_page_of_profile_works(run_program: RunProgram, tmp_path: Path) -> None:
    command, process, compared = blocks("docs/how-to/profile.md", "sh")
    first = run_program("sh", "-ec", command, cwd=tmp_path)
    first.check(60)
    assert "memory (USS)" in first.stderr
    assert (tmp_path / "run.svg").read_text().startswith("<?xml")
    assert '"summary"' in run_program("sh", "-ec", process, cwd=tmp_path).check(60)
    verdict = run_program("sh", "-c", compared, cwd=tmp_path)
    assert verdict.wait(60) in (0, 1)  # the machine may be busier the second time
    assert "worse" in verdict.stdout


@pytest.mark.slow
def test_the_page_of_memory_works(run_program: RunProgram, tmp_path: Path) -> None:
    (script,) = blocks("docs/how-to/memory.md", "python")
    (tmp_path / "leak.py").write_text(script)
    once, compared = blocks("docs/how-to/memory.md", "sh")
    shown = run_program("sh", "-ec", once, cwd=tmp_path)
    shown.check(60)
    first = shown.stderr.split("at the end\n")[1].splitlines()[1]
    assert first.startswith("leak.py:9 ")
    assert first.endswith("json/decoder.py:353") or "json/decoder.py:" in first
    assert run_program("sh", "-ec", compared, cwd=tmp_path).check(60).splitlines()[2].startswith("leak.py:9 ")


@pytest.mark.slow
def test_the_page_of_limits_works(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    tasks, watched = blocks("docs/how-to/limits.md", "python")
    assert run_program("python", "-c", tasks).check() == "cleaned orders 42 3\n"
    told = run_program("python", "-c", watched, env={"MAX_MEMORY": "2GiB"}).check()
    assert "of 2,147 MB (MAX_MEMORY=2GiB)" in told
    (shell,) = blocks("docs/how-to/limits.md", "sh")
    env = agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="500")
    run_program("sh", "-ec", shell, env=env, cwd=tmp_path).check()
    assert receiver.wait_for_metric("perfagent.resource.limit_exceeded").value >= 1
    assert any("MAX_MEMORY=50MB" in str(record.body) for record in receiver.wait_for_logs(1))


@pytest.mark.slow
def test_the_page_of_the_optimizer_works(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    work, cost = blocks("docs/how-to/optimizer.md", "python")
    (tmp_path / "load.py").write_text(work)
    (shell,) = blocks("docs/how-to/optimizer.md", "sh")
    env = agent_env(receiver, PERFAGENT_HUB_DIR=str(tmp_path / "state"))
    off, _tuned = run_program("sh", "-ec", shell, env=env, cwd=tmp_path).check(100).splitlines()
    assert off == "{'batch_size': 50, 'workers': 2}"
    assert (tmp_path / "state/optimizer/compress.json").exists()
    assert receiver.wait_for_metric("perfagent.optimizer.value")
    ttl = float(run_program("python", "-c", cost).check())
    assert 90 < ttl < 160  # the cheapest is 120 s
