"""pymongo: one look-up by identifier, asked of the small server of the tests."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from tests.mongodb import running_mongodb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The port of the server."""
    with running_mongodb() as port:
        yield port


@contextlib.contextmanager
def calls(address: int) -> Iterator[Callable[[], object]]:
    """A look-up by one client."""
    from pymongo import MongoClient

    with contextlib.closing(MongoClient("127.0.0.1", address)) as client:
        client.shop.people.insert_one({"_id": os.getpid()})
        yield lambda: client.shop.people.find_one({"_id": os.getpid()})
