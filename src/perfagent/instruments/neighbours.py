"""Other agents and coverage: they see the program, not us, and we do not see them.

What other agents send of themselves is no request of the program's, and makes no span. coverage.py leaves out what is
installed beside it, but not an agent of another environment, whose files it would list among the program's.

New Relic brings HTTP clients of its own and ddtrace sends from Rust; OpenTelemetry's exporters say themselves that
they are not to be measured.
"""

from __future__ import annotations

from perfagent.instruments import outgoing
from perfagent.instruments.base import OURS, Instrument

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
    """Has HTTP clients keep still while Sentry and Elastic APM send; hides our files from coverage."""

    name = "neighbours"
    records = (
        "nothing: what Sentry and Elastic APM send of themselves is left out, and our files in coverage.py's reports"
    )

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "coverage.inorout":
            self.replace(module.InOrOut, "check_include_omit_etc", _leaving_us_out)
            return
        for owner in (module, *vars(module).values()):
            if getattr(owner, "__module__", module.__name__) == module.__name__ and hasattr(owner, "__dict__"):
                for name in SENDS[module.__name__]:
                    code = getattr(vars(owner).get(name), "__code__", None)
                    if code is not None and not code.co_flags & COROUTINE:
                        self.replace(owner, name, _silent)


def _leaving_us_out(check: Callable[..., str | None]) -> Callable[..., str | None]:
    def wrapper(judge: Any, filename: str, *arguments: Any, **options: Any) -> str | None:
        if filename.startswith(OURS):
            return "is perfagent's, which measures the program"
        return check(judge, filename, *arguments, **options)

    return wrapper


def _silent(send: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return outgoing.silently(send, *arguments, **options)

    return wrapper


instrument = Neighbours()
