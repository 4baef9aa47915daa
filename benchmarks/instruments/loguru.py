"""loguru: a record within a span, not severe enough to be sent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A record that goes nowhere."""
    from loguru import logger

    logger.remove()
    logger.add(lambda line: None, format="{message}")
    from opentelemetry import trace

    with trace.get_tracer("benchmark").start_as_current_span("request"):
        yield lambda: logger.info("said")
