"""What fails in the store fails alone: one batch, one write, a part of the file; the rest goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive import operations
from perfagent.hub.store import database, known
from perfagent.hub.store.intake import Intake
from perfagent.hub.store.rows import Batch, PointRow, Resource, Series, SpanRow
from perfagent.hub.store.store import Store, StoreFailed
from perfagent.hub.store.upkeep import Upkeep
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600 * 10**9
SENDER = Resource(1, "tested", "tested-1", "", "", "{}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path, 128)
    yield opened
    opened.close()


def batch(*numbers: int, started: int | None = None, name: str = "GET /") -> Batch:
    """Spans with these numbers in their trace ids."""
    operation = operations.operation("tested", "server", name)
    at = time.time_ns() if started is None else started
    tail = (0, None, 200, True, -1, None, 1.0, "{}", None, None)
    spans = [
        SpanRow(n.to_bytes(16, "big"), bytes(7) + b"1", None, 1, operation.id, name, 2, at, 5, *tail) for n in numbers
    ]
    return Batch(spans=spans, resources={1: SENDER}, operations={operation.id: operation}, bytes=100)


def stored(store: Store) -> set[int]:
    cursor = store.cursor()
    return {int.from_bytes(row[0], "big") for row in cursor.execute("SELECT trace_id FROM spans").fetchall()}


@contextlib.contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond this size, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_readers_go_on_after_a_checkpoint_without_room_and_nothing_is_lost_or_stored_twice(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        store.append([batch(*range(number * 1000, number * 1000 + 1000))])
    with files_no_longer_than((tmp_path / "hub.duckdb").stat().st_size + 4096):
        store.checkpoint()  # fails, upon which DuckDB refuses whatever it is asked
        assert "was opened again after a failure" in caplog.text
        assert store.rows("hub/about")[0]["oldest"] is not None
        assert store.sizes()["spans"] == 50_000
    store.append([batch(50_000)])
    store.checkpoint()
    assert store.sizes()["spans"] == 50_001
    assert store.notes == []


def test_readers_that_read_while_the_file_is_opened_again_get_answers(store: Store, tmp_path: Path) -> None:
    store.append([batch(*range(20_000))])
    failed: list[BaseException] = []
    ending = threading.Event()

    def read() -> None:
        while not ending.is_set():
            try:
                assert store.sizes()["spans"] >= 20_000
            except BaseException as error:
                failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(5):
            store.append([batch(20_000 + number)])
            with files_no_longer_than((tmp_path / "hub.duckdb").stat().st_size + 4096):
                store.checkpoint()
    finally:
        ending.set()
        for reader in readers:
            reader.join()
    assert not failed
    assert store.sizes()["spans"] == 20_005


def test_a_disk_that_is_nearly_full_refuses_what_comes_until_there_is_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([batch(1)])
    with monkeypatch.context() as patched:
        patched.setattr(database.Database, "free_bytes", lambda _self: database.RESERVE - 1)
        with pytest.raises(StoreFailed, match=r"there is no room for .*PERFAGENT_RETENTION_SIZE"):
            store.append([batch(2)])
        assert stored(store) == {1}
    store.append([batch(3)])
    assert stored(store) == {1, 3}


def test_a_batch_that_cannot_be_stored_fails_alone(store: Store) -> None:
    async def send() -> tuple[list[BaseException | None], int, int]:
        intake = Intake(store, 1 << 20)
        batches = [batch(1), batch(2, started=1 << 70), batch(3), replace(batch(4), rejected=7)]
        waiting = [asyncio.create_task(intake.put(one)) for one in batches]
        await asyncio.sleep(0)  # all four wait before anything is stored
        await intake.start()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await intake.stop()
        return answers, intake.stored().failed, intake.stored().refused

    answers, failed, refused = asyncio.run(send())
    assert [type(answer) for answer in answers] == [type(None), answers[1].__class__, type(None), type(None)]
    assert isinstance(answers[1], StoreFailed)
    assert (failed, refused) == (1, 7)
    assert stored(store) == {1, 3, 4}


def test_a_listener_that_fails_does_not_end_the_storing(store: Store) -> None:
    async def send() -> None:
        intake = Intake(store, 1 << 20)
        intake.on_commit(lambda _counts: 1 / 0)
        await intake.start()
        await asyncio.wait_for(intake.put(batch(1)), 10)
        await asyncio.wait_for(intake.put(batch(2)), 10)
        await intake.stop()

    asyncio.run(send())
    assert stored(store) == {1, 2}


def test_a_damaged_log_costs_what_was_stored_last_and_not_the_file(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 128)
    store.append([batch(1, 2, 3)])
    store.checkpoint()
    store.append([batch(*range(10, 500))])
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("hub.duckdb", "hub.duckdb.wal"):  # what a kill would leave
        shutil.copy(tmp_path / name, killed / name)
    store.close()
    with (killed / "hub.duckdb.wal").open("r+b") as log:
        log.seek(5)
        log.write(b"\xff" * 50)
    store = Store.open(killed, 128)
    assert stored(store) == {1, 2, 3}
    (note,) = store.notes
    assert "what was stored last" in note
    assert len(list(killed.glob("hub.duckdb.wal.corrupt-*"))) == 1
    store.close()


def test_operations_beyond_the_limit_are_one_and_the_same_in_every_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "OPERATIONS", 3)
    store.append([batch(number, name=f"GET /{number}") for number in range(6)])
    names = [row[0] for row in store.cursor().execute("SELECT name FROM operations").fetchall()]
    assert sorted(names) == ["(other)", "GET /0", "GET /1", "GET /2"]
    other = operations.operation("tested", "server", "(other)").id  # what receivers take for it
    assert store.cursor().execute("SELECT count(*) FROM spans WHERE operation = ?", [other]).fetchone() == (3,)


def points(series: int, most: int) -> Batch:
    """A point of each of some series."""
    described = {
        number: Series(number, 1, "tested", "", "m", "gauge", "1", "", False, False, json.dumps({"n": number}), None)
        for number in range(series, series + most)
    }
    rows = [PointRow(number, time.time_ns(), 0, 1.0, *(None,) * 8) for number in described]
    return Batch(points=rows, series=described, resources={1: SENDER}, bytes=100)


def test_points_of_series_beyond_the_limit_are_refused_and_their_sender_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "SERIES", 5)
    store.append([points(1, 5)])
    more = points(5, 3)
    store.append([more])
    assert (more.rejected, more.reason.partition(":")[0]) == (2, "2 points refused")
    assert store.sizes()["points"] == 6
    assert store.sizes()["series"] == 5


def test_identities_that_nothing_refers_to_are_forgotten_and_come_back_with_their_next_span(store: Store) -> None:
    now = time.time()
    store.append([batch(1, started=int(now * 1e9) - 10 * HOUR, name="GET /old"), batch(2)])
    settings = Settings({"PERFAGENT_RETENTION_HOURS": "1", "PERFAGENT_RETENTION_DAYS": "1"})
    Upkeep(store, settings).once(now + 8 * 86_400)
    assert store.sizes() | {"bytes": 0} == dict.fromkeys(store.sizes(), 0)
    store.append([batch(3, name="GET /old")])
    rows = store.cursor().execute(
        "SELECT operations.name, resources.service FROM spans JOIN operations ON operations.id = spans.operation "
        "JOIN resources ON resources.id = spans.resource"
    )
    assert rows.fetchall() == [("GET /old", "tested")]
