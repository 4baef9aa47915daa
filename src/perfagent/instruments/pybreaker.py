"""pybreaker: the state changes of its circuit breakers, and the calls that they do not let through.

Calls that are let through pass as before, at no cost: only what changes a state or refuses a call is looked at.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.runtime import breaker as counted
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

STATES = {"closed": counted.CLOSED, "open": counted.OPEN, "half-open": counted.HALF_OPEN}


class Pybreaker(Instrument):
    """Patches what makes a breaker, what makes its next state, and what an open one does with a call."""

    name = "pybreaker"
    distribution = "pybreaker"
    versions = ("1", "2")
    records = "state and changes of circuit breakers"

    def patch(self, module: ModuleType) -> None:
        """Patches `CircuitBreaker` and its open state."""
        self.replace(module.CircuitBreaker, "__init__", _making)
        self.replace(module.CircuitBreaker, "_create_new_state", _changing)
        self.replace(module.CircuitOpenState, "before_call", _refusing(module.CircuitBreakerError))


def _name(breaker: Any) -> str:
    return str(breaker.name or "pybreaker")


def _making(make: Callable[..., None]) -> Callable[..., None]:
    def wrapper(breaker: Any, *args: Any, **options: Any) -> None:
        make(breaker, *args, **options)
        try:
            counted.of(_name(breaker)).show(STATES[breaker._state.name])
        except Exception:
            guard.failed("pybreaker")

    return wrapper


def _changing(create: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(breaker: Any, new_state: Any, prev_state: Any = None, notify: bool = False) -> Any:
        state = create(breaker, new_state, prev_state, notify)
        try:
            if notify and prev_state is not None and prev_state.name != state.name:
                counted.of(_name(breaker)).enter(STATES[state.name])
        except Exception:
            guard.failed("pybreaker")
        return state

    return wrapper


def _refusing(refusal: type[Exception]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(before_call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(state: Any, *args: Any, **options: Any) -> Any:
            try:
                return before_call(state, *args, **options)
            except refusal:
                # The call that tries is made in there, too; where it was made, the breaker has another state by now.
                if state._breaker._state is state:
                    counted.of(_name(state._breaker)).reject()
                raise

        return wrapper

    return make


instrument = Pybreaker()
