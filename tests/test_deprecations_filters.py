"""Warnings are what they were: the same text on standard error, the same exceptions, records and registries."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from tests.agent import agent_env
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

PYTHONS = sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.1[0-3].*/bin/python")) or [sys.executable]

STORY = """
    import datetime, logging, sys, warnings
    from warnings import warn as taken

    def level(number, category=DeprecationWarning):
        warnings.warn(f"level {number}", category, stacklevel=number)

    def through(number):
        level(number)

    def several(number):
        through(number)

    for _ in range(3):
        for number in (-1, 0, 1, 2, 3, 4, 99):
            several(number)
        level(2, FutureWarning)
        level(2, UserWarning)
        warnings.warn(PendingDeprecationWarning("an instance"))
        warnings.warn("source", ResourceWarning, source=object())
        taken("taken before", DeprecationWarning, 2)
        warnings.warn_explicit("explicit", DeprecationWarning, "somewhere.py", 7)
        datetime.datetime.utcnow()

    for wrong in (lambda: warnings.warn(), lambda: warnings.warn("x", int), lambda: warnings.warn("x", stacklevel="2"),
                  lambda: warnings.warn("x", [1]), lambda: warnings.warn("x", nothing=1),
                  lambda: warnings.warn("x", stacklevel=1.5), lambda: warnings.warn_explicit("x")):
        try:
            wrong()
        except TypeError as error:
            print(type(error).__name__)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        several(2)
        several(3)
        datetime.datetime.utcnow()
        compile("'\\\\d'", "made.py", "exec")
        warnings.warn("last")
    print([(str(one.message), one.category.__name__, one.filename, one.lineno, one.source) for one in caught])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="level 2", module="__main__")
        several(2)
        several(3)
    several(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            several(3)
        except DeprecationWarning as error:
            trace, lines = error.__traceback__, []
            while trace is not None:
                lines.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
                trace = trace.tb_next
            print(repr(error), lines if sys.version_info >= (3, 11) else "")
    shown = warnings.showwarning
    warnings.showwarning = lambda *told: print("shown", *map(str, told[:4]))
    warnings.resetwarnings()
    several(2)
    datetime.datetime.utcnow()
    warnings.showwarning = shown
    logging.captureWarnings(True)
    logging.basicConfig(format="%(message)s")
    several(3)
    logging.captureWarnings(False)
    print(len(warnings.filters), warnings.filters is vars(warnings)["filters"], getattr(warnings, "__name__"))
    print({key: value for key, value in __warningregistry__.items() if key != "version"})
    print(sorted(map(str, warnings.onceregistry)))
    raise SystemExit(several(2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("filters", ["", "ignore", "default", "once", "module", "always", "error"])
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: str(path)[-24:])
def test_the_program_writes_the_same_bytes_under_the_agent(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, python: str, filters: str
) -> None:
    program = tmp_path / "prog.py"
    program.write_text(dedent(STORY))
    command = [python, *(["-W", filters] if filters else []), str(program)]
    bare = run_program(*command)
    measured = run_program("perfagent", "run", *command, env=agent_env(receiver))
    assert measured.wait() == bare.wait() == (1 if filters == "error" else 0)
    assert measured.stdout == bare.stdout
    ours, theirs = measured.stderr, bare.stderr
    if filters == "error" and "3.10" in python:  # where our frame stays in a traceback
        ours = re.sub(r'  File "[^"]*perfagent[^"]*", .*\n(    .*\n)?', "", ours)
    assert ours == theirs
    assert theirs or filters == "ignore"


SKIPS = """
    import sys, warnings
    sys.path.insert(0, "lib")
    import skipping
    def main():
        for _ in range(2):
            skipping.outer()
            skipping.none()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        main()
        skipping.outer()
    print([(str(one.message), one.filename, one.lineno) for one in caught])
"""
SKIPPING = """
    import os, warnings
    HERE = os.path.dirname(__file__)
    def inner():
        warnings.warn("skipped", DeprecationWarning, skip_file_prefixes=(HERE,))
        warnings.warn("further", DeprecationWarning, 3, skip_file_prefixes=(HERE,))
    def outer():
        inner()
    def none():
        warnings.warn("none", DeprecationWarning, 2, skip_file_prefixes=("/nowhere",))
"""


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: str(path)[-24:])
def test_files_that_are_skipped_are_skipped_from_where_python_begins(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, python: str
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "skipping.py").write_text(dedent(SKIPPING))
    (tmp_path / "prog.py").write_text(dedent(SKIPS))
    bare = run_program(python, "prog.py", cwd=tmp_path)
    ours = run_program("perfagent", "run", python, "prog.py", env=agent_env(receiver), cwd=tmp_path)
    assert (ours.wait(), ours.stdout) == (bare.wait(), bare.stdout)
    if re.search(r"3\.1[23]", python):
        assert "prog.py', 7" in bare.stdout
    else:
        refused = bare.stderr.splitlines()[-1]
        assert refused.startswith("TypeError: ")
        assert ours.stderr.splitlines()[-1] == refused


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: str(path)[-24:])
def test_pythons_own_tests_of_warnings_pass_as_without_the_agent(
    receiver: Receiver, tmp_path: Path, python: str
) -> None:
    reports = []
    for name, prefix, env in (("bare", (), {}), ("measured", ("perfagent", "run"), agent_env(receiver))):
        (tmp_path / name).mkdir()
        program = Program((*prefix, python, "-m", "unittest", "test.test_warnings"), tmp_path / name, env)
        program.wait(180)
        reports.append(program.stderr)
    if "No module named 'test" in reports[0]:
        pytest.skip("this Python was installed without its tests")
    bare, measured = ({*re.findall(r"^(?:FAIL|ERROR): (\w+)", report, re.MULTILINE)} for report in reports)
    expected = {"test_conflicting_envvar_and_command_line"} if "3.10" in python else set()  # it reads a traceback
    assert measured - bare <= expected
    ran = [re.findall(r"^Ran (\d+) tests", report, re.MULTILINE) for report in reports]
    assert ran[0] == ran[1]
    assert int(ran[0][0]) > 100


@pytest.fixture
def installed() -> Iterator[None]:
    from perfagent.resilience import deprecations

    deprecations.install()
    yield
    deprecations.uninstall()


@pytest.mark.usefixtures("installed")
def test_what_stands_in_for_warn_binds_to_no_class_and_is_pickled_by_name() -> None:
    class Holder:
        warn = warnings.warn

    with pytest.warns(UserWarning, match="by an attribute"):
        Holder().warn("by an attribute")
    assert pickle.loads(pickle.dumps(warnings.warn)) == warnings.warn
    assert warnings.warn.__name__ == "warn"


@pytest.mark.usefixtures("installed")
def test_a_mock_takes_the_arguments_of_what_it_stands_in_for() -> None:
    with mock.patch("warnings.warn", autospec=True) as warn:
        warnings.warn("old", DeprecationWarning, stacklevel=2)
    warn.assert_called_once_with("old", DeprecationWarning, stacklevel=2)


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: str(path)[-24:])
def test_endless_recursion_is_the_error_that_it_was(run_program: RunProgram, receiver: Receiver, python: str) -> None:
    code = """
import sys
from {} import warn
def deep():
    warn("deep", DeprecationWarning)
    deep()
for limit in range(300, 320):
    sys.setrecursionlimit(limit)
    try:
        deep()
    except RecursionError:
        pass
"""
    for module in ("warnings", "_warnings"):
        program = run_program("perfagent", "run", python, "-c", code.format(module), env=agent_env(receiver))
        assert program.wait() == 0, program.stderr


@pytest.mark.usefixtures("installed")
def test_pytest_sees_warnings_as_ever(recwarn: pytest.WarningsRecorder) -> None:
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    (found,) = recwarn
    assert (str(found.message), found.filename) == ("old", __file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="once more"):
            warnings.warn("once more", DeprecationWarning, stacklevel=1)


@pytest.mark.usefixtures("installed")
def test_filters_that_change_without_a_word_hold_at_the_next_call() -> None:
    def old() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(6):
            if step == 3:
                warnings.filters.insert(0, ("error", None, DeprecationWarning, None, 0))
            if step < 3:
                old()
            else:
                with pytest.raises(DeprecationWarning):
                    old()


def test_uninstalled_nothing_of_ours_is_left() -> None:
    import _warnings
    from types import ModuleType

    from perfagent.resilience import deprecations

    deprecations.install()
    assert warnings.warn is not _warnings.warn
    deprecations.uninstall()
    assert warnings.warn is _warnings.warn
    assert type(warnings) is ModuleType
