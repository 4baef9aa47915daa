"""`@deprecated`: what PEP 702 and Python 3.13 say of it, counted with and without the agent."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typing_extensions

from perfagent import deprecated
from perfagent.runtime.metric import registry
from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver

NEWEST = sorted(str(path) for path in Path.home().glob(".pyenv/versions/3.13.*/bin/python"))


def count(function: str) -> float:
    """What the counter says of a function."""
    counter = registry.instruments["perfagent.deprecations", "deprecated_function_calls_total"]
    return sum(series.value for series in counter.collect() if series.attributes["function"] == function)


@contextlib.contextmanager
def counted(function: str, times: int) -> Iterator[list[warnings.WarningMessage]]:
    """Asserts that what runs inside is so many calls, each with a warning that blames this file."""
    before = count(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    assert [(one.category, one.filename) for one in caught] == [(DeprecationWarning, __file__)] * times
    assert count(function) - before == times


@deprecated("use new()")
def old(one: int, two: str = "b") -> tuple[int, str]:
    """What it did."""
    return one, two


@deprecated("use new_task()")
async def old_task(one: int) -> int:
    return one


@deprecated("use New")
class Old:
    def __init__(self, one: int = 0) -> None:
        self.one = one


class Holder:
    @deprecated("no method")
    def method(self) -> str:
        return "method"

    @staticmethod
    @deprecated("no static")
    def static() -> str:
        return "static"

    @classmethod
    @deprecated("no class")
    def of(cls) -> str:
        return cls.__name__

    @property
    @deprecated("no property")
    def value(self) -> str:
        return "value"


HERE = f"{__name__}."


def test_a_function_keeps_what_it_is_and_each_call_counts() -> None:
    with counted(HERE + "old", 3) as caught:
        assert [old(1), old(2, "c"), old(one=3)] == [(1, "b"), (2, "c"), (3, "b")]
    assert str(caught[0].message) == "use new()"
    assert caught[0].lineno == inspect.currentframe().f_lineno - 2  # type: ignore[union-attr]
    assert (old.__name__, old.__doc__, old.__deprecated__) == ("old", "What it did.", "use new()")  # type: ignore[attr-defined]
    assert str(inspect.signature(old)) == "(one: 'int', two: 'str' = 'b') -> 'tuple[int, str]'"
    assert pickle.loads(pickle.dumps(old)) is old


def test_a_coroutine_function_stays_one() -> None:
    assert inspect.iscoroutinefunction(old_task)

    async def main() -> int:
        return await old_task(5)

    with counted(HERE + "old_task", 1):
        assert asyncio.run(main()) == 5


def test_generators_warn_when_they_are_made() -> None:
    @deprecated("no generator")
    def numbers() -> Iterator[int]:
        yield 1

    @deprecated("no async generator")
    async def later() -> AsyncIterator[int]:
        yield 1

    async def main() -> list[int]:
        return [one async for one in later()]

    name = f"{HERE}{test_generators_warn_when_they_are_made.__name__}.<locals>."
    with counted(name + "numbers", 1):
        assert list(numbers()) == [1]
    with counted(name + "later", 1):
        assert asyncio.run(main()) == [1]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("method", lambda: Holder().method()),
        ("static", Holder.static),
        ("of", Holder.of),
        ("value", lambda: Holder().value),
    ],
)
def test_what_a_class_has_is_counted_by_its_name(name: str, call: Callable[[], str]) -> None:
    before = count(f"{HERE}Holder.{name}")
    with pytest.warns(DeprecationWarning, match="no "):
        assert call() in (name, "Holder")
    assert count(f"{HERE}Holder.{name}") - before == 1


def test_a_class_warns_when_it_is_made_and_when_it_is_subclassed_but_not_for_the_subclass() -> None:
    with counted(HERE + "Old", 2):
        assert Old(3).one == 3

        class New(Old):
            pass

        assert New(4).one == 4
    assert Old.__deprecated__ == "use New"  # type: ignore[attr-defined]
    assert not hasattr(Holder, "__deprecated__")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pickle.loads(pickle.dumps(Old(5))).one == 5


def test_without_a_category_nothing_is_wrapped_and_nothing_counts() -> None:
    def plain() -> int:
        return 1

    assert deprecated("quiet", category=None)(plain) is plain
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain() == 1
    assert plain.__deprecated__ == "quiet"  # type: ignore[attr-defined]


def test_category_and_stacklevel_are_obeyed() -> None:
    @deprecated("one further up", category=FutureWarning, stacklevel=2)
    def inner() -> None: ...

    def outer() -> None:
        inner()

    with pytest.warns(FutureWarning) as caught:
        outer()
    assert caught[0].lineno == inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", [None, 5, old])
def test_a_message_that_is_no_text_is_refused_with_an_example(wrong: object) -> None:
    with pytest.raises(TypeError, match=r'not \'\w+\'; write @deprecated\("use x"\)'):
        deprecated(wrong)  # type: ignore[arg-type]


def test_what_is_neither_class_nor_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="must be applied to a class or callable, not 5"):
        deprecated("x")(5)


def test_an_error_keeps_the_traceback_that_the_program_expects() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match=re.escape("use new()")) as raised:
            old(1)
    names = [entry.name for entry in raised.traceback]
    assert names[:2] == [inspect.currentframe().f_code.co_name, "wrapper"]  # type: ignore[union-attr]
    assert names[2:] == ([] if sys.version_info >= (3, 11) else ["warn"])


def test_decorators_of_others_are_counted_by_what_they_mark(run_text: RunText, receiver: Receiver) -> None:
    run_text(
        """
        import typing_extensions, warnings
        warnings.simplefilter("ignore")

        @typing_extensions.deprecated("use theirs")
        def theirs(): pass

        @typing_extensions.deprecated("no class")
        class Theirs: pass

        for _ in range(4):
            theirs()
            Theirs()
        """,
        PYTHONPATH=str(Path(typing_extensions.__file__).parent),
    )
    for name, message in (("theirs", "use theirs"), ("Theirs", "no class")):
        receiver.wait_for_metric(
            "perfagent.deprecation.calls",
            where=lambda point, name=name, message=message: (
                point.value == 4  # type: ignore[misc]
                and point.attributes["function"] == f"__main__.{name}"
                and point.attributes["deprecation.message"] == message
            ),
        )


PYTHONS_OWN = """
import sys, unittest, warnings
from perfagent import deprecated
ours = {name for name in sys.argv[1:]}
if "perfagent" in ours:
    warnings.deprecated = deprecated
import test.test_warnings as theirs
suite = unittest.defaultTestLoader.loadTestsFromTestCase(theirs.DeprecatedTests)
result = unittest.TextTestRunner(verbosity=0).run(suite)
print(result.testsRun, sorted(test.id().rpartition(".")[2] for test, _ in result.failures + result.errors))
"""


@pytest.mark.slow
@pytest.mark.parametrize("agent", [False, True])
@pytest.mark.parametrize("python", NEWEST or [None], ids=lambda path: str(path)[-24:])
def test_pythons_own_tests_of_deprecated_pass_for_ours(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path, python: str | None, agent: bool
) -> None:
    if python is None:
        pytest.skip("no Python 3.13 is here")
    (tmp_path / "own.py").write_text(PYTHONS_OWN)
    command = (*(("perfagent", "run") if agent else ()), python, "own.py", "perfagent")
    env = agent_env(receiver, PYTHONPATH=str(Path(__file__).parent.parent / "src"))
    tests, failures = run_program(*command, env=env, cwd=tmp_path).check().split(" ", 1)
    assert int(tests) > 15
    assert failures == "[]\n"
