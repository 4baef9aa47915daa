"""`make demo` from end to end, and what it says when there is nothing to show."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.program import Program

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

ROOT = Path(__file__).parents[1]
DEMO = (sys.executable, "-m", "examples.demo")


@pytest.fixture
def own(tmp_path: Path, run_program: RunProgram) -> Iterator[dict[str, str]]:
    """The environment of a user who has no hub yet; the one that is started there is ended."""
    env = {"PERFAGENT_HUB_DIR": str(tmp_path), "PERFAGENT_HUB_PORT": "0"}
    yield env
    run_program("perfagent", "hub", "--stop", env=env).check()


def run(run_program: RunProgram, *options: str, env: dict[str, str] | None = None) -> Program:
    program = run_program(*DEMO, *options, env=env, cwd=ROOT)
    program.wait(90)
    assert "Traceback" not in program.stderr, program.stderr
    return program


def test_without_an_agent_the_demo_fails_and_says_that_nothing_arrived(run_program: RunProgram) -> None:
    program = run(run_program, "--private", "--seconds=0.2", "--rate=3", "--agent=env")
    assert program.wait() == 1
    assert "no request of the shop arrived" in program.stderr


def test_an_agent_that_does_not_exist_is_named(run_program: RunProgram) -> None:
    program = run(run_program, "--private", "--agent=no-such-agent run")
    assert program.wait() == 1
    assert "'no-such-agent'" in program.stderr


def test_a_shop_that_cannot_start_is_shown_with_what_it_said(run_program: RunProgram) -> None:
    program = run(run_program, "--private", "--agent=env WEB_CONCURRENCY=none")
    assert program.wait() == 1
    assert "ended at once" in program.stderr
    assert "ValueError: invalid literal for int() with base 10: 'none'" in program.stderr


@pytest.mark.parametrize("agent", ["perfagent run", "opentelemetry-instrument"])
def test_the_demo_finds_the_n_plus_one_and_the_errors_of_the_shop(run_program: RunProgram, agent: str) -> None:
    program = run(run_program, "--private", "--seconds=6", f"--agent={agent}")
    assert program.wait() == 0, program.stderr
    shown = program.stdout
    findings = shown.partition("findings\n")[2]
    assert "GET /customers/{customer_id}/orders" in findings
    assert "order_lines" in findings
    assert "GET /products/{product_id}/rating" in findings
    assert re.search(r"^ +http://127\.0\.0\.1:\d+/#/endpoints/\d+$", findings, re.MULTILINE)
    assert re.search(
        r"through shop and payments\n +http://127\.0\.0\.1:\d+/#/traces/[0-9a-f]{32}$", findings, re.MULTILINE
    )
    assert "\x1b" not in shown


def test_the_users_own_hub_stays_with_the_page_after_the_demo(
    run_program: RunProgram, own: dict[str, str], tmp_path: Path
) -> None:
    program = run(run_program, "--seconds=2", env=own)
    assert program.wait() == 0, program.stderr
    found = lock.find(str(tmp_path))
    assert found is not None
    assert f"{found.address}/?code=" in program.stdout
    assert "perfagent hub --stop" in program.stdout
    assert "shop" in run_program("perfagent", "traces", "--service", "shop", env=own).check()
