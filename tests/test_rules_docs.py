"""Runbooks: one for each alert, whose commands and expressions are accepted; and what the how-to of alerts shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from perfagent.hub.analyse.thresholds import DEFAULTS
from tests.hub import resource, span, traces
from tests.program import clean_environment
from tests.test_alertmanager import CONFIG, tool
from tests.test_alertmanager import alertmanager as alertmanager
from tests.test_docs import ROOT, blocks
from tests.test_rules import promtool, rules

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.test_alertmanager import Alertmanager

PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
HOW_TO = "docs/how-to/alerts.md"
ALERTS = {rule["alert"]: rule["labels"]["threshold"] for rule in rules() if "alert" in rule}
SECTIONS = ["## Look here first", "## Fix it", "## Silence or change it"]


def commands(page: Path, program: str) -> set[str]:
    """The commands of a program that a page shows."""
    return set(re.findall(rf"^    ({program} .+)$", page.read_text(), re.MULTILINE))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {page.stem for page in PAGES} == set(ALERTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_what_to_look_at_what_to_do_and_how_to_silence(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    assert blocks(f"docs/runbooks/{page.name}", "promql")
    (silence,) = commands(page, "amtool")
    assert f"silence add alertname={page.stem} " in silence
    if ALERTS[page.stem] in DEFAULTS:
        assert f"`{ALERTS[page.stem]}`" in text
    assert f"runbooks/{page.name}" in (ROOT / HOW_TO).read_text()


def test_prometheus_accepts_every_expression_of_the_runbooks(tmp_path: Path) -> None:
    found = [block for page in PAGES for block in blocks(f"docs/runbooks/{page.name}", "promql")]
    assert len(found) >= len(PAGES)
    recorded = [{"record": f"block:{number}", "expr": block.strip()} for number, block in enumerate(found)]
    file = tmp_path / "blocks.yml"
    file.write_text(json.dumps({"groups": [{"name": "runbooks", "rules": recorded}]}))
    promtool("check", "rules", "--lint=none", file)


@pytest.mark.slow
def test_every_command_of_the_runbooks_is_one_that_the_hub_answers(hub: ServedHub) -> None:
    hub.send("traces", traces(resource("shop"), span(1), span(2, status=500)))
    env = clean_environment({"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("viewer")})
    shown = {one for page in PAGES for one in commands(page, "perfagent")} - {"perfagent doctor"}  # test_hub_doctor.py
    assert len(shown) > 5
    for command in sorted(shown):
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 1), f"{command}\n{done.stdout}{done.stderr}"  # 1: a finding
        assert done.stdout


def test_the_rules_of_the_how_to_are_exported_as_shown(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "perfagent.toml").write_text("\n".join(blocks(HOW_TO, "toml")))
    exporting = next(block for block in blocks("docs/how-to/alerts.md", "sh") if "rules export" in block)
    program = run_program("sh", "-ec", exporting, cwd=tmp_path)
    program.check()
    assert "ConnectionPoolNearlyUsedUp" in program.stdout
    found = {(rule.get("alert"), rule["labels"].get("severity")): rule for rule in rules(tmp_path / "rules")}
    assert ") > 1.5" in found["SlowResponses", "critical"]["expr"]
    assert (found["FailingRequests", "critical"]["for"], "keep_firing_for" in found["FailingRequests", "critical"]) == (
        "0s",
        False,
    )
    assert not any(name == "ProcessesEndYoung" for name, _ in found)
    assert 'http_route="/checkout"' in (tmp_path / "rules" / "recording.yml").read_text()
    (wiring,) = blocks(HOW_TO, "yaml")
    assert yaml.safe_load(wiring)["rule_files"] == ["rules/*.yml"]
    (tmp_path / "prometheus.yml").write_text(wiring)
    promtool("check", "config", tmp_path / "prometheus.yml")


@pytest.mark.slow
def test_silences_are_made_listed_and_ended_as_shown(alertmanager: Alertmanager, tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(CONFIG.read_text())
    env = {**clean_environment(), "PATH": os.pathsep.join([str(Path(tool("amtool")).parent), os.environ["PATH"]])}
    checking, silencing = (block for block in blocks("docs/how-to/alerts.md", "sh") if "amtool" in block)
    for script in (checking, silencing.replace("http://alertmanager:9093", alertmanager.url)):
        done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "the report runs" in done.stdout
    states = [one["status"]["state"] for one in alertmanager.get("silences")]
    assert states == ["expired"]
