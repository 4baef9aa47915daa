"""The dashboards are what their definitions make, and Grafana's own models take them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if sys.version_info < (3, 11):
    pytest.skip("grafana-foundation-sdk needs Python 3.11", allow_module_level=True)

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from tools.dashboards import __main__ as command
from tools.dashboards import limits, render
from tools.dashboards.boards import BOARDS
from tools.dashboards.boards.shared import hit_ratio
from tools.dashboards.parts import Panel

from perfagent.hub.analyse.thresholds import DEFAULTS
from tests.program import clean_environment
from tests.test_docs import blocks
from tests.test_rules import promtool

if TYPE_CHECKING:
    from tools.dashboards.parts import Board

PAGE = "docs/how-to/grafana.md"
FILES = command.FOLDER.parent
COMMITTED = {path.stem: json.loads(path.read_text()) for path in sorted(command.FOLDER.glob("*.json"))}
EVERY = [pytest.param(one, id=name) for name, one in COMMITTED.items()]
PANELS = [(board, panel) for board in BOARDS for panel in board.panels]


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a committed dashboard, those of folded rows too."""
    rows = [one for one in dashboard["panels"] if one["type"] == "row"]
    return [one for one in dashboard["panels"] if one["type"] != "row"] + [one for row in rows for one in row["panels"]]


def test_the_files_are_what_the_definitions_make(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check"]) == 0, capsys.readouterr().err
    assert len(COMMITTED) == len(BOARDS) == 7


def test_a_file_that_was_edited_and_one_that_nothing_makes_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--folder", str(tmp_path), "--docs", "https://wiki.example/perfagent/"]
    assert command.main(words) == 0
    assert command.main([*words, "--check"]) == 0
    (tmp_path / "cache.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    capsys.readouterr()
    assert command.main([*words, "--check"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["cache.json", "old.json"]
    assert command.main(words) == 0
    assert (tmp_path / "old.json").read_text() == "{}", "what is not ours stays"
    (docs,) = (
        one["query"]
        for one in json.loads((tmp_path / "cache.json").read_text())["templating"]["list"]
        if one["name"] == "docs"
    )
    assert docs == "https://wiki.example/perfagent"


@pytest.mark.parametrize("dashboard", EVERY)
def test_grafanas_models_know_every_field(dashboard: dict[str, Any]) -> None:
    assert json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder)) == dashboard
    assert dashboard["schemaVersion"] == 41
    assert "id" not in dashboard


def test_identities_are_unique_and_those_that_people_have_saved() -> None:
    assert {one["uid"] for one in COMMITTED.values()} == {
        f"perfagent-{name}" for name in ("platform", "latency", "database", "cache", "runtime", "deprecations", "load")
    }
    for name, dashboard in COMMITTED.items():
        identities = Counter(one["id"] for one in (*dashboard["panels"], *panels_of(dashboard)) if one["type"] != "row")
        assert dashboard["uid"] == f"perfagent-{name}"
        assert set(identities.values()) == {2}, "two panels of a dashboard have one title"
        assert not {one["id"] for one in dashboard["panels"] if one["type"] == "row"} & set(identities)


@pytest.mark.parametrize("dashboard", EVERY)
def test_the_panels_fill_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("dashboard", EVERY)
def test_every_data_source_is_a_variable_whose_choice_provisioning_defines(dashboard: dict[str, Any]) -> None:
    provisioned = yaml.safe_load((FILES / "provisioning/datasources/stack.yaml").read_text())["datasources"]
    uids = {one["uid"]: one["type"] for one in provisioned}
    chosen = {
        f"${{{one['name']}}}": one["query"]
        for one in dashboard["templating"]["list"]
        if one["type"] == "datasource" and uids[one["current"]["value"]] == one["query"]
    }
    named = re.findall(
        r'"uid": "([^"]+)"', json.dumps([dashboard["panels"], dashboard["templating"], dashboard["annotations"]])
    )
    assert set(named) <= set(chosen) == {"${metrics}", "${traces}"}


def test_data_sources_lead_to_each_other() -> None:
    provisioned = yaml.safe_load((FILES / "provisioning/datasources/stack.yaml").read_text())["datasources"]
    by_uid = {one["uid"]: one for one in provisioned}
    (exemplars,) = by_uid["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert by_uid[exemplars["datasourceUid"]]["type"] == "jaeger"
    assert by_uid[by_uid["jaeger"]["jsonData"]["tracesToMetrics"]["datasourceUid"]]["type"] == "prometheus"
    (provider,) = yaml.safe_load((FILES / "provisioning/dashboards/stack.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


@pytest.mark.parametrize(("board", "panel"), [pytest.param(*one, id=f"{one[0].uid}-{one[1].title}") for one in PANELS])
def test_a_panel_tells_what_it_shows(board: Board, panel: Panel) -> None:
    (made,) = (one for one in panels_of(COMMITTED[board.uid.removeprefix("perfagent-")]) if one["title"] == panel.title)
    defaults = made["fieldConfig"]["defaults"]
    assert made["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]
    assert made["targets"]
    assert panel.title.endswith("?") or len(panel.title.split()) <= 4
    legends = [target["legendFormat"] for target in made["targets"]]
    assert all(len(re.findall(r"{{", legend)) <= 3 for legend in legends), "a legend that long cannot be read"


def test_a_limit_is_the_threshold_of_the_hub_in_the_unit_of_the_panel() -> None:
    limited = 0
    for board, panel in PANELS:
        (made,) = (
            one for one in panels_of(COMMITTED[board.uid.removeprefix("perfagent-")]) if one["title"] == panel.title
        )
        steps = {step["color"]: step["value"] for step in made["fieldConfig"]["defaults"]["thresholds"]["steps"]}
        if not panel.limit:
            assert steps == {"green": None}
            continue
        limited += 1
        if panel.limit == limits.BURN:
            assert steps == {"green": None, "yellow": pytest.approx(1), "red": pytest.approx(14.4)}
            continue
        threshold = DEFAULTS[panel.limit]
        factor = {"%": 0.01, "ms": 0.001}.get(threshold.unit, 1) if threshold.unit != panel.unit else 1
        warning = "yellow" if threshold.comparison == "greater" else "green"
        critical = "red" if threshold.comparison == "greater" else "yellow"
        wanted = {warning: threshold.warning, critical: threshold.critical}
        for color, limit in wanted.items():
            assert limit is None or steps[color] == pytest.approx(limit * factor), panel.title
    assert limited > 20


def test_a_limit_in_a_unit_that_the_panel_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="is in 'ms', and a panel in 'bytes'"):
        limits.steps("response_time_p95_ms", "bytes")


def test_links_lead_to_pages_of_the_documentation() -> None:
    docs = FILES.parent.parent / "docs"
    headings = re.findall(r"^## (.+)$", (docs / "how-to/grafana.md").read_text(), re.MULTILINE)
    for dashboard in COMMITTED.values():
        (runbook,) = (one["url"] for one in dashboard["links"] if one["title"] == "Runbook")
        page, _, anchor = runbook.partition("#")
        assert page == "${docs}/how-to/grafana.md"
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
        for panel in panels_of(dashboard):
            for link in panel.get("links", []):
                assert (docs / link["url"].removeprefix("${docs}/")).exists(), link


def test_a_link_to_traces_is_a_search_that_explore_understands() -> None:
    address = render.explore({"http.route": "http_route", "error": '"true"'})
    path, _, query = address.partition("?")
    filled = query.replace("${__field.labels.service_name}", "shop").replace(
        "${__field.labels.http_route}", "/products/{id}"
    )
    fields = urllib.parse.parse_qs(filled.replace("${__from}", "1700000000000").replace("${__to}", "1700000100000"))
    (pane,) = json.loads(fields["panes"][0]).values()
    (search,) = pane["queries"]
    assert (path, fields["schemaVersion"]) == ("/explore", ["1"])
    assert pane["range"] == {"from": "1700000000000", "to": "1700000100000"}
    assert (search["service"], search["tags"]) == ("shop", "http.route=/products/{id} error=true")
    assert (search["queryType"], search["datasource"]["uid"], pane["datasource"]) == (
        "search",
        "${traces}",
        "${traces}",
    )


def test_the_panel_that_the_documentation_shows_is_one() -> None:
    (program,) = blocks(PAGE, "python")
    made: dict[str, Any] = {}
    exec(program, made)
    dashboard = json.loads(render.render(made["BOARD"]))
    (panel,) = panels_of(dashboard)
    assert panel["targets"][0]["expr"].startswith("sum by (warehouse) (rate(orders_packed_total{deployment_environment")


def test_the_commands_that_the_documentation_shows_work(tmp_path: Path) -> None:
    for block in blocks("docs/how-to/grafana.md", "sh"):
        environ = clean_environment({"TMPDIR": str(tmp_path)})
        done = subprocess.run(
            ["bash", "-euc", block], cwd=FILES.parent.parent, env=environ, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert len([*tmp_path.glob("dashboards/*.json")]) == len(BOARDS)


@pytest.mark.slow  # its tool is built by the stack
def test_a_cache_that_was_never_hit_and_one_that_never_missed_have_a_ratio(tmp_path: Path) -> None:
    expression = hit_ratio("cache_name", 'service_name="shop"').replace("<ns>", "perfagent")
    series = {
        ("hits", "both"): "0+30x10", ("misses", "both"): "0+10x10", ("misses", "cold"): "0+10x10",
        ("hits", "warm"): "0+10x10", ("hits", "idle"): "5x10", ("misses", "idle"): "5x10",
    }  # fmt: skip
    labels = 'service_name="shop"'
    asked = {"expr": expression.replace("$__rate_interval", "2m"), "eval_time": "5m"}
    wanted = {"both": 0.75, "cold": 0, "warm": 1}
    asked["exp_samples"] = [{"labels": f'{{cache_name="{name}"}}', "value": value} for name, value in wanted.items()]
    case = {
        "interval": "1m",
        "input_series": [
            {"series": f'perfagent_cache_{what}_total{{{labels},cache_name="{name}"}}', "values": values}
            for (what, name), values in series.items()
        ],
        "promql_expr_test": [asked],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    promtool("test", "rules", tmp_path / "test.yml")
