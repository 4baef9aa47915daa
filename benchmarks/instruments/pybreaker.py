"""pybreaker: one call through a closed breaker."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A call."""
    import pybreaker

    yield pybreaker.CircuitBreaker(name="benchmark")(lambda: 1)
