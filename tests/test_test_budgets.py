"""Budgets of tests: what `pytest --perfagent` measures, fails, tells and leaves alone, and `perfagent budget`."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from perfagent.testing import github, record
from perfagent.testing.declared import Budgets, read
from perfagent.testing.limits import BudgetError, parse
from tests.hub import ServedHub
from tests.program import Program
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

APPS = Path(__file__).parent / "apps" / "budgets"
EXAMPLE = Path(__file__).parents[1] / "examples" / "known_faults" / "budget"
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "python_files=*_budgeted.py test_*.py")
PAGE = "docs/how-to/budgets.md"
PLUGIN = ("-p", "perfagent.pytest_plugin")


class Ran(NamedTuple):
    """What a run of tests came to."""

    status: int
    output: str
    used: dict[str, dict[str, Any]]
    outcomes: dict[str, str]
    report: dict[str, Any]
    folder: Path


def run(folder: Path, *words: str, measured: bool = True, env: Mapping[str, str] | None = None) -> Ran:
    """Runs tests of a folder, which is their root."""
    own = (*PLUGIN, "--perfagent", "--perfagent-report=used.json") if measured else ()
    command = (*PYTEST, "-c", os.devnull, "--rootdir", str(folder), "--junitxml=junit.xml", *own, *words)
    output = folder / f"run{len(list(folder.glob('run*')))}"
    output.mkdir()
    program = Program(command, output, {"PERFAGENT_STRICT": "1", **(env or {})}, cwd=folder)
    try:
        status = program.wait(100)
    finally:
        program.stop()
    told = program.stdout + program.stderr
    assert (folder / "junit.xml").exists(), told
    report = json.loads((folder / "used.json").read_text()) if measured else {"tests": [], "endpoints": {}}
    outcomes = {}
    for case in ET.parse(folder / "junit.xml").iter("testcase"):
        outcomes[str(case.get("name"))] = next((one.tag for one in case if one.tag != "properties"), "passed")
    used = {test["test"].rpartition("::")[2]: test for test in report["tests"]}
    return Ran(status, told, used, outcomes, report, folder)


def copied(folder: Path, *names: str) -> Path:
    """A folder with some of the budgeted tests."""
    for name in ("conftest", *names):
        source = APPS / (f"{name}.py" if name == "conftest" else f"{name}_budgeted.py")
        shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Tests of every kind and of every framework, measured."""
    return run(copied(tmp_path_factory.mktemp("plain"), "plain", "frameworks"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "queries", "calls"),
    [
        ("test_two_queries", 3, 0),  # the commit is none, and what the fixture asks is not the test's
        ("test_parametrised[3]", 3, 0),
        ("test_parametrised[7]", 7, 0),
        ("test_four_queries", 5, 0),  # unittest runs setUp as a part of the test
        ("test_five_queries", 5, 0),
        ("test_async", 6, 0),
        ("test_in_a_thread", 8, 0),
        ("test_one_call", 0, 1),
        ("test_a_call_to_itself_is_none", 3, 0),
    ],
)
def test_queries_and_calls_of_every_kind_of_test_are_counted(ran: Ran, name: str, queries: int, calls: int) -> None:
    measured = ran.used[name]["measured"]
    assert (measured["queries"], measured["calls"]) == (queries, calls)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint", "requests"),
    [
        ("GET /flask/<int:item>", 1),
        ("GET /fastapi/{item}", 2),
        ("GET /asgi", 1),
        ("GET /wsgi", 1),
        ("GET /django/<int:item>/", 2),
        ("GET /aiohttp/{item}", 1),
        ("GET /own", 1),
    ],
)
def test_endpoints_are_measured_when_a_test_client_asks_without_a_server(
    ran: Ran, endpoint: str, requests: int
) -> None:
    used = ran.report["endpoints"][endpoint]
    assert used["requests"] == requests
    assert used["queries"] == 3
    assert used["duplicate_queries"] == 2


@pytest.mark.slow
def test_other_tests_come_out_as_without_it(ran: Ran, tmp_path: Path) -> None:
    bare = run(copied(tmp_path, "plain", "frameworks"), measured=False)
    assert ran.outcomes == bare.outcomes
    assert ran.status == bare.status == 1
    assert "ValueError: its own" in ran.output
    count = re.compile(r"(\d+ failed, \d+ passed, \d+ skipped, \d+ xfailed)")
    assert count.findall(ran.output) == count.findall(bare.output) != []
    assert "site-packages/perfagent" not in ran.output.partition("warnings summary")[2]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Tests with limits, measured."""
    return run(copied(tmp_path_factory.mktemp("limits"), "limits"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said", "place"),
    [
        ("test_queries", "5 queries, 3 more than the 2 allowed", "SELECT name FROM items WHERE id = ?"),
        ("test_repeated_queries", "1 repeated query, 1 more than the 0 allowed", "database.execute"),
        ("test_calls", "1 outgoing call, 1 more than the 0 allowed", "urlopen"),
        ("test_memory", "15.0 MB more than the 5.0 MB allowed", ""),
        ("test_always_slow", "more than the 50.0 ms allowed", ""),
        ("test_the_nearest_marker_tells", "2 queries, 1 more than the 1 allowed", "SELECT name FROM items"),
    ],
)
def test_a_test_over_its_limit_fails_with_the_figure_and_the_line(
    limited: Ran, name: str, said: str, place: str
) -> None:
    told = limited.used[name]
    assert told["outcome"] == "failed"
    (excess,) = told["over"]
    assert said in excess["message"]
    assert said in limited.output
    if place:
        source = (APPS / "limits_budgeted.py").read_text().splitlines()
        assert excess["file"] == "limits_budgeted.py"
        assert place.partition("(")[0] in source[excess["line"] - 1] or "SELECT name" in source[excess["line"] - 1]
        assert f"limits_budgeted.py:{excess['line']}" in limited.output
    assert "Traceback" not in limited.output


@pytest.mark.slow
def test_times_are_judged_by_the_best_of_three_runs(limited: Ran) -> None:
    assert limited.outcomes["test_slow_once"] == "passed"
    assert limited.outcomes["test_it_ran_until_it_was_within"] == "passed"
    assert limited.used["test_always_slow"]["runs"] == 3
    assert "the best of 3 runs" in limited.output
    assert limited.outcomes["test_within"] == "passed"
    assert limited.used["test_queries"]["runs"] == 1  # a count is the same in every run


@pytest.mark.slow
def test_a_test_that_cannot_run_twice_is_judged_by_one_run(limited: Ran) -> None:
    assert limited.outcomes["test_slow_and_then_wrong"] == "failure"
    assert "one run had to do" in limited.output
    assert "it may run once only" not in limited.output


@pytest.mark.slow
def test_what_is_known_to_be_over_may_be_expected_to_fail(limited: Ran) -> None:
    assert limited.outcomes["test_known_to_be_over"] == "skipped"
    assert "XPASS" not in limited.output


@pytest.mark.slow
def test_figures_are_properties_in_junit(limited: Ran) -> None:
    cases = {case.get("name"): case for case in ET.parse(limited.folder / "junit.xml").iter("testcase")}
    properties = {one.get("name"): one.get("value") for one in cases["test_queries"].iter("property")}
    assert properties["perfagent.queries"] == "5"
    assert float(str(properties["perfagent.time"])) > 0


@pytest.mark.slow
def test_the_example_fails_at_the_line_of_its_fault_in_workers_too_and_tells_github(tmp_path: Path) -> None:
    shop = shutil.copytree(EXAMPLE, tmp_path / "shop")
    summary = tmp_path / "summary.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(tmp_path)}
    found = run(shop, "-n", "2", env=env)
    assert found.status == 1
    assert found.outcomes == {"test_a_cart_has_its_lines": "failure", "test_a_cart_has_a_total": "passed"}
    lines = (shop / "shop" / "carts.py").read_text().splitlines()
    fault = next(number for number, line in enumerate(lines, 1) if "FROM products WHERE id" in line)
    assert f"SELECT name, price FROM products WHERE id = ? \u00d740 at shop/carts.py:{fault}" in found.output
    assert "GET /carts/{cart}: 41 queries, 36 more than the 5 allowed" in found.output
    errors = [line for line in found.output.splitlines() if line.startswith("::error ")]
    assert len(errors) == 2
    for error in errors:
        assert error.startswith(f"::error file=shop/shop/carts.py,line={fault},title=Performance budget%3A GET /carts/")
        assert "%0A" in error
    (shown,) = blocks(PAGE, "text")
    for line in shown.splitlines():
        assert re.split("[\u2588-\u258f]", line)[0].rstrip() in found.output, line
    assert "| test | queries |" in summary.read_text()
    assert f"at `shop/carts.py:{fault}`" in summary.read_text()


def test_what_the_page_shows_is_accepted(tmp_path: Path) -> None:
    (tables,) = blocks(PAGE, "toml")
    (tmp_path / "perfagent.toml").write_text(tables)
    budgets = read(str(tmp_path))
    assert budgets.of_endpoint("GET /carts/{id}") == {"queries": 5, "calls": 0, "duplicate_queries": 0, "time": 0.2}
    assert budgets.of_test("tests/test_import.py::test_a", {}) == {"queries": 50, "memory": 50e6}
    (marked,) = blocks(PAGE, "python")
    (marker,) = (node for node in ast.walk(ast.parse(marked)) if isinstance(node, ast.Call))
    given = {str(one.arg): ast.literal_eval(one.value) for one in marker.keywords}
    assert parse(given, "here") == {"queries": 5, "calls": 0, "time": 0.2}
    (workflow,) = blocks(PAGE, "yaml")
    steps = yaml.safe_load(workflow)["jobs"]["tests"]["steps"]
    assert any(step.get("run", "").startswith("pytest --perfagent ") for step in steps)


@pytest.mark.slow
def test_recorded_budgets_pass_until_more_is_used(tmp_path: Path) -> None:
    shop = shutil.copytree(EXAMPLE, tmp_path / "shop")
    (shop / "perfagent.toml").unlink()
    env = {"PERFAGENT_STRICT": "1"}
    tests = (*PYTEST, "-c", os.devnull, "--rootdir", str(shop), "-q")

    def budget(*words: str) -> tuple[int, str]:
        output = shop / f"run{len(list(shop.glob('run*')))}"
        output.mkdir()
        program = Program(("perfagent", "budget", *words), output, env, cwd=shop)
        try:
            return program.wait(60), program.stdout + program.stderr
        finally:
            program.stop()

    assert budget("record", *tests)[0] == 0
    kept = json.loads((shop / "perfagent-budgets.json").read_text())
    assert kept["endpoints"]["GET /carts/{cart}"]["queries"] == 41
    assert kept["endpoints"]["GET /carts/{cart}/total"]["queries"] == 1
    status, told = budget("--report", "before.json", *tests)
    assert status == 0, told
    carts = shop / "shop" / "carts.py"
    carts.write_text(carts.read_text().replace("    (found,) =", '    connection.execute("SELECT 1")\n    (found,) ='))
    status, told = budget("--report", "after.json", *tests)
    assert status == 1
    assert "GET /carts/{cart}/total: 2 queries, 1 more than the 1 allowed" in told
    status, told = budget("check", "after.json")
    assert status == 1
    assert "GET /carts/{cart}/total" in told
    status, told = budget("compare", "before.json", "after.json", "--output", "json")
    assert status == 1
    changed = {(one["name"], one["figure"]) for one in json.loads(told)["changes"] if one["worse"]}
    assert ("GET /carts/{cart}/total", "queries") in changed
    assert budget("compare", "after.json", "after.json")[0] == 0
    assert budget("check", "before.json")[0] == 0


@pytest.mark.slow
def test_a_hubs_endpoints_are_held_against_their_budgets(tmp_path: Path) -> None:
    import time

    from tests import hub_story

    (tmp_path / "perfagent.toml").write_text(
        '[budgets.endpoints]\n"GET /orders" = { queries = 5, time = "10s" }\n"POST /*" = { calls = 1 }\n'
    )
    with ServedHub(tmp_path / "hub") as hub:
        hub.send("traces", hub_story.traces(time.time_ns() - 30 * hub_story.SECOND))
        env = {"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("viewer")}
        env["PERFAGENT_HUB_DIR"] = str(tmp_path / "none")
        program = Program(("perfagent", "budget", "check", "--output", "json"), tmp_path, env, cwd=tmp_path)
        try:
            assert program.wait(30) == 1, program.stderr
        finally:
            program.stop()
    (over,) = json.loads(program.stdout)["over"]
    assert (over["name"], over["figure"], over["limit"], over["measured"]) == ("GET /orders", "queries", 5, 6)


@pytest.mark.slow
def test_pytest_loads_nothing_of_ours_but_its_options_unless_asked_to(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import sys\n\n\ndef test_one():\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'perfagent'}\n"
        "    assert ours == {'perfagent', 'perfagent.pytest_plugin'}\n"
    )
    assert run(tmp_path, *PLUGIN, "-W", "error", measured=False).status == 0


@pytest.mark.slow
def test_a_marker_with_a_mistake_ends_the_run_before_a_test_does(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\n\n@pytest.mark.perfagent(querys=1)\ndef test_one():\n    print('ran')\n"
    )
    command = (*PYTEST, *PLUGIN, "-c", os.devnull, "--rootdir", str(tmp_path), "-o", "perfagent=true", "-s")
    program = Program(command, tmp_path, cwd=tmp_path)
    try:
        assert program.wait(60) == 4
    finally:
        program.stop()
    assert "marker perfagent: 'querys' cannot be limited" in program.stdout + program.stderr
    assert "0 tests measured" in program.stdout


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"querys": 5}, "'querys' cannot be limited; what can be: queries,"),
        ({"queries": "5"}, "a whole number such as 5"),
        ({"queries": -1}, "a whole number such as 5"),
        ({"queries": True}, "a whole number such as 5"),
        ({"time": "200"}, ""),
        ({"time": "fast"}, '"200ms" or "1.5s"'),
        ({"time": "5MB"}, '"200ms" or "1.5s"'),
        ({"memory": "10 parsecs"}, '"10MB"'),
    ],
)
def test_a_limit_that_is_none_is_refused_with_what_is_accepted(table: dict[str, object], message: str) -> None:
    if not message:
        assert parse(table, "here") == {"time": 200.0}
        return
    with pytest.raises(BudgetError, match=re.escape(message)):
        parse(table, "here")


def test_limits_are_written_with_units() -> None:
    written = {"time": "1.5s", "cpu": 0.25, "memory": "64MiB", "calls": 0}
    assert parse(written, "here") == {"time": 1.5, "cpu": 0.25, "memory": 64 * 2**20, "calls": 0}


def test_the_longest_pattern_tells_and_the_recorded_limit_counts_where_it_is_less() -> None:
    budgets = Budgets(
        {"*": {"queries": 50, "calls": 3}, "tests/test_cart.py::*": {"queries": 5}},
        recorded={"tests": {"tests/test_cart.py::test_a": {"queries": 2.0, "calls": 9.0}}},
    )
    assert budgets.of_test("tests/test_cart.py::test_a", {}) == {"queries": 2, "calls": 3}
    assert budgets.of_test("tests/test_cart.py::test_b[x-1]", {"calls": 0}) == {"queries": 5, "calls": 0}
    assert budgets.of_test("tests/test_other.py::test_a", {}) == {"queries": 50, "calls": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[budgets.endpoint]\n", "has nothing called 'endpoint'"),
        ('[budgets.endpoints]\n"GET /*" = 5\n', "a table of limits"),
        ('[budgets.endpoints]\n"GET /*" = { memory = "1MB" }\n', "memory is limited for a test"),
        ("[budgets]\nrepeat = 0\n", "repeat=0"),
        ("[budgets\n", "is not valid TOML"),
        ('[budgets]\nrecorded = "none.json"\n', "does not exist"),
    ],
)
def test_a_file_of_budgets_with_a_mistake_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "perfagent.toml").write_text(text)
    with pytest.raises(BudgetError, match=re.escape(message)):
        read(str(tmp_path))


def test_an_annotation_cannot_be_ended_by_what_it_says() -> None:
    line = github.command("50%\r\nof ::error::", file="a,b:c.py", line=3, title="x: y, z\n")
    assert line == "::error file=a%2Cb%3Ac.py,line=3,title=x%3A y%2C z%0A::50%25%0D%0Aof ::error::"


def test_recorded_counts_are_exact_and_times_have_headroom() -> None:
    budget = record.budget(
        {"queries": 3, "duplicate_queries": 0, "calls": 0, "cache_calls": 0, "time": 0.2, "cpu": 0.01}
    )
    assert budget == {
        "queries": 3,
        "duplicate_queries": 0,
        "calls": 0,
        "cache_calls": 0,
        "time": 0.6000000000000001,
        "cpu": 0.25,
    }
