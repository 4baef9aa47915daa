"""urllib: one GET, with a connection of its own as always."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments.hello import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = running


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A request to a small server."""
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call() -> object:
        with opener.open(address) as response:
            return response.read()

    yield call
