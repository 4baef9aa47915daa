"""stamina: it retries by tenacity, whose instrument counts; here each gets the name of what stamina retries."""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.instruments.tenacity import NAMED
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Stamina(Instrument):
    """Patches what makes the hook that tenacity calls before it sleeps."""

    name = "stamina"
    distribution = "stamina"
    versions = ("23.2", "27")
    records = "attempts of retried calls"

    def patch(self, module: ModuleType) -> None:
        """Patches stamina's core."""
        self.replace(module._core, "_make_before_sleep", _naming)


def _naming(make: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(name: Any, *args: Any, **options: Any) -> Any:
        before_sleep = make(name, *args, **options)
        try:
            setattr(before_sleep, NAMED, ("stamina", "block" if name == "<context block>" else str(name)))
        except Exception:
            guard.failed("stamina")
        return before_sleep

    return wrapper


instrument = Stamina()
