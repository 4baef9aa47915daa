"""elasticsearch: one search, asked of the small server of the tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.elasticsearch import running_elasticsearch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The port of the server."""
    with running_elasticsearch() as port:
        yield port


@contextlib.contextmanager
def calls(address: int) -> Iterator[Callable[[], object]]:
    """A search by one client."""
    from elasticsearch import Elasticsearch

    with Elasticsearch(f"http://127.0.0.1:{address}") as client:
        client.indices.create(index="people")
        yield lambda: client.search(index="people")
