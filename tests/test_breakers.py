"""Circuit breakers open, try once and close as they are told, for threads, tasks, processes and every kind of call."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from perfagent import CircuitOpenError, circuit_breaker, get_breaker, load_breakers
from perfagent.resilience import breakers
from perfagent.resilience.breakers.configuration import Configuration, Rules
from perfagent.runtime import breaker as counted
from perfagent.runtime.metric import registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from perfagent.resilience.breakers import Breaker

SOON = 0.15  # s until an open breaker tries


class DownError(Exception):
    """What the thing behind the breaker raises."""


def fail() -> None:
    raise DownError


@pytest.fixture(autouse=True)
def _no_file() -> Iterator[None]:
    breakers._book.use(Configuration(Rules(3, SOON), {}))
    yield
    breakers._book.use(Configuration(Rules(), {}))


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4()}"


def metric(of: str, **labels: str) -> float:
    (instrument,) = (one for one in registry.instruments.values() if one.name == of)
    return sum(one.value for one in instrument.collect() if labels.items() <= dict(one.attributes).items())


def transitions(name: str) -> dict[str, float]:
    return {state: metric(counted.TRANSITIONS, name=name, state=state) for state in counted.STATES}


def shown(name: str) -> str:
    (state,) = (one for one in counted.STATES if metric("circuit_breaker_state", name=name, state=one))
    return state


def break_it(breaker: Breaker) -> None:
    guarded = breaker(fail)
    while breaker.state == "closed":
        with pytest.raises(DownError):
            guarded()


def until_it_may_try(breaker: Breaker) -> None:
    opened = breaker._context.opened_at or 0
    while time.time() <= opened + breaker.rules.recovery_time:
        time.sleep(0.01)


def test_so_many_failures_in_a_row_open_it_and_calls_are_then_not_made(name: str) -> None:
    made = []

    @circuit_breaker(name)
    def call(error: Exception | None = None) -> str:
        made.append(error)
        if error:
            raise error
        return "fine"

    for _ in range(2):
        with pytest.raises(DownError):
            call(DownError())
    assert call() == "fine"  # in a row: this begins it anew
    for _ in range(3):
        with pytest.raises(DownError):
            call(DownError())
    assert len(made) == 6
    with pytest.raises(CircuitOpenError) as refused:
        call()
    assert len(made) == 6
    assert refused.value.name == name
    assert 0 < refused.value.retry_after <= SOON
    assert transitions(name) == {"open": 1, "half_open": 0, "closed": 0}
    assert shown(name) == "open"
    assert metric("circuit_breaker_rejected_calls_total", name=name) == 1


def test_after_the_recovery_time_one_call_decides(name: str) -> None:
    breaker = get_breaker(name)
    break_it(breaker)
    until_it_may_try(breaker)
    with pytest.raises(DownError):
        breaker(fail)()
    assert breaker.state == "open"
    with pytest.raises(CircuitOpenError):
        breaker(fail)()
    until_it_may_try(breaker)
    assert breaker(lambda: 5)() == 5
    assert breaker.state == shown(name) == "closed"
    assert transitions(name) == {"open": 2, "half_open": 2, "closed": 1}


def test_of_many_threads_exactly_one_tries_while_it_is_half_open(name: str) -> None:
    breaker = get_breaker(name)
    break_it(breaker)
    until_it_may_try(breaker)
    made, go, refused = [], threading.Barrier(12), threading.Event()

    @breaker
    def call() -> None:
        made.append(1)
        assert refused.wait(60)

    def one() -> str:
        go.wait(60)
        try:
            call()
        except CircuitOpenError as error:
            return "refused" if error.retry_after == 0 else "too early"
        return "made"

    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(one) for _ in range(12)]
        deadline = time.monotonic() + 60
        while sum(call.done() for call in calls) < 11 and time.monotonic() < deadline:
            time.sleep(0.005)
        refused.set()
        results = sorted(call.result(60) for call in calls)
    assert results == ["made"] + ["refused"] * 11
    assert len(made) == 1
    assert breaker.state == "closed"


def test_of_many_tasks_exactly_one_tries_while_it_is_half_open(name: str) -> None:
    breaker = get_breaker(name)
    break_it(breaker)
    until_it_may_try(breaker)

    @breaker
    async def call() -> str:
        await asyncio.sleep(0.05)
        return "made"

    async def everybody() -> list[object]:
        return await asyncio.gather(*(call() for _ in range(10)), return_exceptions=True)

    results = asyncio.run(everybody())
    assert results.count("made") == 1
    assert sum(isinstance(one, CircuitOpenError) for one in results) == 9
    assert breaker.state == "closed"


def test_a_call_from_before_it_opened_does_not_decide(name: str) -> None:
    breaker = get_breaker(name)
    begun, end = threading.Event(), threading.Event()

    @breaker
    def slow() -> None:
        begun.set()
        assert end.wait(60)

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(slow)
        assert begun.wait(60)
        break_it(breaker)
        end.set()
        late.result(60)
    assert breaker.state == "open"
    assert transitions(name)["closed"] == 0


def test_a_trial_that_is_cancelled_leaves_it_to_the_next(name: str) -> None:
    breaker = get_breaker(name)
    break_it(breaker)
    until_it_may_try(breaker)

    async def cancelled() -> None:
        async with breaker:
            await asyncio.sleep(10)

    async def run() -> None:
        task = asyncio.create_task(cancelled())
        while breaker.state != "half_open":
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert breaker.state == "half_open"
    assert breaker(lambda: 1)() == 1
    assert breaker.state == "closed"


def test_a_trial_that_never_ends_does_not_hold_the_others_for_ever(name: str) -> None:
    breaker = get_breaker(name)
    break_it(breaker)
    until_it_may_try(breaker)
    stuck = breaker.admit()
    assert stuck
    with pytest.raises(CircuitOpenError):
        breaker.admit()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            later = breaker.admit()
            break
        except CircuitOpenError:
            time.sleep(0.01)
    breaker.done(stuck, DownError())  # it has been given up
    assert breaker.state == "half_open"
    breaker.done(later, None)
    assert breaker.state == "closed"


def test_an_excluded_exception_and_an_interruption_are_no_failures(name: str) -> None:
    breaker = circuit_breaker(name, failure_threshold=1, exclude=(LookupError,))
    for error in (KeyError(), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()):
        with pytest.raises(type(error)), breaker:
            raise error
    assert breaker.state == "closed"
    with pytest.raises(DownError), breaker:
        raise DownError
    assert breaker.state == "open"


def sync_context(breaker: Breaker, error: Exception | None) -> None:
    with breaker:
        if error:
            raise error


def async_context(breaker: Breaker, error: Exception | None) -> None:
    async def run() -> None:
        async with breaker:
            if error:
                raise error

    asyncio.run(run())


def coroutine(breaker: Breaker, error: Exception | None) -> None:
    @breaker
    async def call() -> None:
        if error:
            raise error

    asyncio.run(call())  # type: ignore[arg-type]


def generator(breaker: Breaker, error: Exception | None) -> None:
    @breaker
    def call() -> Iterator[int]:
        yield 1
        if error:
            raise error

    assert list(call()) == [1]


def stream(breaker: Breaker, error: Exception | None) -> None:
    @breaker
    async def call() -> AsyncIterator[int]:
        yield 1
        if error:
            raise error

    async def run() -> None:
        assert [one async for one in call()] == [1]

    asyncio.run(run())


@pytest.mark.parametrize("use", [sync_context, async_context, coroutine, generator, stream])
def test_it_serves_every_kind_of_call(name: str, use: Callable[[Breaker, Exception | None], None]) -> None:
    breaker = get_breaker(name)
    for _ in range(3):
        use(breaker, None)
        with pytest.raises(DownError):
            use(breaker, DownError())
    assert breaker.state == "closed"
    for _ in range(2):
        with pytest.raises(DownError):
            use(breaker, DownError())
    with pytest.raises((DownError, CircuitOpenError)):
        use(breaker, DownError())
    assert breaker.state == "open"
    with pytest.raises(CircuitOpenError):
        use(breaker, None)
    until_it_may_try(breaker)
    use(breaker, None)
    assert breaker.state == "closed"


def test_a_fallback_answers_calls_that_are_not_made(name: str) -> None:
    @circuit_breaker(name, failure_threshold=1, recovery_time=600, fallback=lambda number: number * 10)
    def call(number: int) -> int:
        raise DownError

    with pytest.raises(DownError):
        call(1)
    assert call(2) == 20

    async def later(number: int) -> int:
        return number * 100

    @circuit_breaker(name, fallback=later)
    async def asked(number: int) -> int:
        return number

    assert asyncio.run(asked(2)) == 200  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fallback=5 cannot be called"):
        circuit_breaker(name, fallback=5)  # type: ignore[call-overload]


def test_a_fallback_of_the_file_is_found_when_it_is_needed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"later_{uuid.uuid4().hex}"
    (tmp_path / f"{module}.py").write_text("class Answers:\n    none = staticmethod(lambda: 'none')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "breakers.yaml").write_text(f"defaults: {{failure_threshold: 1, fallback: '{module}:Answers.none'}}\n")
    load_breakers(tmp_path / "breakers.yaml")
    guarded = get_breaker(name)(fail)
    with pytest.raises(DownError):
        guarded()
    assert guarded() == "none"  # type: ignore[func-returns-value]
    (tmp_path / "breakers.yaml").write_text("defaults: {failure_threshold: 1, fallback: 'nowhere_at_all:none'}\n")
    load_breakers(tmp_path / "breakers.yaml")
    guarded = get_breaker(name)(fail)
    with pytest.raises(DownError):
        guarded()
    with pytest.raises(ValueError, match="fallback='nowhere_at_all:none' is not to be found"):
        guarded()


def test_what_is_decorated_stays_what_it_is_and_the_error_can_be_pickled(name: str) -> None:
    def documented(number: int, *, text: str = "x") -> str:
        """What it does."""
        return text * number

    guarded = get_breaker(name)(documented)
    assert guarded.__doc__ == "What it does."
    assert guarded.__wrapped__ is documented  # type: ignore[attr-defined]
    assert guarded(2, text="ab") == "abab"
    copy = pickle.loads(pickle.dumps(CircuitOpenError("payments", 1.5)))
    assert (copy.name, copy.retry_after) == ("payments", 1.5)
    assert str(copy) == "circuit breaker 'payments' is open, the call was not made; the next try is in 1.5 s"


def test_failures_of_many_threads_are_counted_one_by_one(name: str) -> None:
    breaker = circuit_breaker(name, failure_threshold=4001)
    guarded = breaker(fail)

    def many() -> None:
        for _ in range(500):
            with pytest.raises(DownError):
                guarded()

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(many) for _ in range(8)]:
            one.result()
    assert breaker.state == "closed"
    with pytest.raises(DownError):
        guarded()
    assert breaker.state == "open"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0 is not accepted: a whole number from 1 to 1000000"),
        ({"failure_threshold": True}, "failure_threshold=True"),
        ({"recovery_time": -1}, "recovery_time=-1 is not accepted: seconds, more than 0"),
        ({"exclude": (5,)}, "exclude has 5, which is no exception; e.g. exclude=\\(ValueError,\\)"),
        ({"exclude": ValueError}, "exclude=<class 'ValueError'> is not accepted.*e.g. exclude=\\(ValueError,\\)"),
    ],
)
def test_a_wrong_argument_is_an_error(name: str, told: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        circuit_breaker(name, **told)  # type: ignore[call-overload]


def test_a_decorator_without_parentheses_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"is a text, not .*e.g. @circuit_breaker\(\"payments\"\)"):
        circuit_breaker(fail)  # type: ignore[call-overload]


def test_breakers_beyond_the_limit_share_a_state_that_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "MOST", 0)
    monkeypatch.setattr(counted, "_known", {})
    states = counted.of("one made up for a call")
    states.enter("open")
    assert counted.of("another one") is states
    assert {state: series.value for state, series in states._current.items()} == {
        "open": 1,
        "half_open": 0,
        "closed": 0,
    }
