"""Second tries of failed tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tests.web import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram

FAILS_ONCE = """
import pytest

began, ended = [], []

@pytest.fixture(scope="module")
def below():
    yield
    ended.append("below")

@pytest.fixture(scope="module", params=["a", "b"])
def counted(below, request):
    began.append(request.param)
    yield []
    ended.append(request.param)

def test_that_counts(counted):
    counted.append("event")
    assert len(began) > 1, "the first try fails"
    assert len(counted) == 1

def test_after_it(counted):
    assert counted == ["event"]

def test_last():
    assert began == ["a", "a", "b"]
    assert ended[:3] == ["a", "below", "a"]
"""


def test_a_second_try_counts_nothing_of_the_first(run_program: RunProgram, tmp_path: Path) -> None:
    module = tmp_path / "test_fails_once.py"
    module.write_text(FAILS_ONCE)
    plain = ("-p", "tests.tries", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path))
    program = run_program(sys.executable, "-m", "pytest", *plain, "--reruns", "1", str(module), cwd=ROOT)
    status = program.wait()
    print(program.stdout)
    assert "5 passed, 1 rerun" in program.stdout
    assert status == 0
