"""What the pages on objectives and on optimisation rules show works as it stands there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.optimise.actions import ACTIONS
from perfagent.hub.optimise.optimiser import MOST_AN_HOUR
from perfagent.hub.optimise.rule import BUILT_IN, read
from perfagent.hub.rules import objectives
from perfagent.hub.rules.burn import BURNS, LEAST_BAD
from perfagent.runtime.metric import SECONDS
from tests.program import clean_environment
from tests.test_docs import ROOT, blocks
from tests.test_docs_hub import shell

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hubs import Home

OBJECTIVES, OPTIMISE = "docs/how-to/objectives.md", "docs/how-to/optimise.md"


def test_the_tables_that_the_pages_show_are_accepted() -> None:
    (text,) = blocks(OBJECTIVES, "toml")
    found = objectives.read(tomllib.loads(text), SECONDS)
    assert [(one.name, one.window_days) for one in found] == [("shop-availability", 30), ("items-latency", 7)]
    (text,) = blocks(OPTIMISE, "toml")
    rule = read(tomllib.loads(text)["optimisation"][0], "perfagent.toml")
    assert (rule.cooldown_minutes, rule.undo_minutes, rule.measure_seconds) == (10, 30, 120)


def test_the_figures_that_the_pages_tell_are_those_of_the_code() -> None:
    page = (ROOT / OBJECTIVES).read_text()
    month = objectives.Objective("a", "shop", 99.9, "availability")
    for burn in BURNS:
        assert f"| {burn.factor(month):g} | {burn.spent * 100:g} % in" in page
    assert LEAST_BAD == 10
    page = (ROOT / OPTIMISE).read_text()
    assert all(
        f"| `{rule.name}` |" in page and f"| {rule.cooldown_minutes} min |" in page for rule in BUILT_IN.values()
    )
    assert all(f"`{name}`" in page for name in ACTIONS)
    assert MOST_AN_HOUR == 6


@pytest.mark.slow
def test_the_commands_that_the_pages_show_are_answered(home: Home, tmp_path: Path) -> None:
    env: dict[str, Any] = clean_environment(home.env(PERFAGENT_HUB_OPEN="never"))
    start, shown, rules = blocks(OBJECTIVES, "sh")
    first = start.splitlines()[0]
    for block in (first, shown, rules, *blocks(OPTIMISE, "sh")):
        block = block.replace(
            "perfagent slo show shop-availability", "perfagent slo show shop-availability || test $? = 1"
        )
        done = shell(block, env, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), (block, done.stdout, done.stderr, home.log)
    assert home.get("objectives")["items"][0]["origin"] == "PERFAGENT_SLO"
    assert (tmp_path / "rules" / "recording.yml").exists()
    done = shell(start.splitlines()[1].replace("perfagent hub --background", "perfagent rules list"), env, tmp_path)
    assert "SloBurnsFast" in done.stdout
