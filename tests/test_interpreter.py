"""`perfagent doctor` takes what users type: an interpreter, its environment, or the command that starts the program."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.cli import interpreter

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText

LONG = "/srv/" + "a-long-folder/" * 12 + "bin/python"


def script(folder: Path, head: str) -> str:
    path = folder / "serve"
    path.write_text(head)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("", ["python"]),
        ("python app.py", ["python"]),
        ("perfagent run python -m shop", ["python"]),
        ("/srv/venv/bin/python3.12 -m shop", ["/srv/venv/bin/python3.12"]),
        ("python -u -I app.py -S", ["python", "-I"]),
        ("app.py --port 80", ["python"]),
    ],
)
def test_the_interpreter_of_a_command_is_known_with_what_leaves_the_agent_out(command: str, found: list[str]) -> None:
    assert interpreter.of(command.split()) == found


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("#!/srv/venv/bin/python\nimport sys", ["/srv/venv/bin/python"]),
        ("#!/usr/bin/env -S python3 -E\n", ["python3", "-E"]),
        (f"#!/bin/sh\n'''exec' \"{LONG}\" \"$0\" \"$@\"\n' '''\n", [LONG]),
        (f"#!/bin/sh\n'''exec' {LONG} \"$0\" \"$@\"\n' '''\n", [LONG]),
    ],
)
def test_a_script_tells_its_interpreter_in_its_first_lines(head: str, found: list[str], tmp_path: Path) -> None:
    assert interpreter.of([script(tmp_path, head), "shop.app:app"]) == found


def test_an_environment_is_known_by_its_folder() -> None:
    assert interpreter.of([sys.prefix]) == [os.path.join(sys.prefix, "bin", "python")]


@pytest.mark.parametrize(
    ("word", "told"),
    [("no-such-command", "there is no command"), ("ls", "does not tell"), ("/", "folder without bin/python")],
)
def test_what_tells_no_interpreter_is_answered_with_what_to_give(word: str, told: str, run_program: RunProgram) -> None:
    program = run_program("perfagent", "doctor", word)
    assert program.wait() == 2
    assert told in program.stderr
    assert "perfagent doctor .venv/bin/python" in program.stderr


def test_a_wrong_option_before_the_command_is_told(run_program: RunProgram) -> None:
    program = run_program("perfagent", "doctor", "--ouput", "json", "uvicorn", "shop.app:app", "--port", "80")
    assert program.wait() == 2
    assert "--ouput is no option of the doctor's" in program.stderr


LOOK = """
import json, sys
from perfagent.instruments import contrib, load
contrib.found = dict
from perfagent.launch import libraries
names = ["django", "flask", "fastapi", "httpx", "requests", "sqlite3", "psycopg", "sqlalchemy", "structlog", "logging"]
seen = libraries.states([])
brought = sorted({name.partition(".")[0] for name in sys.modules})
tried = libraries.states({name for name in seen if name not in names}, imports_all=True)
print(json.dumps([seen, brought, {name: tried[name] for name in names}]))
"""


def test_versions_tell_of_libraries_what_importing_them_would(run_text: RunText) -> None:
    seen, brought, tried = json.loads(run_text(LOOK).stdout.splitlines()[-1])
    assert {name: seen[name] for name in tried} == tried
    assert set(tried.values()) == {"measured"}
    assert {seen["celery"], seen["openai"]} == {"measured"}
    assert not {"celery", "openai", "anthropic", "django", "fastapi", "sqlalchemy"} & set(brought)


OLD = """
import sys
from pathlib import Path
folder = Path(sys.argv[1]) / "flask"
folder.mkdir()
for name in ("__init__", "app", "ctx"):
    (folder / f"{name}.py").write_text("__version__ = '1.0'")
sys.path.insert(0, sys.argv[1])
from perfagent.launch import libraries
print(libraries.states([])["flask"])
"""


def test_a_copy_that_hides_the_installed_library_is_judged_by_its_own_version(
    run_text: RunText, tmp_path: Path
) -> None:
    program = run_text(OLD.replace("sys.argv[1]", repr(str(tmp_path))))
    assert program.stdout.splitlines()[-1].startswith("flask 1.0 is not supported: from 2.0 to below 4")
