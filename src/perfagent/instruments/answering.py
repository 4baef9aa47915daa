"""The request that is being answered, for frameworks that name its route and make a response of its exception."""

from __future__ import annotations

from perfagent.runtime import guard
from perfagent.runtime.context import current
from perfagent.runtime.http import ServerSpan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def entry() -> ServerSpan | None:
    """Its server span; None outside of a request."""
    span = current.get()
    found = None if span is None else span.entry
    return found if isinstance(found, ServerSpan) else None


def unhandled(error: Any, instrument: str) -> None:
    """Records, once, what the framework answers by a response, so that nobody above sees it.

    Args:
        error: the exception, or `sys.exc_info()` with it; None where the framework has none.
        instrument: who asks, should this fail.
    """
    try:
        if isinstance(error, tuple):
            error = error[1]
        span = entry()
        if span is not None and error is not None and not span.failure:
            span.fail(error)
    except Exception:
        guard.failed(instrument)
