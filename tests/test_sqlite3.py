"""sqlite3: one span for each statement, and a program that sees the same as without the agent."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.program import Program
from tests.queries import Run, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.otlp import Receiver

APP = "sqlite_calls.py"
PARTS = ("statements", "classes", "features")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return {part: Run(APP, part, tmp_path_factory.mktemp(part)) for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_the_program_sees_what_it_sees_without_the_agent(runs: dict[str, Run], part: str) -> None:
    assert runs[part].stdout == runs[part].bare()


def test_each_statement_of_a_cursor_is_a_span_below_the_one_that_asks(runs: dict[str, Run]) -> None:
    assert runs["statements"].texts("cursor") == [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
        "INSERT INTO users (name) VALUES (?)",
        "SELECT * FROM users WHERE name = ?",
    ]


def test_a_statement_that_nobody_asks_for_is_the_root_of_its_own_trace(runs: dict[str, Run]) -> None:
    roots = runs["classes"].where(lambda span: not span.parent_id)
    assert roots
    assert len({span.trace_id for span in roots}) == len(roots)
    assert len({span.span_id for span in roots}) == len(roots)


def test_a_span_names_database_operation_and_table(runs: dict[str, Run]) -> None:
    span = runs["statements"].below("cursor")[-1]
    assert span.name == "SELECT users"
    attributes = {key: value for key, value in span.attributes.items() if not key.startswith("code.")}
    assert attributes == {
        "db.system.name": "sqlite",
        "db.namespace": ":memory:",
        "db.operation.name": "SELECT",
        "db.collection.name": "users",
        "db.query.text": "SELECT * FROM users WHERE name = ?",
        "db.query.summary": "SELECT users",
    }
    assert span.scope.name == "perfagent.sqlite3"
    assert span.status.code == "UNSET"


def test_the_shortcuts_of_a_connection_are_measured_once_and_commit_is_no_statement(runs: dict[str, Run]) -> None:
    spans = runs["statements"].below("connection")
    assert [text(span) for span in spans] == [
        "INSERT INTO users (name) VALUES (:name)",
        "INSERT INTO users (name) VALUES (?)",
        "INSERT INTO users (name) VALUES (?)",
        "SELECT ?; SELECT ?",
    ]
    assert [span.attributes.get("db.operation.batch.size") for span in spans] == [None, 2, None, None]
    assert len(runs["statements"].below("with")) == 1
    assert len(runs["statements"].below("iteration")) == 1


def test_a_failed_statement_tells_type_code_and_place_but_no_value(runs: dict[str, Run]) -> None:
    spans = runs["statements"].below("failures")
    unknown, duplicate, unfinished, parameters, batch = spans
    assert {span.status.code for span in spans} == {"ERROR"}
    assert unknown.attributes["error.type"] == "sqlite3.OperationalError"
    assert duplicate.attributes["error.type"] == "sqlite3.IntegrityError"
    assert parameters.attributes["error.type"] == "sqlite3.ProgrammingError"
    assert batch.attributes["error.type"] == "TypeError"
    (event,) = duplicate.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "sqlite3.IntegrityError"
    assert event.attributes["exception.message"] == "UNIQUE constraint failed: users.id"
    assert APP in event.attributes["exception.stacktrace"]
    assert unfinished.events[0].attributes["exception.message"] == "unrecognized token: ?"
    for run in runs.values():
        assert b"secret" not in run.exported()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 tells its error codes since Python 3.11")
def test_a_failed_statement_tells_the_extended_result_code(runs: dict[str, Run]) -> None:
    codes = [span.attributes.get("db.response.status_code") for span in runs["statements"].below("failures")]
    assert codes[:2] == ["1", "1555"]  # SQLITE_ERROR, SQLITE_CONSTRAINT_PRIMARYKEY


def test_cursors_and_connections_of_the_programs_own_classes_are_measured_as_they_override(
    runs: dict[str, Run],
) -> None:
    assert runs["classes"].texts("own cursor") == ["SELECT ?, ?", "SELECT ?"]
    assert runs["classes"].texts("own connection") == ["SELECT ?", "SELECT ?"]


def test_a_database_is_named_by_its_file_without_the_folders(runs: dict[str, Run]) -> None:
    spans = runs["features"].below("features")
    assert "shop.db" in {span.attributes["db.namespace"] for span in spans}
    assert {span.attributes["db.namespace"] for span in spans} <= {"shop.db", ":memory:"}


def test_durations_are_a_metric_with_the_failure_among_its_attributes(runs: dict[str, Run]) -> None:
    points = [point for point in runs["statements"].points if point.name == "db.client.operation.duration"]
    failed = [point for point in points if point.attributes.get("error.type") == "sqlite3.IntegrityError"]
    assert {point.attributes["db.collection.name"] for point in failed} == {"users"}
    assert {point.unit for point in points} == {"s"}


LATE = """
import sqlite3
before = sqlite3.connect(":memory:")
class Mine(sqlite3.Connection): pass
class Slotted(sqlite3.Connection): __slots__ = ("mine",)
kept = sqlite3.Connection
from perfagent import settings
from perfagent.instruments import load
from perfagent.runtime import outbox
load.install(settings.current())
assert sqlite3.Connection is kept and isinstance(before, sqlite3.Connection)
for factory in (sqlite3.Connection, Mine, Slotted):
    made = sqlite3.connect(":memory:", factory=factory)
    assert isinstance(made, factory) and type(made).__qualname__ == factory.__qualname__, type(made)
    made.execute("SELECT 1")
    print(factory.__name__, len(outbox.pending))
load.uninstall()
sqlite3.connect(":memory:").execute("SELECT 1")
assert type(sqlite3.connect(":memory:")) is kept
print(len(outbox.pending))
"""


def test_a_late_start_leaves_the_modules_classes_and_measures_subclasses_of_the_programs() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], env={"PERFAGENT_STRICT": "1"}, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == ["Connection", "1", "Mine", "2", "Slotted", "2", "2"]


# A warning of C code tells the place of the Python frame that called, which is ours. They check that it is theirs, for
# what Python 3.12 and 3.13 began to warn of.
OTHER_PLACE = {
    "test_execute_named_param_and_sequence",
    "test_sqlite_date",
    "test_sqlite_timestamp",
    "test_connect_positional_arguments",
}


@pytest.mark.slow
def test_pythons_own_tests_of_sqlite3_fail_nowhere_else_than_without_the_agent(
    receiver: Receiver, tmp_path: Path
) -> None:
    module = "test.test_sqlite3" if sys.version_info >= (3, 11) else "test.test_sqlite"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}, which this Python was installed without")
    command = ("python", "-m", "unittest", module)
    reports = []
    for name, prefix, env in (("bare", (), {}), ("measured", ("perfagent", "run"), agent_env(receiver))):
        (tmp_path / name).mkdir()
        program = Program((*prefix, *command), tmp_path / name, env)
        program.wait()
        reports.append(program.stderr)
    bare, measured = ({*re.findall(r"^(?:FAIL|ERROR): (\w+)", report, re.MULTILINE)} for report in reports)
    assert measured - bare <= OTHER_PLACE
    ran = [re.findall(r"^Ran (\d+) tests", report, re.MULTILINE) for report in reports]
    assert ran[0] == ran[1]
    assert int(ran[0][0]) > 250
