"""`perfagent rules`: the rules are valid, complete, those of the repository, and fire when they should, by promtool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tools.stack.build import is_built, program
from tools.stack.parts import PARTS
from tools.stack.programs import PORTS

from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.rules import alerts
from perfagent.hub.rules.figures import FIGURES
from perfagent.hub.rules.rule import scalar
from tests.servers import missing

if TYPE_CHECKING:
    from tests.conftest import RunProgram

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "collector" / "prometheus"
RULES, CASES = PROMETHEUS / "rules", PROMETHEUS / "tests"
PAGE = "http://localhost:4388"  # where Compose and `make stack` have the hub's page; 4318 is the Collector's
OURS = ("--project", str(PROMETHEUS), "--page", PAGE)
NAME = re.compile(r"(\w+) (fires|is silent): .+")


def promtool(*words: object) -> str:
    """What promtool says; fails with it where it is not content."""
    if not is_built(PARTS["prometheus"]):
        missing("promtool", "python -m tools.stack build prometheus")
    command = [str(word) for word in (program(PARTS["prometheus"], "promtool"), *words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(directory: Path = RULES) -> list[dict[str, Any]]:
    """Every rule of the files of a folder, as YAML has them."""
    groups = [group for file in sorted(directory.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def exported(alert: str, severity: str, directory: Path) -> dict[str, Any]:
    """The one alert of that name and severity."""
    (found,) = (
        rule for rule in rules(directory) if rule.get("alert") == alert and rule["labels"]["severity"] == severity
    )
    return found


# What is exported


def test_the_files_of_the_repository_are_what_the_command_writes(run_program: RunProgram) -> None:
    program = run_program("perfagent", "rules", "export", *OURS, "--directory", str(RULES), "--check")
    assert program.wait() == 0, program.stderr


def test_the_alerts_of_the_repository_lead_to_where_its_stack_has_the_page() -> None:
    pages = {rule["annotations"]["dashboard"].partition("/#/")[0] for rule in rules() if "alert" in rule}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["hub"]["ports"]
    assert pages == {PAGE} == {f"http://localhost:{PORTS['hub:4318']}"}
    assert compose == [f"127.0.0.1:{PORTS['hub:4318']}:4318"]


def test_the_check_names_what_differs_and_an_export_puts_it_right(run_program: RunProgram, tmp_path: Path) -> None:
    words = ("perfagent", "rules", "export", "--project", str(PROMETHEUS), "--directory", str(tmp_path))
    assert run_program(*words, "--check").wait() == 1
    run_program(*words).check()
    assert run_program(*words, "--check").wait() == 0
    alien, old = tmp_path / "mine.yml", tmp_path / "old_alerts.yml"
    alien.write_text("groups: []\n")
    old.write_text((tmp_path / "cache_alerts.yml").read_text())
    (tmp_path / "app_alerts.yml").write_text((tmp_path / "app_alerts.yml").read_text().replace("> 5", "> 6"))
    program = run_program(*words, "--check")
    assert program.wait() == 1
    assert "(app_alerts.yml, old_alerts.yml)" in program.stderr
    assert "written anew: app_alerts.yml, old_alerts.yml" in run_program(*words).check()
    assert alien.exists()
    assert not old.exists()


def test_promtool_accepts_every_rule(tmp_path: Path, run_program: RunProgram) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    one = tmp_path / "all.yml"
    one.write_text(run_program("perfagent", "rules", "export", "--project", str(PROMETHEUS)).check())
    promtool("check", "rules", one)


def test_every_threshold_has_a_figure_and_every_limit_an_alert() -> None:
    assert [figure.threshold for figure in FIGURES] != []
    assert {figure.threshold for figure in FIGURES} == set(DEFAULTS)
    assert len({figure.alert for figure in FIGURES}) == len(FIGURES)
    made = {(rule["labels"]["threshold"], rule["labels"]["severity"]) for rule in rules() if "alert" in rule}
    limits = {
        (one.name, one.severity if severity == "warning" else severity)
        for one in DEFAULTS.values()
        for severity in ("warning", "critical")
        if getattr(one, severity) is not None
    }
    assert made == limits | {("slo_burn", "critical"), ("slo_burn", "warning")}


def test_every_alert_tells_what_is_wrong_what_to_do_and_where_to_read_on() -> None:
    for rule in rules():
        if "alert" in rule:
            told = rule["annotations"]
            assert set(told) == {"summary", "description", "runbook_url", "dashboard"}
            assert told["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
            assert "<" not in told["summary"] + rule["expr"].replace(" < ", "").replace(" <= ", ""), rule["alert"]


def test_the_limits_are_in_the_units_of_prometheus(tmp_path: Path, run_program: RunProgram) -> None:
    expected = {
        ("SlowResponses", "warning"): "> 2",  # 2000 ms
        ("BlockedEventLoop", "warning"): "> 0.25",
        ("FailingRequests", "critical"): "> 0.1",  # 10 %
        ("CacheHardlyHit", "critical"): "< 0.5",
        ("HealthCheckFailed", "critical"): "== 0",
        ("CircuitBreakerOpen", "warning"): "> 0",
    }
    for (alert, severity), limit in expected.items():
        assert f") {limit}" in exported(alert, severity, RULES)["expr"], alert


def test_changed_limits_change_the_rules(tmp_path: Path, run_program: RunProgram) -> None:
    changes = {
        "error_rate_percent": {"warning": 1.5, "violations": 0, "cooldown_minutes": 0},
        "response_time_p95_ms": {"critical": None},
        "cache_hit_rate_percent": {"enabled": False},
    }
    env = {"PERFORMANCE_ALERT_THRESHOLDS": json.dumps(changes), "PERFAGENT_NAMESPACE": "acme.web"}
    words = (
        "--directory",
        str(tmp_path),
        "--runbooks",
        "https://wiki.example/runbooks/",
        "--page",
        "https://hub.example/",
    )
    run_program("perfagent", "rules", "export", *words, env=env).check()
    promtool("check", "rules", *sorted(tmp_path.glob("*.yml")))
    at_once = exported("FailingRequests", "warning", tmp_path)
    assert (at_once["for"], at_once.get("keep_firing_for")) == ("0s", None)
    assert ") > 0.015" in at_once["expr"]
    assert "[1m]" in at_once["expr"]
    assert "[2m]" not in at_once["expr"]
    assert at_once["annotations"]["runbook_url"] == "https://wiki.example/runbooks/FailingRequests.md"
    assert at_once["annotations"]["dashboard"].startswith("https://hub.example/#/endpoints?")
    patient = exported("SlowResponses", "warning", tmp_path)
    assert (patient["for"], patient["keep_firing_for"]) == ("3m", "15m")
    names = {(rule["alert"], rule["labels"]["severity"]) for rule in rules(tmp_path)}
    assert ("SlowResponses", "critical") not in names
    assert not any(alert == "CacheHardlyHit" for alert, _ in names)
    assert "acme_web_eventloop_lag_seconds_bucket" in exported("BlockedEventLoop", "warning", tmp_path)["expr"]


def test_a_limit_that_is_off_exports_nothing_and_says_what_is_accepted(run_program: RunProgram, tmp_path: Path) -> None:
    env = {"PERFAGENT_ALERT_THRESHOLDS": '{"error_rate": {"warning": 1}}'}
    program = run_program("perfagent", "rules", "export", "--directory", str(tmp_path / "rules"), env=env)
    assert program.wait() == 2
    assert "'error_rate' is no threshold; did you mean error_rate_percent?" in program.stderr
    program = run_program("perfagent", "rules", "list", env={"PERFAGENT_ALERT_THRESHOLDS": "warning=1"})
    assert program.wait() == 2
    assert "PERFAGENT_ALERT_THRESHOLDS='warning=1' is not accepted: a JSON object" in program.stderr
    assert not (tmp_path / "rules").exists()
    program = run_program("perfagent", "rules", "export", "--check")
    assert program.wait() == 2
    assert "--check needs --directory" in program.stderr


def test_the_list_shows_every_rule_to_people_and_machines(run_program: RunProgram) -> None:
    words = ("perfagent", "rules", "list", "--project", str(PROMETHEUS))
    found = json.loads(run_program(*words, "--output", "json").check())["rules"]
    assert len(found) == len(rules())
    (lag,) = (one for one in found if one["name"] == "ReplicaBehind" and one["severity"] == "critical")
    assert (lag["file"], lag["threshold"], lag["for"]) == ("database_alerts.yml", "replication_lag_ms", "3m")
    shown = run_program(*words, env={"COLUMNS": "150"}).check()
    assert re.search(r"^ReplicaBehind +critical +3m +database_alerts.yml +replication_lag_ms +\( max by", shown, re.M)


def test_a_closed_pipe_and_a_full_disk_are_no_tracebacks(run_program: RunProgram) -> None:
    program = run_program("bash", "-c", "set -o pipefail; perfagent rules list --output json | true")
    assert (program.wait(), program.stderr) == (0, "")
    program = run_program("sh", "-c", "perfagent rules export > /dev/full")
    assert (program.wait(), program.stderr) == (2, "perfagent: standard output: No space left on device\n")


def test_the_command_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; sys.path.insert(0, 'src');"
        "sys.modules['tomli'] = None; from perfagent.cli import main; main(['rules', 'list']);"
        "print([n for n in ('fastapi', 'duckdb', 'yaml', 'rich', 'pydantic', 'prometheus_client') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_yaml_reads_back_what_was_written() -> None:
    texts = [
        "plain",
        "yes",
        "null",
        "5m",
        "1.5",
        "a: b",
        "a #b",
        "-",
        "{{ $value }}",
        'say "x"',
        "",
        "x:",
        "ä → b",
        "~",
    ]
    for text in texts:
        assert yaml.safe_load(f"key: {scalar(text)}\n")["key"] == text


def test_a_threshold_without_minutes_fires_at_once_and_one_that_is_off_not_at_all() -> None:
    (figure,) = (figure for figure in FIGURES if figure.threshold == "error_rate_percent")
    limit = DEFAULTS["error_rate_percent"]
    for violations, lasting in ((0, "0s"), (1, "0s"), (2, "2m"), (10, "10m")):
        made = list(alerts.rules(figure, replace(limit, violations=violations), alerts.Places()))
        assert [rule.lasting for rule in made] == [lasting, lasting]
    assert list(alerts.rules(figure, replace(limit, enabled=False), alerts.Places())) == []


# When they fire


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(CASES.glob("*.yml")), ids=lambda file: file.stem)
def test_the_alerts_fire_when_they_should_and_are_silent_near_the_limit(file: Path) -> None:
    promtool("test", "rules", file)


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent() -> None:
    said: set[tuple[str, str]] = set()
    for file in CASES.glob("*.yml"):
        for case in yaml.safe_load(file.read_text())["tests"]:
            named = NAME.fullmatch(case["name"])
            assert named, case["name"]
            asked = case.get("promql_expr_test", [])
            assert all(f'alertname="{named[1]}"' in one["expr"] for one in asked), case["name"]
            whole = case.get("alert_rule_test", [])
            assert all(one["alertname"] == named[1] for one in whole), case["name"]
            fired = any(one["exp_samples"] for one in asked) or any(one["exp_alerts"] for one in whole)
            assert fired == (named[2] == "fires"), case["name"]
            said.add((named[1], named[2]))
    names = {rule["alert"] for rule in rules() if "alert" in rule}
    assert said == {(name, outcome) for name in names for outcome in ("fires", "is silent")}


def test_every_severity_of_every_threshold_fires_in_some_case() -> None:
    fired = set()
    for file in CASES.glob("*.yml"):
        for case in yaml.safe_load(file.read_text())["tests"]:
            for one in case.get("promql_expr_test", []):
                for sample in one["exp_samples"]:
                    fired.add((case["name"].split()[0], re.search(r'severity="(\w+)"', sample["labels"])[1]))  # type: ignore[index]
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in rules() if "alert" in rule}
