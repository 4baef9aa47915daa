"""structlog: an event within a span, not severe enough to be sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """An event that goes nowhere."""
    import io

    import structlog
    from opentelemetry import trace

    class Nowhere(io.StringIO):
        """Keeps nothing."""

        def write(self, text: str) -> int:
            return len(text)

    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(Nowhere()),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger()
    with trace.get_tracer("benchmark").start_as_current_span("request"):
        yield lambda: logger.info("said")
