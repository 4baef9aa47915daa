"""The agent knows what it costs, stays below its ceiling, says what it gave up, and never gives up errors."""

from __future__ import annotations

import os
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from perfagent.runtime import governor, machine
from perfagent.runtime.governor import DETAIL, RATE, SAMPLING, Governor, Lever, Pace

if TYPE_CHECKING:
    from tests.conftest import RunText
    from tests.otlp import Receiver

BUSY = """
    import sqlite3, time
    from opentelemetry import trace
    from perfagent.runtime import outbox
    from perfagent.runtime.watch import watch

    tracer = trace.get_tracer("test")
    database = sqlite3.connect(":memory:")
    deadline = time.monotonic() + 60
    found = []
    while not found and time.monotonic() < deadline:
        time.sleep(0.02)
        found = [look for look in watch.looks if look.name == "governor"]
    (look,) = found
    look.interval, look.due = 0.05, 0.0
    watch._nudge()

    def request(number):
        with tracer.start_as_current_span(f"round {number % 50}", kind=trace.SpanKind.SERVER) as span:
            database.execute("select 1")
            if number % 50 == 7:
                span.set_status(trace.StatusCode.ERROR)

    number = 0
    while outbox.thin is None and time.monotonic() < deadline:
        request(number)
        number += 1
        time.sleep(0.0005)
    time.sleep(0.3)  # what waits is sent before the count begins
    outbox.flush(5)
    kept = outbox.thin
    for number in range(4000):
        request(number)
        if number % 500 == 0:
            outbox.flush(5)
            outbox.thin = kept
    print("begun")
"""


def test_traces_are_thinned_above_the_ceiling_and_errors_are_not(run_text: RunText, receiver: Receiver) -> None:
    run_text(BUSY, PERFAGENT_MAX_OVERHEAD="0.001", OTEL_BSP_SCHEDULE_DELAY="50")
    told = next(
        record
        for record in receiver.logs
        if record.event_name == "perfagent.overhead" and record.attributes["perfagent.overhead.lever"] == "traces"
    )
    assert "is sent from now on" in told.body
    thinned = [span for span in receiver.spans if "th:" in span.trace_state]
    assert thinned
    assert {span.name.partition(" ")[0] for span in thinned} == {"round", "SELECT"}
    failed = [span for span in receiver.spans if span.status.code == "ERROR"]
    assert len([span for span in failed if span.name == "round 7"]) >= 4000 // 50
    assert not any("th:" in span.trace_state for span in failed)
    succeeded = sum(1 for span in receiver.spans if span.name == "round 8")
    assert succeeded < len(failed)


def test_at_the_last_step_requests_are_not_timed_by_parts_and_then_they_are_again(run_text: RunText) -> None:
    told = run_text(
        """
        import threading
        from wsgiref.util import setup_testing_defaults
        from perfagent.runtime import governor, http, outbox
        from perfagent.runtime.timeparts.parts import in_threads
        from perfagent.instruments import wsgi

        while outbox.deferred:
            outbox.deferred.pop(0)()
        (lever,) = [one for one in governor.levers if one.name == "looks at slow requests"]

        def app(environ, start):
            print(http.timing, len(in_threads))
            start("200 OK", [])
            return [b""]

        from wsgiref.simple_server import make_server
        from urllib.request import urlopen
        server = make_server("127.0.0.1", 0, app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for step in (0, lever.steps, 0):
            lever.set(step)
            urlopen(f"http://127.0.0.1:{server.server_port}/").read()
        server.shutdown()
        """,
        PERFAGENT_TIME_PARTS="true",
    )
    assert told.stdout.splitlines() == ["True 1", "False 0", "True 1"]


def test_a_thread_that_is_gone_has_no_time() -> None:
    assert machine.thread_time(os.getpid()) is not None
    assert machine.thread_time(2**22 + 5) is None


def test_the_time_of_a_thread_is_what_it_used() -> None:
    native = os.getpid()
    before, own = machine.thread_time(native), time.thread_time_ns()
    while time.thread_time_ns() - own < 50_000_000:
        pass
    after = machine.thread_time(native)
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(50_000_000, rel=0.2)


class Steps:
    """What levers were set to, in the order of the calls."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []

    def lever(self, name: str, order: int) -> Lever:
        def take(step: int) -> str:
            self.taken.append((name, step))
            return f"{name} is {step}"

        return Lever(name, order, 2, take)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    made = [found.lever("traces", SAMPLING), found.lever("detail", DETAIL), found.lever("rate", RATE)]
    monkeypatch.setattr(governor, "levers", made)
    return found


def governor_of_one_percent() -> Governor:
    one = Governor.__new__(Governor)
    one.ceiling, one.factor, one.zone, one.share = 0.01, 1.0, "green", 0.0
    one._pace = Pace()
    return one


def governed(*shares: float) -> None:
    """A governor with a ceiling of 1 % decides after looks that found so much."""
    one = governor_of_one_percent()
    for share in shares:
        one.share = share
        one._decide(share / 0.01)


def test_rate_goes_first_then_detail_then_traces(steps: Steps) -> None:
    governed(*[0.02] * 12)
    assert steps.taken == [("rate", 1), ("rate", 2), ("detail", 1), ("detail", 2), ("traces", 1), ("traces", 2)]


def test_one_look_above_the_ceiling_is_no_reason(steps: Steps) -> None:
    governed(0.02, 0.005, 0.02, 0.009, 0.03)
    assert steps.taken == []


def test_steps_are_taken_back_in_the_other_order_where_there_is_room(steps: Steps) -> None:
    governed(*[0.02] * 6, *[0.004] * 18)
    assert steps.taken == [("rate", 1), ("rate", 2), ("detail", 1), ("detail", 0), ("rate", 1), ("rate", 0)]


def test_nothing_is_taken_back_right_below_the_ceiling(steps: Steps) -> None:
    governed(*[0.02] * 2, *[0.009] * 50)
    assert steps.taken == [("rate", 1)]


MINUTE = 12  # looks


class Process:
    """An agent whose features take a share of a core each, which is halved by each step of their levers.

    Args:
        kept: what no lever lowers.
        rate, detail, traces: what those of each order take.
        seed: of the noise, a tenth of everything.
    """

    def __init__(self, kept: float, rate: float, detail: float, traces: float, seed: int) -> None:
        self.kept = kept
        self.takes = {RATE: rate, DETAIL: detail, SAMPLING: traces}
        self.load = 1.0
        self.moves: list[int] = []
        self.above = 0
        self.noise = Random(seed)
        self.levers = [Lever(f"lever {order}", order, 3, lambda step: "less") for order in self.takes]

    def run(self, one: Governor, looks: int) -> None:
        """So many looks go by; notes at which ones a lever was moved."""
        for look in range(looks):
            before = [lever.step for lever in self.levers]
            shares = (share / 2**lever.step for lever, share in zip(self.levers, self.takes.values(), strict=True))
            taken = self.load * (self.kept + sum(shares)) * self.noise.uniform(0.9, 1.1)
            self.above += taken > one.ceiling
            one.share = taken
            one._decide(taken / one.ceiling)
            if [lever.step for lever in self.levers] != before:
                self.moves.append(look)


@pytest.mark.parametrize(
    "shares",
    [
        (0.0, 0.0115, 0.0, 0.0),  # one step is more than what there is too much
        (0.002, 0.009, 0.0, 0.0),
        (0.001, 0.004, 0.004, 0.004),
        (0.0, 0.0, 0.0, 0.025),
        (0.0, 0.03, 0.01, 0.001),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_there_is_room_for_and_stays_there(
    shares: tuple[float, float, float, float], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(*shares, seed=seed)
    monkeypatch.setattr(governor, "levers", process.levers)
    monkeypatch.setattr(governor.notices, "notice", lambda *_: True)
    one = governor_of_one_percent()
    process.run(one, 30 * MINUTE)
    process.moves, process.above = [], 0
    process.run(one, 60 * MINUTE)
    assert len(process.moves) <= 2 * 6, "it tries every ten minutes at most whether there is room"
    assert process.above <= 3 * 6, "for three looks each"
    process.load = 0.05
    process.run(one, 30 * MINUTE)
    assert not any(lever.step for lever in process.levers), "everything is as before once there is room"


def test_where_giving_up_does_not_help_everything_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(0.02, 0.001, 0.001, 0.001, seed=1)
    monkeypatch.setattr(governor, "levers", process.levers)
    monkeypatch.setattr(governor.notices, "notice", lambda *_: True)
    process.run(governor_of_one_percent(), 60 * MINUTE)
    assert len(process.moves) == sum(lever.steps for lever in process.levers) == 9


def test_who_is_busy_every_other_five_minutes_gets_everything_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(0.001, 0.012, 0.0, 0.0, seed=1)
    monkeypatch.setattr(governor, "levers", process.levers)
    monkeypatch.setattr(governor.notices, "notice", lambda *_: True)
    one = governor_of_one_percent()
    for _ in range(10):
        process.load, process.above = 1.0, 0
        process.run(one, 5 * MINUTE)
        assert any(lever.step for lever in process.levers)
        process.load = 0.1
        process.run(one, 5 * MINUTE)
        assert not any(lever.step for lever in process.levers)
