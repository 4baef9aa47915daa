"""Attempts of what is retried: one counter for the retries of every library, and events on the span they happen in."""

from __future__ import annotations

from perfagent import settings
from perfagent.runtime.context import current
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope, Span, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.metric import Instrument, Series

SUCCESS, RETRY, GAVE_UP, FAILURE = "success", "retry", "gave_up", "failure"
"""How an attempt ended: well; another follows; none follows, for there were enough; by an error that is not retried."""
MOST = 2000  # series that are kept at hand
EVENTS = 16  # retries that one span tells of; more would push its other events out

_scope = Scope("perfagent.retry")
_series: dict[tuple[str, str, str], Series] = {}


def attempts() -> Instrument:
    """`<namespace>.retry.attempts`."""
    return registry.make(
        _scope,
        COUNTER,
        f"{settings.current().namespace}.retry.attempts",
        "{attempt}",
        "Attempts of what is retried, by how they ended.",
        keys=("name", "outcome", "system"),
    )


def count(system: str, name: str, outcome: str) -> None:
    """Counts one attempt that has ended.

    Args:
        system: the library that retries.
        name: what it retries.
        outcome: one of SUCCESS, RETRY, GAVE_UP, FAILURE.
    """
    key = (system, name, outcome)
    series = _series.get(key)
    if series is None:
        series = attempts().of({"system": system, "name": name, "outcome": outcome})
        if len(_series) < MOST:
            _series[key] = series
    series.record(1)


def tell(name: str, outcome: str, attempt: int, error: BaseException | None) -> None:
    """Adds the event `retry` to the current span, unless it has `EVENTS` of them.

    Args:
        name: what is retried.
        outcome: RETRY or GAVE_UP.
        attempt: the number of the attempt that has ended, from 1.
        error: what it ended with, or None; its text is left out, for it may quote what nobody should see.
    """
    span = current.get()
    if not isinstance(span, Span) or not span.is_recording():
        return
    details = span.details
    if details is not None and sum(event[0] == "retry" for event in details.events) >= EVENTS:
        return
    told: dict[str, object] = {"retry.name": name, "retry.outcome": outcome, "retry.attempt": attempt}
    if error is not None:
        told["exception.type"] = type_name(error)
    span.add_event("retry", told)
