"""What the spool tells of itself: items written and sent again, failures of the disk, and bytes that wait."""

from __future__ import annotations

from perfagent.runtime import outbox
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from perfagent.runtime.spool.delivery import Delivery

    Observation = tuple[float, dict[str, object]]


def declare(delivery: Delivery | None = None) -> None:
    """Registers the metrics.

    Args:
        delivery: whose; left out where only their names are wanted.
    """
    written, sent, failures = (delivery.written, delivery.sent, delivery.failures) if delivery else ({}, {}, {})

    def size() -> Iterator[Observation]:
        if delivery is not None:
            yield delivery.folder.size(), {}

    scope = Scope("perfagent")
    for name, unit, description, callback, keys in (
        (
            "perfagent.spool.written",
            "{item}",
            "Spans, metric points and log records kept on disk, for no receiver took them.",
            _by(written, "signal", outbox.SIGNALS),
            ("signal",),
        ),
        (
            "perfagent.spool.sent",
            "{item}",
            "Those of them, whichever process kept them, that a receiver took since.",
            _by(sent, "signal", outbox.SIGNALS),
            ("signal",),
        ),
        (
            "perfagent.spool.failures",
            "{failure}",
            "Times that the disk did not take something, which then stayed in memory.",
            _by(failures, "error.type", {}),
            ("error.type",),
        ),
    ):
        registry.make(scope, COUNTER, name, unit, description, callback=callback, keys=keys)
    registry.make(
        scope,
        GAUGE,
        "perfagent.spool.size",
        "By",
        "What is on disk of this service, whichever process kept it.",
        callback=size,
    )


def _by(counts: Mapping[str, int], key: str, names: Mapping[str, str]) -> Callable[[], Iterator[Observation]]:
    def observe() -> Iterator[Observation]:
        for name, count in dict(counts).items():
            yield count, {key: names.get(name, name)}

    return observe
