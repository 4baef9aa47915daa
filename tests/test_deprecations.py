"""The deprecation ledger under the agent: every call is counted, by the line to fix, whatever the filters do."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Point, Receiver

CALLS, FUNCTIONS = "perfagent.deprecation.calls", "deprecated_function_calls_total"
NEWER = sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.1[23].*/bin/python"))


def line_of(program: str, text: str) -> int:
    """The number of the line of a dedented program that holds a text."""
    return next(number for number, line in enumerate(dedent(program).splitlines(), 1) if text in line)


def calls(receiver: Receiver, expected: int, **attributes: object) -> Point:
    """The last point of the site with these attributes, once it has told so many calls."""
    wanted = {name.replace("__", "."): value for name, value in attributes.items()}
    return receiver.wait_for_metric(
        CALLS,
        where=lambda point: (
            point.value == expected and all(point.attributes.get(name) == value for name, value in wanted.items())
        ),
    )


OWN = """
    import warnings

    def old_price(amount):
        warnings.warn("old_price is deprecated", DeprecationWarning, stacklevel=2)
        return amount

    def total():
        return sum(old_price(one) for one in range(500))  # here

    total()
    old_price(1)  # and here
"""


def test_each_call_of_the_programs_own_is_counted_at_the_line_that_makes_it(
    run_text: RunText, receiver: Receiver, tmp_path: Path
) -> None:
    run_text(OWN)
    point = calls(receiver, 500, code__line__number=line_of(OWN, "# here"))
    assert point.attributes == {
        "function": "__main__.old_price",
        "code.file.path": str(tmp_path / "prog.py"),
        "code.line.number": line_of(OWN, "# here"),
        "code.function.name": "total.<locals>.<genexpr>" if sys.version_info >= (3, 11) else "<genexpr>",
        "deprecation.message": "old_price is deprecated",
        "deprecation.category": "DeprecationWarning",
        "deprecation.own": "true",
    }
    calls(receiver, 1, code__line__number=line_of(OWN, "# and here"))
    assert receiver.total(FUNCTIONS, function="__main__.old_price").value == 501


@pytest.mark.parametrize("filters", ["ignore", "default", "once", "module", "always"])
def test_the_count_is_the_programs_own_whatever_its_filters(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, filters: str
) -> None:
    program = tmp_path / "prog.py"
    program.write_text(dedent(OWN))
    run_program("perfagent", "run", sys.executable, "-W", filters, str(program), env=agent_env(receiver)).check()
    calls(receiver, 500)
    assert receiver.total(FUNCTIONS).value == 501


def test_categories_that_say_nothing_of_deprecation_are_not_counted(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import warnings
        warnings.simplefilter("ignore")
        class Gone(PendingDeprecationWarning): pass
        warnings.warn("plain")
        warnings.warn("runtime", RuntimeWarning)
        warnings.warn("future", FutureWarning)
        warnings.warn("pending", PendingDeprecationWarning)
        warnings.warn(Gone("an instance"))
    """)
    calls(receiver, 1, deprecation__category="Gone", deprecation__message="an instance")
    assert receiver.total(FUNCTIONS).value == 3


def test_future_warnings_are_left_out_where_that_is_wished(run_text: RunText, receiver: Receiver) -> None:
    text = """
        import warnings
        warnings.simplefilter("ignore")
        warnings.warn("future", FutureWarning)
        warnings.warn("pending", PendingDeprecationWarning)
    """
    run_text(text, PERFAGENT_DEPRECATIONS_FUTURE="false")
    calls(receiver, 1, deprecation__category="PendingDeprecationWarning")
    assert receiver.total(FUNCTIONS).value == 1


def test_threads_and_tasks_lose_no_call(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import asyncio, threading, warnings
        warnings.simplefilter("ignore")

        def old():
            warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)

        def loop():
            for _ in range(5000):
                old()

        async def task():
            for _ in range(100):
                old()
                await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*(task() for _ in range(20)))

        threads = [threading.Thread(target=loop) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        asyncio.run(main())
    """)
    calls(receiver, 40_000, code__function__name="loop")
    calls(receiver, 2000, code__function__name="task")
    assert receiver.total(FUNCTIONS, function="__main__.old").value == 42_000


LIBRARY = """
    import warnings
    def old():
        warnings.warn("parrot.old is deprecated", DeprecationWarning, stacklevel=1)
    def careful():
        warnings.warn("parrot.careful is deprecated", DeprecationWarning, stacklevel=2)
    def through():
        return careful()
"""


@pytest.fixture
def parrot(tmp_path: Path) -> str:
    """A folder with an installed distribution, for PYTHONPATH."""
    folder = tmp_path / "site-packages"
    (folder / "Parrot_Talk-2.5.dist-info").mkdir(parents=True)
    (folder / "Parrot_Talk-2.5.dist-info" / "top_level.txt").write_text("parrot\n")
    (folder / "parrot.py").write_text(dedent(LIBRARY))
    return str(folder)


def test_a_librarys_warning_tells_its_version_and_the_programs_nearest_line(
    run_text: RunText, receiver: Receiver, parrot: str
) -> None:
    text = """
        import parrot
        for _ in range(300):
            parrot.old()  # blames itself
        parrot.careful()  # blames this
        parrot.through()  # blames the library
    """
    run_text(text, PYTHONPATH=parrot)
    shared = {"deprecation__library": "parrot-talk", "deprecation__version": "2.5", "deprecation__own": "true"}
    blamed = calls(receiver, 300, function="parrot.old", code__line__number=line_of(text, "blames itself"), **shared)
    assert blamed.attributes["deprecation.warned_at"] == f"{parrot}/parrot.py:{line_of(LIBRARY, 'stacklevel=1')}"
    calls(receiver, 1, function="parrot.careful", code__line__number=line_of(text, "blames this"), **shared)
    calls(receiver, 1, function="parrot.careful", code__line__number=line_of(text, "blames the library"), **shared)


def test_a_real_library_is_named_with_its_version(run_text: RunText, receiver: Receiver) -> None:
    import sqlalchemy

    run_text("""
        from sqlalchemy.ext.declarative import declarative_base
        declarative_base()
    """)
    calls(
        receiver,
        1,
        function="sqlalchemy.ext.declarative.declarative_base",
        deprecation__category="MovedIn20Warning",
        deprecation__library="sqlalchemy",
        deprecation__version=sqlalchemy.__version__,
        code__line__number=3,
    )


@pytest.mark.slow
@pytest.mark.parametrize("filters", ["ignore", "default", "always", "module", "once"])
@pytest.mark.parametrize("python", NEWER or [None], ids=lambda path: str(path)[-24:])
def test_what_c_code_warns_of_is_counted_each_time(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, python: str | None, filters: str
) -> None:
    if python is None:
        pytest.skip("no Python 3.12 or 3.13 is here")
    text = """
        import datetime, threading
        def now():
            for _ in range(200):
                datetime.datetime.utcnow()  # here
        threads = [threading.Thread(target=now) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        now()
    """
    program = tmp_path / "prog.py"
    program.write_text(dedent(text))
    run_program("perfagent", "run", python, "-W", filters, str(program), env=agent_env(receiver)).check()
    point = calls(receiver, 1000, function="datetime.datetime.utcnow")
    assert point.attributes["code.line.number"] == line_of(text, "# here")
    assert point.attributes["deprecation.library"] == "python"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="looks into CPython")
def test_a_warn_that_was_taken_before_us_is_seen_as_well(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        from _warnings import warn
        def old():
            warn("old is deprecated", DeprecationWarning, 2)
        for _ in range(50):
            old()
    """)
    calls(receiver, 50, deprecation__message="old is deprecated")


def test_values_in_a_warning_stay_here_and_names_in_the_code_do_not(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import warnings
        def connect(password=None, account=0):
            warnings.warn(f"'password' is deprecated, got '{password}' for {account}", DeprecationWarning, stacklevel=2)
        connect(password="hunter2", account=4929123456781234)
    """)
    assert calls(receiver, 1).attributes["deprecation.message"] == "'password' is deprecated, got '?' for ?"


def test_a_process_tells_so_many_places_apart_and_counts_the_others_together(
    run_text: RunText, receiver: Receiver
) -> None:
    lines = "\n".join("old()" for _ in range(50))
    head = "import warnings\ndef old():\n    warnings.warn('old is deprecated', DeprecationWarning, stacklevel=2)\n"
    run_text(head + lines, PERFAGENT_DEPRECATIONS_SITES="20")
    calls(receiver, 30, function="(other deprecated calls)")
    assert receiver.total(FUNCTIONS).value == 50


def test_texts_with_values_in_them_are_one_place(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import warnings
        warnings.simplefilter("ignore")
        for number in range(1000):
            warnings.warn(f"number {number} is deprecated", DeprecationWarning)
    """)
    calls(receiver, 992, function="__main__")
    assert receiver.total(FUNCTIONS).value == 1000


def test_a_forked_child_tells_its_own_calls(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import os, warnings
        warnings.simplefilter("ignore")
        def old():
            warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)
        def several(times):
            for _ in range(times):
                old()
        several(3)
        child = os.fork()
        several(5)
        if child:
            os.waitpid(child, 0)
    """)
    calls(receiver, 8)
    calls(receiver, 5)
    receiver.wait_until_quiet(path="/v1/metrics")
    assert receiver.total(FUNCTIONS).value == 13


def test_filters_that_were_read_by_getattr_and_put_back_count_once(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import warnings
        from _warnings import warn
        warnings.simplefilter("ignore")
        saved = getattr(warnings, "filters")[:]
        warnings.filters[:] = saved
        for _ in range(10):
            warn("old is deprecated", DeprecationWarning)
    """)
    calls(receiver, 10, function="old")


def test_off_means_that_warnings_are_pythons_own(run_text: RunText, receiver: Receiver) -> None:
    program = run_text(
        """
        import _warnings, types, warnings
        print(warnings.warn is _warnings.warn, type(warnings) is types.ModuleType)
        """,
        PERFAGENT_DEPRECATIONS="false",
    )
    assert program.stdout == "True True\n"


def test_no_frame_and_no_object_of_the_program_is_kept(run_text: RunText) -> None:
    program = run_text("""
        import gc, warnings, weakref
        gc.disable()
        warnings.simplefilter("ignore")
        class Big: pass
        def old():
            warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)
        def user():
            big = Big()
            old()
            return weakref.ref(big)
        def failing():
            big = Big()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    old()
                except DeprecationWarning:
                    pass
            return weakref.ref(big)
        print(user()(), failing()())
    """)
    assert program.stdout == "None None\n"


def test_a_warning_where_no_frame_runs_is_shown_as_well(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "prog.py").write_text(
        dedent("""
        import threading
        local = threading.local()
        def work():
            local.file = open(__file__)  # goes with its thread
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """)
    )
    command = (sys.executable, "-W", "default", "prog.py")
    bare = run_program(*command, cwd=tmp_path)
    measured = run_program("perfagent", "run", *command, env=agent_env(receiver), cwd=tmp_path)
    assert measured.wait() == bare.wait() == 0
    assert "ResourceWarning: unclosed file" in bare.stderr
    assert measured.stderr == bare.stderr


def test_the_exits_summary_has_a_line_where_there_are_deprecated_calls(run_program: RunProgram, tmp_path: Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text(dedent(OWN))
    command = ("perfagent", "run", sys.executable, "-W", "ignore")
    told = run_program(*command, str(program), env={"PERFAGENT_HUB": "off"})
    told.check()
    line = line_of(OWN, "# here")
    assert f"deprecated: 501 calls from 2 lines, the most from {program}:{line} calls __main__.old_price" in told.stderr
    assert "nothing is sent: PERFAGENT_HUB=off" in told.stderr
    assert "pip install" not in told.stderr
    nobody = run_program(*command, "-c", "pass", env={"PERFAGENT_HUB": "off"})
    nobody.check()
    assert nobody.stderr == ""


@pytest.mark.slow
def test_the_sdk_pipeline_tells_them_too(run_text: RunText, receiver: Receiver) -> None:
    run_text(OWN, PERFAGENT_PIPELINE="sdk")
    calls(receiver, 500, function="__main__.old_price")
    assert receiver.total(FUNCTIONS, function="__main__.old_price").value == 501
