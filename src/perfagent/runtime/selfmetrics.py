"""What the agent tells of itself: signals handed over, signals lost, and failures of its own."""

from __future__ import annotations

from perfagent.runtime import guard, outbox
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Observation = tuple[float, dict[str, object]]

SIGNALS = {"traces": "span", "metrics": "metric", "logs": "log"}


def install(sent: Mapping[str, int]) -> None:
    """Registers `perfagent.telemetry.exported`, `perfagent.telemetry.dropped` and `perfagent.internal.errors`.

    Args:
        sent: what receivers have taken, by OTLP's name of the signal; read at each collection.
    """

    def exported() -> Iterator[Observation]:
        for signal, count in list(sent.items()):
            yield count, {"signal": SIGNALS[signal]}

    scope = Scope("perfagent")
    for name, unit, description, callback in (
        ("telemetry.exported", "{item}", "Spans, metric points and log records that a receiver took.", exported),
        ("telemetry.dropped", "{item}", "Spans, metric points, log records and attribute sets that were lost.", _lost),
        ("internal.errors", "{error}", "Failures of perfagent's own code; the program is not affected.", _failures),
    ):
        registry.make(scope, COUNTER, f"perfagent.{name}", unit, description, callback=callback)


def _lost() -> Iterator[Observation]:
    for (signal, reason), count in list(outbox.drops.items()):
        yield count, {"signal": signal, "reason": reason}


def _failures() -> Iterator[Observation]:
    for place, count in list(guard.failures.items()):
        yield count, {"place": place}
