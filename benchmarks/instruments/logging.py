"""logging: one record that a handler formats."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A record within a logger of its own."""
    import logging

    logger = logging.Logger("benchmark")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    yield lambda: logger.warning("hello %s", "world")
