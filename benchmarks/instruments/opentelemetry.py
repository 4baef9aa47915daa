"""OpenTelemetry's API: one span that the program makes itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A span as the current one."""
    from opentelemetry import trace

    tracer = trace.get_tracer("benchmark")

    def call() -> object:
        with tracer.start_as_current_span("work"):
            return None

    yield call
