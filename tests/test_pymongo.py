"""PyMongo: a span for each command, over a real socket to the small server of `tests.mongodb`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.mongodb import running_mongodb
from tests.queries import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunText
    from tests.otlp import Receiver

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, int]]:
    with running_mongodb() as port:
        yield Run("pymongo_calls.py", "", tmp_path_factory.mktemp("pymongo"), PORT=str(port)), port


def test_a_program_and_its_own_listener_see_what_they_see_without_the_agent(run: tuple[Run, int]) -> None:
    with running_mongodb() as port:  # another one: the first has kept the documents
        run[0].env["PORT"] = str(port)
        assert run[0].stdout == run[0].bare()
    assert b"secret" not in run[0].exported()


def test_each_command_is_measured_once_by_name_and_collection(run: tuple[Run, int]) -> None:
    spans, port = run[0].below("documents"), run[1]
    assert [span.name for span in spans] == [
        "ping", "insert people", "insert people", "find people", "find people", "getMore people", "getMore people",
        "update people", "aggregate people", "delete people",
    ]  # fmt: skip
    sizes = [span.attributes.get("db.operation.batch.size") for span in spans]
    assert sizes[:4] == [None, None, 7, None]  # a batch of one is none
    span = spans[2]
    assert span.scope.name == "perfagent.pymongo"
    assert span.attributes["db.system.name"] == "mongodb"
    assert span.attributes["db.namespace"] == "shop"
    assert span.attributes["db.collection.name"] == "people"
    assert span.attributes["db.operation.name"] == "insert"
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", port)
    assert "db.query.text" not in span.attributes
    assert [span.name for span in run[0].below("bulk")] == ["insert people", "update people", "insert people"]
    assert [span.name for span in run[0].below("thread")] == ["find people"]


def test_what_the_client_sends_by_itself_is_no_operation(run: tuple[Run, int]) -> None:
    assert not run[0].where(lambda span: str(span.attributes["db.operation.name"]).lower() in ("hello", "endsessions"))


def test_a_failure_tells_the_servers_code_and_no_value(run: tuple[Run, int]) -> None:
    spans = run[0].below("failures")
    assert [span.attributes.get("db.response.status_code") for span in spans] == ["11000", "59", None]
    assert [span.attributes["error.type"] for span in spans] == ["11000", "CommandNotFound", "AutoReconnect"]
    assert {span.status.code for span in spans} == {"ERROR"}


def test_the_async_client_is_measured_below_its_own_tasks(run: tuple[Run, int]) -> None:
    assert [span.name for span in run[0].below("async")] == ["insert pets", "find pets"]
    for number in range(3):
        assert [span.name for span in run[0].below(f"task {number}")] == [f"find collection_{number}"]


CANCELLED = """
    import asyncio, sys
    from pymongo import AsyncMongoClient

    async def main():
        async with AsyncMongoClient("mongodb://127.0.0.1:{port}/") as client:
            await client.shop.people.find_one({{"_id": "secret"}})
            try:
                await asyncio.wait_for(client.shop.stuck.find_one({{"_id": "secret"}}), 0.3)
            except asyncio.TimeoutError:
                print("gave up")
            await client.shop.people.find_one({{"_id": "secret"}})

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", ["", pytest.param("4.12.0", marks=pytest.mark.nightly)])
def test_a_command_that_is_cancelled_ends_then(
    run_text: RunText, receiver: Receiver, tmp_path: Path, version: str
) -> None:
    """Of which the library's own monitoring says nothing in the versions of some years."""
    if version:
        pip = (sys.executable, "-m", "pip", "install", "-q", "--target", str(tmp_path / "old"), f"pymongo=={version}")
        subprocess.run(pip, check=True, timeout=300)
    with running_mongodb() as port:
        program = run_text(CANCELLED.format(port=port), PYTHONPATH=str(tmp_path / "old"))
    assert program.stdout == "gave up\n"
    spans = [span for span in receiver.spans if span.scope.name == "perfagent.pymongo"]
    assert [span.name for span in spans] == ["find people", "find stuck", "find people"]
    assert "CancelledError" in str(spans[1].attributes["error.type"]) or not version
    assert spans[1].status.code == "ERROR"
    assert spans[1].end - spans[1].start < 10_000_000_000
