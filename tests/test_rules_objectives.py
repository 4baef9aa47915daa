"""Objectives in perfagent.toml: what is accepted, what is said of the rest, and the rules that they become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfagent.hub.rules import burn
from perfagent.hub.rules.alerts import Places
from perfagent.hub.rules.objectives import BadObjective, Objective, read
from perfagent.runtime.metric import SECONDS
from tests.test_rules import promtool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram

GOOD = {"name": "shop-latency", "service": "shop", "objective": 99, "indicator": "latency", "threshold_ms": 250}


def declared(**changes: Any) -> list[Objective]:
    """The objectives of a file with `GOOD`, changed; None takes a key away."""
    fields = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return read({"slo": [fields]}, SECONDS)


def test_an_objective_is_read_with_its_defaults() -> None:
    assert declared() == [Objective("shop-latency", "shop", 99.0, "latency", 250.0, "", 30)]
    assert declared()[0].budget == 0.01
    assert read({}, SECONDS) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "slo 1: name is missing: give lower-case letters, digits"),
        ({"name": "Shop latency"}, "name='Shop latency' is not accepted: give lower-case letters"),
        ({"service": None}, "slo 1 (shop-latency): service is missing: give the service.name of a program"),
        ({"service": 'a"b'}, "service='a\"b' is not accepted"),
        ({"objective": 100}, "objective=100 is not accepted: give a percentage of at least 50 and below 100"),
        ({"objective": "99"}, "objective='99' is not accepted"),
        ({"objective": 0.999}, "objective=0.999 is not accepted"),
        ({"indicator": "errors"}, "indicator='errors' is not accepted: give availability or latency"),
        ({"threshold_ms": 300}, "threshold_ms=300 is not accepted: give a bound of the buckets"),
        ({"threshold_ms": 300}, "5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000"),
        ({"threshold_ms": None}, "threshold_ms is missing: give a bound"),
        ({"indicator": "availability"}, 'threshold_ms=250 is not accepted: give none, or indicator = "latency"'),
        ({"window_days": 0}, "window_days=0 is not accepted: give a whole number of days from 1 to 90"),
        ({"window": 7}, "'window' is no key of an objective; there are: name, service, objective, indicator"),
    ],
)
def test_what_is_off_is_named_with_what_is_accepted(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadObjective, match=re.escape(said)):
        declared(**changes)


def test_two_objectives_of_one_name_and_one_that_is_no_table_are_refused() -> None:
    with pytest.raises(BadObjective, match=r"slo 2 .shop-latency.: name='shop-latency' is not accepted: give a name"):
        read({"slo": [GOOD, GOOD]}, SECONDS)
    with pytest.raises(BadObjective, match="is no list of tables; write one such as"):
        read({"slo": GOOD}, SECONDS)


def test_the_burn_rates_are_those_of_the_workbook_and_grow_shorter_with_the_window() -> None:
    (month,), (week,) = declared(), declared(window_days=7)
    assert [one.factor(month) for one in burn.BURNS] == pytest.approx([14.4, 6, 3, 1])
    assert [(one.severity, one.long, one.short) for one in burn.BURNS] == [
        ("critical", "1h", "5m"),
        ("critical", "6h", "30m"),
        ("warning", "1d", "2h"),
        ("warning", "3d", "6h"),
    ]
    assert burn.BURNS[0].factor(week) == pytest.approx(14.4 * 7 / 30)  # 2 % of the budget of a week


def test_an_alert_that_could_never_fire_is_left_out_and_told() -> None:
    loose = declared(objective=90)
    assert [rule.labels["window"] for group in burn.alerts(loose, Places()) for rule in group.rules] == [
        "6h",
        "1d",
        "3d",
    ]
    (told,) = burn.impossible(loose)
    assert told.startswith("shop-latency: no critical alert over 1h: not even all requests bad would burn a budget")
    assert burn.impossible(declared()) == []


def test_a_project_declares_objectives_and_limits_in_one_file(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.perfagent.alert_thresholds.slow_query_ms]\nwarning = 1000\n"
        '[[tool.perfagent.slo]]\nname = "a"\nservice = "shop"\nobjective = 99.5\nindicator = "availability"\n'
        '[[tool.perfagent.slo]]\nname = "b"\nservice = "shop"\nroute = "/items/{id}"\nobjective = 90\n'
        'indicator = "latency"\nthreshold_ms = 1000\nwindow_days = 7\n'
    )
    program = run_program("perfagent", "rules", "export", "--directory", "rules", cwd=tmp_path)
    program.check()
    promtool("check", "rules", *sorted((tmp_path / "rules").glob("*.yml")))
    groups = yaml.safe_load((tmp_path / "rules" / "recording.yml").read_text())["groups"]
    recorded = [rule for group in groups for rule in group["rules"]]
    assert {rule["labels"]["slo"] for rule in recorded} == {"a", "b"}
    latency = next(rule for rule in recorded if rule["labels"]["slo"] == "b" and rule["record"].endswith("rate5m"))
    assert 'http_route="/items/{id}"' in latency["expr"]
    assert 'le=~"1|1[.]0"' in latency["expr"]
    assert "> 1\n" in (tmp_path / "rules" / "database_alerts.yml").read_text()


def test_a_declaration_that_is_off_stops_the_export_and_names_the_file(run_program: RunProgram, tmp_path: Path) -> None:
    path = tmp_path / "perfagent.toml"
    path.write_text('[[slo]]\nname = "a"\nservice = "shop"\nobjective = 99.5\nindicator = "latency"\n')
    program = run_program("perfagent", "rules", "export", cwd=tmp_path)
    assert program.wait() == 2
    assert "perfagent.toml: slo 1 (a): threshold_ms is missing" in program.stderr
    assert program.stdout == ""
    path.write_text("[[slo]\n")
    program = run_program("perfagent", "rules", "export", cwd=tmp_path)
    assert program.wait() == 2
    assert "not valid TOML" in program.stderr
