"""How our providers are the global ones until the program sets its own, which it may do as if ours were not there."""

# mypy: allow-subclassing-any
from __future__ import annotations

from opentelemetry.util._once import Once

from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.span import Scope


class Handover(Once):
    """Stands where the API remembers whether a provider was set.

    Ours is in place without having been set, so the first `set_..._provider` of the program succeeds without a warning.

    Args:
        replaced: called when that has happened.
    """

    def __init__(self, replaced: Callable[[], None]) -> None:
        super().__init__()
        self.replaced = replaced

    def do_once(self, func: Callable[[], None]) -> bool:
        """As Once.do_once."""
        done = bool(super().do_once(func))
        if done:
            try:
                self.replaced()
            except Exception:
                guard.failed("opentelemetry")
        return done


def asked(scope: Scope) -> tuple[Any, ...]:
    """What a provider is asked with for a scope; attributes, which older ones do not take, only where there are any."""
    asked = (scope.name, scope.version or None, scope.schema_url or None)
    return (*asked, scope.attributes) if scope.attributes else asked
