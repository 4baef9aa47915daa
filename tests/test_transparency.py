"""A program sees of a patched object what it sees of the library's own: each instrument's objects, as a property.

The objects are all that the instruments have replaced, asked of them in a process that has imported every library, so
a new instrument is judged with the others. `tests.apps.patched_objects` and `patched_calls` tell what is to be seen.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver
from tests.program import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # every library is imported in each
ROOT = Path(__file__).parent.parent
EXPLAINED = {
    "file": "inspect.getsourcefile looks at the wrapper, as with any decorator; getsource looks behind it",
    "marked": "what C made takes no attributes, what stands in its place does",
    "__annotations__": "what C made has none, what stands in its place has no more",
}
"""Why a fact of any object may differ."""
OF_C = {
    "stored as", "kind", "weak", "isfunction", "isbuiltin", "ismethoddescriptor", "isroutine", "function of",
    "by super", "__module__", "module", "__text_signature__", "bound to", "source", "type hints", "found in",
    "pickled", "copied", "signature", "parameters", "__slots__", "order of bases",
}  # fmt: skip
"""What tells what C made from what Python made, where only the latter can stand in its place: a function, or a subclass
of the same name that comes first in the order of bases and has slots, so that its instances have no __dict__ either."""
ELSEWHERE = {"found in", "pickled"}
"""Where only what a subclass inherits or a module imports is replaced: pickle looks where it is defined."""
CALLS_EXPLAINED = {
    "psycopg:Cursor.copy": "its original is behind a context manager",
    "psycopg:AsyncCursor.copy": "its original is behind a context manager",
    "inspect:currentframe": "DuckDB looks by it for the program's variables; it calls nothing",
    "logging:Logger.makeRecord": "its frame is one of logging's own, which handlers pass over",
    "logging:Logger.callHandlers": "its frame is one of logging's own, which handlers pass over",
    "pika.adapters.blocking_connection:BlockingChannel.consume": "takes apart what pika gives, which is not None",
    "elasticsearch._otel:OpenTelemetry.span": "ours stands in its place while nobody else traces",
    "sqlalchemy.engine.base:Engine.__init__": "its original is behind a function with the same parameters",
    **dict.fromkeys(
        (
            "sanic.server.protocols.http_protocol:HttpProtocolMixin._setup",
            "grpc._server:_abort",
            "grpc._channel:_UnaryUnaryMultiCallable._blocking",
            "grpc._channel:_StreamUnaryMultiCallable._blocking",
        ),
        "reads, unguarded, what only its library's own code hands over or gives back",
    ),
    **dict.fromkeys(
        (
            *(f"_duckdb:DuckDBPyConnection.{call}" for call in ("sql", "query", "from_query")),
            *(f"duckdb:{call}" for call in ("sql", "query", "from_query")),
            "duckdb._seam:submit",
        ),
        "asks, unguarded, what it is given; an object that raises whatever is asked of it is no query",
    ),
    "loguru._logger:Logger._log": "takes apart the options that loguru's own methods alone give",
}
"""Functions that cannot be called so, or whose lines are blamed by design, and why."""


@pytest.fixture(scope="module")
def patched() -> dict[str, Any]:
    """The names of the replaced objects, and the state of each instrument."""
    with Receiver() as receiver:
        return json.loads(_run("tests.apps.patched_objects", "names", env=agent_env(receiver)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def facts(patched: dict[str, Any]) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """What is to be seen of each object, bare and under the agent."""
    asked = json.dumps(patched["names"])
    with Receiver() as receiver:
        found = [
            json.loads(_run("tests.apps.patched_objects", "facts", env=env, given=asked))
            for env in (None, agent_env(receiver))
        ]
    return found[0], found[1]


def _run(*module: str, env: Mapping[str, str] | None = None, given: str = "") -> str:
    agent = ("perfagent", "run") if env else ()
    command = (*agent, sys.executable, "-W", "ignore", "-m", *module)
    env = clean_environment({"PYTHONHASHSEED": "0", **(env or {})})  # the order of a set is to be seen in a signature
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT, env=env, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_instruments_of_all_installed_libraries_are_judged(patched: dict[str, Any]) -> None:
    assert len(patched["names"]) > 120
    assert {state for name, state in patched["instruments"].items()} == {"on"}


def test_a_patched_object_looks_like_the_librarys_own(
    facts: tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]],
) -> None:
    bare, under = facts
    differing = {
        f"{name}: {fact}": (bare[name].get(fact), under[name].get(fact))
        for name in bare
        for fact in bare[name].keys() | under[name].keys()
        if _without_addresses(bare[name].get(fact)) != _without_addresses(under[name].get(fact))
        and not _is_explained(bare[name], name, fact)
    }
    assert differing == {}


def _without_addresses(told: str | None) -> str | None:
    return told and re.sub(r"0x[0-9a-f]+", "0x", told)


def _is_explained(bare: dict[str, str], name: str, fact: str) -> bool:
    module, _, path = name.partition(":")
    of_c = bare["isfunction"] == "False"
    elsewhere = bare["__module__"] != module or path.split(".")[-2:-1] not in ([], [_first(bare["found in"])])
    if name == "psycopg2.pool:SimpleConnectionPool.getconn" and fact == "pickled":
        return True  # a class has another one's method under a second name there; both are replaced
    return fact in EXPLAINED or (of_c and fact in OF_C) or (elsewhere and fact in ELSEWHERE)


def _first(bases: str) -> str:
    return bases.strip("[]").partition(",")[0].strip("'")


def test_a_call_goes_through_once_whatever_it_is_given(receiver: Receiver) -> None:
    """And its exception, the line that its warning blames and the context variables are the program's own."""
    env = agent_env(receiver, PERFAGENT_TIME_PARTS="true")
    del env["PERFAGENT_STRICT"]  # hooks are to fail here, and nobody is to notice
    told = json.loads(_run("tests.apps.patched_calls", env=env))
    assert told["checked"] > 100
    assert {name: wrong for name, wrong in told["wrong"].items() if name not in CALLS_EXPLAINED} == {}


def test_what_is_undone_leaves_no_trace_in_any_module_or_class() -> None:
    told = json.loads(_run("tests.apps.patched_objects", "undone"))
    assert len(told["changed"]) > 100
    assert told["left"] == []
