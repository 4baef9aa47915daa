"""Breakers of pybreaker, and of purgatory used by the program itself, are seen without a change to the program."""

from __future__ import annotations

import inspect
import pickle
import sys
from typing import TYPE_CHECKING

import purgatory
import pybreaker
import pytest
from purgatory.domain.model import OpenedState
from purgatory.service._async.messagebus import AsyncMessageRegistry
from purgatory.service._sync.messagebus import SyncMessageRegistry

from perfagent.instruments.purgatory import instrument as of_purgatory
from perfagent.instruments.pybreaker import instrument as of_pybreaker
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver

PYBREAKER = """
import sys, time
import pybreaker

class Heard(pybreaker.CircuitBreakerListener):
    def state_change(self, breaker, old, new):
        print(old.name, "to", new.name)

breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=0.2, name="payments", listeners=[Heard()])

@breaker
def call(fine):
    if not fine:
        raise OSError("down")
    return "fine"

def attempt(fine):
    try:
        print(call(fine))
    except Exception as error:
        print(type(error).__name__)

attempt(True)
for _ in range(4):
    attempt(False)          # OSError, CircuitBreakerError (it opens), twice refused
time.sleep(0.3)
attempt(False)              # tried, opens again: this call was made
time.sleep(0.3)
attempt(True)               # tried, closes
pybreaker.CircuitBreaker(name="idle")
pybreaker.CircuitBreaker().open()
"""
HEARD = """fine
OSError
closed to open
CircuitBreakerError
CircuitBreakerError
CircuitBreakerError
open to half-open
half-open to open
CircuitBreakerError
open to half-open
half-open to closed
fine
"""
PURGATORY = """
import asyncio, time
from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory

heard = []
sync = SyncCircuitBreakerFactory(default_threshold=2, default_ttl=0.2)
sync.add_listener(lambda name, kind, event: heard.append(kind))

@sync("payments")
def call(fine):
    if not fine:
        raise OSError
    return "fine"

def attempt(fine):
    try:
        print(call(fine))
    except Exception as error:
        print(type(error).__name__)

for _ in range(3):
    attempt(False)
time.sleep(0.3)
attempt(True)
print(heard)

async def main():
    factory = AsyncCircuitBreakerFactory(default_threshold=1)
    for _ in range(2):
        try:
            async with await factory.get_breaker("mail"):
                raise OSError
        except Exception as error:
            print(type(error).__name__)

asyncio.run(main())

from perfagent import circuit_breaker
own = circuit_breaker("own", failure_threshold=1)
for _ in range(3):
    try:
        with own:
            raise OSError
    except Exception:
        pass
"""


def counts(receiver: Receiver, name: str) -> dict[str, float]:
    found = {
        point.attributes["state"]: point.value
        for point in receiver.metric("circuit_breaker_state_transitions_total")
        if point.attributes["name"] == name
    }
    rejected = [
        point.value
        for point in receiver.metric("circuit_breaker_rejected_calls_total")
        if point.attributes["name"] == name
    ]
    return {**found, "rejected": rejected[-1]}


@pytest.mark.slow
def test_pybreakers_changes_and_refusals_are_counted(receiver: Receiver, run_text: RunText) -> None:
    assert run_text(PYBREAKER, bare=True).stdout == HEARD
    assert run_text(PYBREAKER).stdout == HEARD
    assert counts(receiver, "payments") == {"open": 2, "half_open": 2, "closed": 1, "rejected": 2}
    assert counts(receiver, "idle") == {"open": 0, "half_open": 0, "closed": 0, "rejected": 0}
    assert counts(receiver, "pybreaker")["open"] == 1
    states = {
        (point.attributes["name"], point.attributes["state"]): point.value
        for point in receiver.metric("circuit_breaker_state")
    }
    assert states["payments", "closed"] == states["pybreaker", "open"] == 1
    assert states["payments", "open"] == states["pybreaker", "closed"] == 0


@pytest.mark.slow
def test_purgatorys_changes_and_refusals_are_counted_and_perfagents_own_once(
    receiver: Receiver, run_text: RunText
) -> None:
    bare = run_text(PURGATORY, bare=True).stdout
    assert run_text(PURGATORY).stdout == bare
    assert counts(receiver, "payments") == {"open": 1, "half_open": 1, "closed": 1, "rejected": 1}
    assert counts(receiver, "mail") == {"open": 1, "half_open": 0, "closed": 0, "rejected": 1}
    assert counts(receiver, "own") == {"open": 1, "half_open": 0, "closed": 0, "rejected": 2}


def test_they_can_be_left_alone(receiver: Receiver, run_program: RunProgram) -> None:
    env = agent_env(receiver, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="pybreaker,purgatory")
    run_program("perfagent", "run", sys.executable, "-c", PYBREAKER, env=env).check()
    assert receiver.metric("circuit_breaker_state_transitions_total") == []


def test_unpatching_puts_everything_back_and_nothing_shows_meanwhile() -> None:
    def looked_at() -> list[object]:
        return [
            pybreaker.CircuitBreaker.__init__, pybreaker.CircuitBreaker._create_new_state,
            pybreaker.CircuitOpenState.before_call, SyncMessageRegistry.handle, AsyncMessageRegistry.handle,
            OpenedState.handle_new_request,
        ]  # fmt: skip

    def shown() -> list[object]:
        return [
            (inspect.signature(one), one.__qualname__, one.__doc__, inspect.iscoroutinefunction(one))
            for one in looked_at()
        ]

    originals, before = looked_at(), shown()
    of_pybreaker.apply(pybreaker)
    of_purgatory.apply(purgatory)
    try:
        assert all(ours is not theirs for ours, theirs in zip(looked_at(), originals, strict=True))
        assert shown() == before
        assert pickle.loads(pickle.dumps(pybreaker.CircuitBreaker)) is pybreaker.CircuitBreaker
        assert pickle.loads(pickle.dumps(pybreaker.CircuitBreakerError("x"))).args == ("x",)
    finally:
        of_purgatory.unpatch()
        of_pybreaker.unpatch()
    assert looked_at() == originals


@pytest.mark.parametrize("instrument", [of_pybreaker, of_purgatory])
def test_versions_out_of_range_are_left_alone(instrument: object) -> None:
    assert "is not supported" in instrument.out_of_range("99.0")  # type: ignore[attr-defined]
    assert instrument.out_of_range({"pybreaker": "1.4.1", "purgatory": "3.0.1"}[instrument.name]) == ""  # type: ignore[attr-defined]
