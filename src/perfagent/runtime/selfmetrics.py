"""What the agent tells of itself: signals handed over, signals lost, and failures of its own."""

from __future__ import annotations

import os

from perfagent.runtime import guard, outbox
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Observation = tuple[float, dict[str, object]]


def install(sent: Mapping[str, int]) -> None:
    """Registers `perfagent.telemetry.exported`, `perfagent.telemetry.dropped` and `perfagent.internal.errors`.

    Args:
        sent: what receivers have taken, by OTLP's name of the signal; read at each collection.
    """

    def exported() -> Iterator[Observation]:
        for signal, count in dict(sent).items():
            yield count, {"signal": outbox.SIGNALS[signal]}

    scope = Scope("perfagent")
    failures = Failures()
    os.register_at_fork(after_in_child=failures.reset)
    for name, unit, description, callback, keys in (
        (
            "perfagent.telemetry.exported",
            "{item}",
            "Spans, metric points and log records that a receiver took.",
            exported,
            ("signal",),
        ),
        (
            "perfagent.telemetry.dropped",
            "{item}",
            "Spans, metric points, log records and attribute sets that were lost.",
            _lost,
            ("signal", "reason"),
        ),
        (
            "perfagent.internal.errors",
            "{error}",
            "Failures of perfagent's own code; the program is not affected.",
            failures,
            ("place",),
        ),
    ):
        registry.make(scope, COUNTER, name, unit, description, callback=callback, keys=keys)


def _lost() -> Iterator[Observation]:
    for (signal, reason), count in outbox.drops.copy().items():
        yield count, {"signal": signal, "reason": reason}


class Failures:
    """What the guard has counted, less what a forked child has from its parent."""

    def __init__(self) -> None:
        self._inherited: dict[str, int] = {}

    def reset(self) -> None:
        """In a forked child."""
        self._inherited = dict(guard.failures)

    def __call__(self) -> Iterator[Observation]:
        """The number for each place."""
        for place, count in guard.failures.copy().items():
            if count > self._inherited.get(place, 0):
                yield count - self._inherited.get(place, 0), {"place": place}
