"""DuckDB: a span for each statement where it is executed, and statements that still read the caller's variables."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.queries import ROOT, Run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunText
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow

APP = "duckdb_calls.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("duckdb")
    return Run(APP, "", folder, FILE=str(folder / "shop.duckdb"))


def test_a_program_sees_what_it_sees_without_the_agent_its_variables_too(run: Run) -> None:
    assert run.stdout == run.bare()
    assert b"secret" not in run.exported()


def test_statements_of_connections_and_cursors_are_measured_once(run: Run) -> None:
    assert run.texts("statements") == [
        "INSERT INTO users VALUES (?, ?)",
        "INSERT INTO users VALUES (?, ?)",
        "SELECT * FROM users WHERE name = ?",
        "SELECT $a",
        "SELECT name FROM users WHERE name <> ? ORDER BY id",
        "SELECT ? AS parsed",
    ]
    spans = run.below("statements")
    assert [span.attributes.get("db.operation.batch.size") for span in spans] == [None, 2, None, None, None, None]
    span = spans[2]
    assert (span.name, span.scope.name) == ("SELECT users", "perfagent.duckdb")
    assert span.attributes["db.system.name"] == "duckdb"
    assert {span.attributes["db.namespace"] for span in spans} == {"shop"}
    assert run.texts("thread") == ["SELECT ?"]


def test_a_relation_is_measured_where_it_is_executed_and_as_often(run: Run) -> None:
    assert run.texts("sql") == []
    text = "SELECT id FROM users WHERE name <> ? ORDER BY id"
    assert run.texts("rows")[:3] == [text] * 3
    assert len(run.texts("rows")) == 4
    assert "unnamed_relation" in run.texts("rows")[3]
    assert re.search("_[0-9a-f]{16}", run.texts("rows")[3]) is None  # DuckDB makes another name each time
    assert run.texts("at once") == ["INSERT INTO users VALUES (?, ?)", "SELECT ?"]


def test_a_script_is_measured_with_all_its_statements(run: Run) -> None:
    assert run.texts("script") == ["UPDATE users SET name = ?;", "SELECT count(*) FROM users"]


def test_the_functions_of_the_module_are_measured_as_those_of_its_connection(run: Run) -> None:
    assert run.texts("module") == [
        "SELECT ?", "SELECT ?", "CREATE OR REPLACE TABLE here AS SELECT ? AS one", "SELECT * FROM here", "SELECT ?",
        "INSERT INTO here VALUES (?)",
    ]  # fmt: skip
    names = [span.attributes["db.namespace"] for span in run.below("module")]
    assert names == ["memory", "shop", "memory", "memory", "shop", "memory"]
    assert run.below("module")[-1].attributes["db.operation.batch.size"] == 2


def test_a_failure_is_told_once_with_its_type_and_no_value(run: Run) -> None:
    spans = run.below("failures")
    kinds = ["ConstraintException", "CatalogException", "CatalogException", "ParserException"]
    assert [span.attributes["error.type"] for span in spans] == [f"_duckdb.{kind}" for kind in kinds]
    assert {span.status.code for span in spans} == {"ERROR"}


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["1.1.3", "1.3.2", "1.4.5", "1.5.6"])
def test_earlier_versions_are_measured_where_they_execute(version: str, tmp_path: Path) -> None:
    library = tmp_path / "library"
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(library))
    subprocess.run((*install, f"duckdb=={version}"), check=True, timeout=100)
    run = Run(APP, "", tmp_path, FILE=str(tmp_path / "shop.duckdb"), PYTHONPATH=f"{library}:{ROOT}")
    assert run.stdout == run.bare()
    assert b"secret" not in run.exported()
    assert run.texts("sql") == []
    assert len(run.texts("statements")) == 6
    assert len(run.texts("rows")) == 4
    assert len(run.texts("at once")) == 2
    assert len(run.texts("module")) == 6
    assert len(run.texts("failures")) == 4
    assert len(run.texts("piecewise")) == 2  # what is read piece by piece, and `execute`
    assert {span.attributes.get("db.namespace") for span in run.below("statements")} == {"shop"}


def test_an_engine_of_sqlalchemy_is_measured_by_the_driver_alone(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        import sqlalchemy as sa
        engine = sa.create_engine("duckdb:///:memory:")
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE TABLE users (id INTEGER, name VARCHAR)"))
            rows = [{"id": 1, "name": "secret-a"}, {"id": 2, "name": "secret-b"}]
            connection.execute(sa.text("INSERT INTO users VALUES (:id, :name)"), rows)
            assert connection.execute(sa.text("SELECT count(*) AS found FROM users WHERE id > 0")).scalar() == 2
        """
    )
    receiver.wait_until_quiet(0.2)
    assert {span.scope.name for span in receiver.spans} == {"perfagent.duckdb"}
    texts = [str(span.attributes["db.query.text"]) for span in receiver.spans]
    for start in ("CREATE TABLE users", "INSERT INTO users", "SELECT count(*) AS found"):
        assert len([text for text in texts if text.startswith(start)]) == 1
