"""A real Kafka broker for tests, started once, in a directory and on ports of its own: the fixture `kafka_broker`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import find, missing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """The address, `host:port`, of a running broker without topics at first."""
    from tools.stack.broker import Broker
    from tools.stack.build import is_built
    from tools.stack.parts import PARTS

    find("java", "apt-get install default-jre-headless")
    if not is_built(PARTS["kafka"]):
        missing("a Kafka broker", "python -m tools.stack build kafka")
    with tempfile.TemporaryDirectory(prefix="perfagent-kafka-") as directory, Broker(Path(directory)) as broker:
        yield broker.bootstrap
