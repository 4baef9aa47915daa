"""requests: one GET on a kept connection, urllib3's part with it."""

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
    import requests

    with requests.Session() as session:
        yield lambda: session.get(address).content
