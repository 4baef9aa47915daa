"""Queries that one request repeats: the loop that does it, and which of them it would not have needed to run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime import callers, loops, repeats
from tests.agent import agent_env
from tests.told_faults import FAULTS, insights, line_of, told_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram, RunText
    from tests.hub import ServedHub
    from tests.otlp import Receiver

LAZY = Path(__file__).parent / "apps" / "lazy_loads.py"


def test_the_loop_that_runs_a_query_again_and_again_is_named_and_not_only_the_layer_below(
    hub: ServedHub, run_program: RunProgram
) -> None:
    (told,) = told_of(hub, run_program, "n_plus_one", "n_plus_one")
    loop = line_of("n_plus_one", "for order, _ in orders")
    assert told["place"] == f"{FAULTS / 'n_plus_one.py'}:{loop} listing"
    query = line_of("n_plus_one", "select name from customers")
    assert f"the loop at known_faults/n_plus_one.py:{loop} listing runs it" in told["evidence"]
    assert f"from known_faults/n_plus_one.py:{query} customer_of" in told["evidence"]
    assert told["title"].startswith("GET /orders runs the same query 20 times a request")
    assert "selectinload" in told["recommendation"]
    assert not insights(hub, "duplicate_queries")  # each has other parameters


def test_a_query_that_a_request_runs_again_with_the_same_parameters_is_named(
    hub: ServedHub, run_program: RunProgram
) -> None:
    (told,) = told_of(hub, run_program, "duplicate_queries", "duplicate_queries")
    assert told["place"] == f"{FAULTS / 'duplicate_queries.py'}:{line_of('duplicate_queries', '# fault:')} setting"
    assert told["metrics"]["again"] == 2
    assert told["metrics"]["runs"] == 4
    assert told["title"] == "GET /bill runs a query 2 times more than it needs to, with the same parameters"
    assert "the loop" not in told["evidence"]  # that of the client in front is none of the request's
    trace = hub.get(f"traces/{told['traces'][0]}")
    assert sum(span["attributes"].get("perfagent.query.duplicate", False) for span in trace["spans"]) == 2
    assert "currency" not in str(trace)


def test_the_loop_is_found_through_an_orm_that_loads_lazily(receiver: Receiver, run_program: RunProgram) -> None:
    program = run_program("perfagent", "run", sys.executable, str(LAZY), env=agent_env(receiver))
    program.check(60)
    assert program.stdout == "8\n"
    lines = LAZY.read_text().splitlines()
    found = [span.attributes for span in receiver.spans if "perfagent.loop.line.number" in span.attributes]
    assert found
    for one in found:
        assert lines[int(one["perfagent.loop.line.number"]) - 1].endswith("# loop here")
        assert lines[int(one["code.line.number"]) - 1].endswith("# touched here")


def test_a_statement_that_became_known_long_ago_is_looked_at_as_soon_as_requests_repeat_it(
    run_text: RunText, receiver: Receiver
) -> None:
    run_text("""
        import sqlite3, time
        from opentelemetry import trace
        from perfagent.runtime import callers, outbox
        database = sqlite3.connect(":memory:")
        database.execute("create table things (id integer)")
        def ask(number):
            database.execute("select id from things where id = ?", (number,))
        for number in range(10):
            ask(number)  # no request: nothing is repeated
        tracer = trace.get_tracer("test")
        deadline = time.monotonic() + 60
        while not callers.watched and time.monotonic() < deadline:
            with tracer.start_as_current_span("request"):
                for number in range(3):
                    ask(number)
            outbox.flush(5)
        with tracer.start_as_current_span("watched"):
            number = 0
            while number < 6:
                number += 1
                ask(number % 2)
        """)
    (watched,) = [span for span in receiver.spans if span.name == "watched"]
    below = [span.attributes for span in receiver.spans if span.parent_id == watched.span_id]
    below = [one for one in below if "select" in str(one["db.query.text"])]
    assert [one.get("perfagent.loop.line.number") for one in below] == [None, 20, 20, 20, 20, 20]
    assert [one.get("perfagent.query.duplicate", False) for one in below] == [False, False, True, True, True, True]


@pytest.mark.slow
def test_who_waits_and_asks_again_asks_nothing_for_nothing(run_text: RunText, receiver: Receiver) -> None:
    run_text("""
        import sqlite3, time
        from opentelemetry import trace
        from perfagent.runtime import callers, outbox
        database = sqlite3.connect(":memory:")
        database.execute("create table jobs (id integer, state text)")
        def state(number):
            database.execute("select state from jobs where id = ?", (number,)).fetchall()
        for number in range(10):
            state(number)  # no request: nothing is repeated
        tracer = trace.get_tracer("test")
        deadline = time.monotonic() + 30
        while not callers.watched and time.monotonic() < deadline:
            with tracer.start_as_current_span("request"):
                for number in range(3):
                    state(number)
            outbox.flush(5)
        with tracer.start_as_current_span("waits"):
            for _ in range(5):
                state(7)
                time.sleep(0.3)  # a job of another process is not done yet
            state(7)  # and here it is
            state(7)
        """)
    (waits,) = [span for span in receiver.spans if span.name == "waits"]
    asked = [span.attributes for span in receiver.spans if span.parent_id == waits.span_id]
    assert [one.get("perfagent.query.duplicate", False) for one in asked] == [False] * 5 + [True] * 2
    assert "perfagent.duplicate_queries" not in {record.event_name for record in receiver.logs}  # two of them are few


@pytest.mark.parametrize(
    ("pauses", "again"),
    [
        ((1, 1, 1), 3),  # in a loop
        ((400, 400, 400), 0),  # with a wait: it may have changed
        ((400, 1, 400), 1),
        ((-5, -5), 2),  # side by side
    ],
)
def test_a_question_is_for_nothing_where_its_answer_is_fresh(pauses: tuple[int, ...], again: int) -> None:
    asked, now, found = repeats.Asked(), 0, 0
    for pause in (0, *pauses):
        run = SimpleNamespace(started=now + pause * 1_000_000, ended=now + (pause + 10) * 1_000_000)
        found += asked.again(run, ((here.__code__, 0, 1),))  # type: ignore[arg-type]
        now = run.ended
    assert found == again
    late = SimpleNamespace(started=now + 900_000_000, ended=now + 910_000_000)
    assert asked.again(late, ((here.__code__, 2, 1),))  # type: ignore[arg-type] # from elsewhere


def test_parameters_are_told_apart_without_running_code_of_theirs() -> None:
    class Own:
        def __repr__(self) -> str:
            raise AssertionError

        __str__ = __hash__ = __repr__  # type: ignore[assignment]

    same = callers.digest(("select ?", (1, "a", [None, b"x", 2.5], {"k": True})), {})
    assert same is not None
    assert callers.digest(("select ?", (1, "a", [None, b"x", 2.5], {"k": True})), {}) == same
    assert callers.digest((-1,)) != callers.digest((-2,))
    assert callers.digest(("1",)) != callers.digest((b"1",))
    assert callers.digest((Own(),)) is None
    assert callers.digest(([0] * 1000,)) is None
    assert callers.digest(callers.NOT_TOLD) is None


places: dict[str, tuple[object, int]] = {}


def here() -> None:
    frame = sys._getframe(1)
    places["here"] = frame.f_code, frame.f_lasti


def tries_again() -> bool:
    for _ in range(3):
        try:
            return here() is None
        except ValueError:
            continue
    return False


def stops_when_done() -> None:
    while True:
        try:
            here()
            break
        except ValueError:
            pass


def tries_again_for_each() -> None:
    for _ in range(2):  # the loop
        for _ in range(3):
            try:
                here()
                break
            except ValueError:
                pass


def counts() -> None:
    number = 0
    while number < 2:  # the loop
        number += 1
        here()


def comprehends() -> list[None]:
    return [here() for _ in range(2)]  # the loop


def opens() -> None:
    for _ in range(2):  # the loop
        with open("/dev/null"):
            here()


def waits() -> None:
    async def inner() -> None:
        here()

    async def outer() -> None:
        await inner()

    asyncio.run(outer())


@pytest.mark.parametrize("function", [tries_again, stops_when_done, waits])
def test_to_try_again_or_to_wait_is_no_loop(function: Callable[[], object]) -> None:
    function()
    code, offset = places["here"]
    assert loops.line_of_loop(code, offset) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [tries_again_for_each, counts, comprehends, opens])
def test_a_loop_begins_at_its_own_line(function: Callable[[], object]) -> None:
    function()
    code, offset = places["here"]
    line = loops.line_of_loop(code, offset)  # type: ignore[arg-type]
    assert Path(__file__).read_text().splitlines()[line - 1].endswith("# the loop")
