"""Other agents: what they send of themselves is no request of the program's, and makes no span.

New Relic brings HTTP clients of its own and ddtrace sends from Rust; OpenTelemetry's exporters say themselves that
they are not to be measured.
"""

from __future__ import annotations

from perfagent.instruments import outgoing
from perfagent.instruments.base import Instrument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

SENDS = {
    "sentry_sdk.transport": ("_send_request",),
    "elasticapm.transport.http": ("send", "get_config", "fetch_server_info"),
    "elasticapm.utils.cloud": ("aws_metadata", "gcp_metadata", "azure_metadata"),
}
"""What asks somebody over HTTP, by the module: functions of the module, or methods of its classes."""

COROUTINE = 0x80  # of a code's flags; httpcore, which Sentry's asynchronous transport uses, makes no spans


class Neighbours(Instrument):
    """Calls the sending of Sentry and Elastic APM with the HTTP clients told to keep still."""

    name = "neighbours"
    records = "nothing: what Sentry and Elastic APM send of themselves is left out"

    def patch(self, module: ModuleType) -> None:
        for owner in (module, *vars(module).values()):
            if getattr(owner, "__module__", module.__name__) == module.__name__ and hasattr(owner, "__dict__"):
                for name in SENDS[module.__name__]:
                    code = getattr(vars(owner).get(name), "__code__", None)
                    if code is not None and not code.co_flags & COROUTINE:
                        self.replace(owner, name, _silent)


def _silent(send: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return outgoing.silently(send, *arguments, **options)

    return wrapper


instrument = Neighbours()
