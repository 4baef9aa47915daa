"""purgatory: the state changes of the program's own circuit breakers, and the calls that they do not let through.

perfagent's breakers stand on purgatory, too, and count by themselves: their message bus bears a mark.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.runtime import breaker as counted
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

STATES = {"closed": counted.CLOSED, "opened": counted.OPEN, "half-opened": counted.HALF_OPEN}


class Purgatory(Instrument):
    """Patches the message buses, which nothing passes while calls go well, and what an open breaker does."""

    name = "purgatory"
    distribution = "purgatory"
    versions = ("2", "4")
    records = "state and changes of circuit breakers"

    def patch(self, module: ModuleType) -> None:
        """Patches both kinds of buses, and the state `opened`."""
        from importlib import import_module

        for kind, make in (("Sync", _handling), ("Async", _handling_async)):
            bus = import_module(f"{module.__name__}.service._{kind.lower()}.messagebus")
            self.replace(getattr(bus, f"{kind}MessageRegistry"), "handle", make)
        model = import_module(f"{module.__name__}.domain.model")
        self.replace(model.OpenedState, "handle_new_request", _refusing(model.OpenedState))


def _handling(handle: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(bus: Any, message: Any, *args: Any, **options: Any) -> Any:
        _count(bus, message)
        return handle(bus, message, *args, **options)

    return wrapper


def _handling_async(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(bus: Any, message: Any, *args: Any, **options: Any) -> Any:
        _count(bus, message)
        return await handle(bus, message, *args, **options)

    return wrapper


def _count(bus: Any, message: Any) -> None:
    try:
        kind = type(message).__name__
        if kind == "ContextChanged" and not hasattr(bus, "perfagent"):
            counted.of(message.name).enter(STATES[message.state])
        elif kind == "CreateCircuitBreaker":
            counted.of(message.name)  # from the start on, so that the first change is an increase
    except Exception:
        guard.failed("purgatory")


def _refusing(opened: type[Exception]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def make(handle: Callable[..., None]) -> Callable[..., None]:
        def wrapper(state: Any, context: Any) -> None:
            try:
                handle(state, context)
            except opened:
                counted.of(context.name).reject()
                raise

        return wrapper

    return make


instrument = Purgatory()
