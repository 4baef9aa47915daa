"""What the store takes it keeps, its roll-ups agree with what was sent, and it survives bad files and full disks."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import duckdb
import pytest
from benchmarks.day import Day

from perfagent.hub.store import opening, sql
from perfagent.hub.store.rows import Batch, Operation, SpanRow
from perfagent.hub.store.store import Store, StoreFailed, StoreUnavailable
from perfagent.hub.store.upkeep import Upkeep
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_790_000_000  # a full hour is 800 s before it
MINUTE = 60_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path, 256)
    yield opened
    opened.close()


def day(spans: int = 3000, hours: float = 5) -> Day:
    return Day(spans, NOW * 1_000_000_000, hours)


def upkeep(store: Store, now: float = NOW, **environ: str) -> None:
    Upkeep(store, Settings(environ)).once(now)


def one(store: Store, text: str) -> object:
    cursor = store.cursor()
    row = cursor.execute(text).fetchone()
    assert row is not None
    return row[0]


def expected(spans: list[SpanRow], unit: int = 60) -> dict[tuple[int, ...], tuple[float, float, float]]:
    """Calls, errors and total of the roll-ups' keys, counted one by one."""
    found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for span in spans:
        bucket = math.floor(8 * math.log2(span.duration)) if span.duration else 0
        sums = found[span.started // 1_000_000_000 // unit * unit, span.operation, span.status_code, bucket]
        sums[0] += span.weight
        sums[1] += span.weight if span.status == 2 else 0
        sums[2] += span.weight * span.duration
    return {key: (sums[0], sums[1], pytest.approx(sums[2])) for key, sums in found.items()}


def rolled_up(
    store: Store, table: str = "span_minutes", time: str = "minute"
) -> dict[tuple[int, ...], tuple[float, ...]]:
    sums = "sum(calls), sum(errors), sum(total)"
    text = f"SELECT {time}, operation, status_code, bucket, {sums} FROM {table} GROUP BY ALL"
    rows = store.cursor().execute(text).fetchall()
    return {tuple(row[:4]): tuple(row[4:]) for row in rows}


def test_what_is_stored_is_what_was_given(store: Store) -> None:
    (batch,) = day(500).batches()
    store.append([batch])
    rows = store.cursor().execute(f"SELECT {', '.join(SpanRow._fields)} FROM spans").fetchall()
    assert Counter(rows) == Counter(tuple(span) for span in batch.spans)
    logs = store.cursor().execute("SELECT body, trace_id FROM logs").fetchall()
    assert Counter(logs) == Counter((log.body, log.trace_id) for log in batch.logs)
    sizes = store.sizes()
    assert (sizes["spans"], sizes["points"], sizes["series"]) == (
        len(batch.spans),
        len(batch.points),
        len(batch.series),
    )


def test_roll_ups_agree_with_an_independent_count_before_and_after_the_upkeep(store: Store) -> None:
    spans = []
    for batch in day().batches():
        weighted = [span._replace(weight=4.0) if number % 7 == 0 else span for number, span in enumerate(batch.spans)]
        for start in range(0, len(weighted), 400):  # many commits: many rows of one key
            store.append([replace(batch, spans=weighted[start : start + 400], logs=[], points=[])])
        spans += weighted
    assert rolled_up(store) == expected(spans)
    upkeep(store)
    assert rolled_up(store) == expected(spans)
    assert one(store, "SELECT count(*) FROM span_minutes WHERE minute < 1789999800") == len(
        [key for key in expected(spans) if key[0] < 1789999800]
    ), "minutes that have ended have one row a key"
    closed = [span for span in spans if span.started // 1_000_000_000 < NOW // 3600 * 3600]
    assert rolled_up(store, "span_hours", "hour") == expected(closed, 3600)


def test_a_span_that_comes_after_its_hour_was_rolled_up_counts_in_minutes_and_hours(store: Store) -> None:
    (batch,) = day(800).batches()
    store.append([batch])
    upkeep(store)
    late = [span._replace(span_id=b"late" * 2) for span in batch.spans[:50]]
    store.append([replace(batch, spans=late, logs=[], points=[])])
    upkeep(store, NOW + 60)
    assert rolled_up(store) == expected(batch.spans + late)
    closed = [span for span in batch.spans + late if span.started // 1_000_000_000 < NOW // 3600 * 3600]
    assert rolled_up(store, "span_hours", "hour") == expected(closed, 3600)


def test_the_points_of_an_hour_are_the_sum_of_its_points(store: Store) -> None:
    for batch in day(300).batches():
        store.append([batch])
    upkeep(store)
    hour = NOW // 3600 * 3600
    for column in ("count", "delta", "total", "list_sum(buckets)"):
        points = one(store, f"SELECT sum({column}) FROM points WHERE time < {hour}000000000")
        minutes = one(store, f"SELECT sum({column}) FROM point_minutes WHERE minute < {hour}")
        hours = one(store, f"SELECT sum({column}) FROM point_hours")
        assert points == pytest.approx(minutes)
        assert points == pytest.approx(hours)


def test_an_exponential_histogram_is_merged_place_by_place(store: Store) -> None:
    cursor = store.cursor()
    cursor.execute(
        "INSERT INTO point_minutes BY NAME SELECT * FROM (VALUES (60, 1, 1, [1, 2], 10, 3), (60, 1, 1, [5], 14, 5))"
        " AS rows(minute, series, points, buckets, first_bucket, count)"
    )
    upkeep(store, 3600)
    rows = store.cursor().execute("SELECT buckets, first_bucket, count FROM point_minutes").fetchall()
    assert rows == [([1, 2, 0, 0, 5], 10, 8)]


@pytest.mark.slow
def test_old_spans_are_forgotten_and_their_roll_ups_stay(store: Store) -> None:
    for batch in day().batches():
        store.append([batch])
    calls = one(store, "SELECT sum(calls) FROM span_minutes")
    upkeep(store, PERFAGENT_RETENTION_HOURS="1")
    oldest = one(store, "SELECT min(started) FROM spans")
    assert isinstance(oldest, int)
    assert oldest >= (NOW - 3600) * 1_000_000_000
    assert one(store, "SELECT sum(calls) FROM span_minutes") == calls
    upkeep(store, NOW + 8 * 86_400)
    assert one(store, "SELECT count(*) FROM span_minutes") == 0
    assert one(store, "SELECT sum(calls) FROM span_hours") == calls
    upkeep(store, NOW + 91 * 86_400)
    assert one(store, "SELECT count(*) FROM span_hours") == 0


@pytest.mark.slow
def test_changes_are_forgotten_with_the_hours_and_the_upkeep_goes_on(store: Store) -> None:
    store.audit("admin", "127.0.0.1", "thresholds.set", "slow_query_ms")
    upkeep(store, time.time())
    assert one(store, "SELECT count(*) FROM audit") == 1
    upkeep(store, time.time() + 91 * 86_400)
    assert one(store, "SELECT count(*) FROM audit") == 0


def test_a_database_that_is_too_big_loses_its_oldest_hours_first(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    batches = [replace(batch, points=[]) for batch in Day(20_000, NOW * 1_000_000_000, 1).batches()]
    for hours_ago in range(20, 0, -1):
        shift = hours_ago * 3_600_000_000_000
        moved = [[span._replace(started=span.started - shift) for span in batch.spans] for batch in batches]
        store.append([replace(batches[0], spans=spans) for spans in moved])
    store.checkpoint()
    before = store.used()
    keeper = Upkeep(store, Settings())
    keeper._size = before * 4 // 5  # the setting's least is 64 MiB, which takes a minute to fill
    keeper.once(NOW)
    assert store.used() <= before * 4 // 5
    assert one(store, f"SELECT max(started) > {NOW - 3700}000000000 FROM spans"), "the newest stayed"
    assert one(store, f"SELECT min(started) > {NOW - 20 * 3600}000000000 FROM spans"), "the oldest went"
    store.close()


def test_readers_see_whole_commits_and_do_not_wait_for_the_writer(store: Store) -> None:
    """A commit holds one span of each of two operations: their counts never differ for a reader."""
    (batch,) = day(50).batches()
    first, second = list(batch.operations.values())[:2]
    pair = replace(batch, points=[], logs=[], spans=[
        batch.spans[0]._replace(operation=first.id), batch.spans[0]._replace(operation=second.id)
    ])  # fmt: skip
    done = threading.Event()

    def write() -> None:
        for _ in range(60):
            store.append([pair])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    text = f"SELECT count(*) FILTER (operation = {first.id}) - count(*) FILTER (operation = {second.id}) FROM spans"
    while not done.is_set():
        assert one(store, text) == 0
        reads += 1
    writer.join()
    assert reads > 10


def test_operations_beyond_the_limit_of_a_service_count_as_other(store: Store) -> None:
    (batch,) = day(50).batches()
    span = batch.spans[0]
    many = {number: Operation(number, "shop", "server", f"GET /{number}", "", "") for number in range(1, 5101)}
    elsewhere = {9001: Operation(9001, "calm", "server", "GET /", "", "")}
    spans = [span._replace(operation=number) for number in (*many, *elsewhere)]
    store.append([Batch(spans=spans, operations={**many, **elsewhere})])
    assert one(store, "SELECT count(*) FROM operations WHERE service = 'shop'") == 5001
    assert one(store, "SELECT count(*) FROM operations WHERE service = 'calm'") == 1
    other = one(store, "SELECT id FROM operations WHERE name = '(other)'")
    assert one(store, f"SELECT count(*) FROM spans WHERE operation = {other}") == 100
    more = Operation(7777, "shop", "server", "GET /more", "", "")
    store.append([Batch(spans=[span._replace(operation=7777)], operations={7777: more})])
    assert one(store, f"SELECT count(*) FROM spans WHERE operation = {other}") == 101


@pytest.mark.slow
def test_everything_is_there_after_it_was_closed_and_opened(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    (batch,) = day(200).batches()
    store.append([batch])
    store.keep("thresholds", {"memory": 80})
    store.audit("admin", "127.0.0.1", "thresholds.set", "memory", before=None, after=80)
    sizes = store.sizes()
    store.close()
    again = Store.open(tmp_path, 256)
    assert {**again.sizes(), "bytes": 0} == {**sizes, "bytes": 0}
    assert again.document("thresholds") == {"memory": 80}
    assert again.document("nothing") is None
    assert one(again, "SELECT after FROM audit") == "80"
    assert again.notes == []
    again.append([batch])
    assert again.sizes()["operations"] == sizes["operations"]
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["garbage", "header"])
def test_a_damaged_file_is_set_aside_and_a_new_one_is_begun(tmp_path: Path, damage: str) -> None:
    store = Store.open(tmp_path, 256)
    (batch,) = day(400).batches()
    store.append([batch])
    store.close()
    path = tmp_path / opening.FILE
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        path.write_bytes(b"this is no database" * 1000)
    else:
        content[4096:12288] = bytes(reversed(content[4096:12288]))
        path.write_bytes(content)
    again = Store.open(tmp_path, 256)
    (note,) = again.notes
    assert "set aside" in note
    assert list(tmp_path.glob(f"{opening.FILE}.corrupt-*"))
    again.append([batch])
    assert again.sizes()["spans"] == len(batch.spans)
    again.close()


@pytest.mark.slow
def test_a_file_that_was_cut_off_is_set_aside_once_somebody_reads_what_is_missing(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    for batch in Day(60_000, NOW * 1_000_000_000).batches():
        store.append([batch])
    store.close()
    path = tmp_path / opening.FILE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    again = Store.open(tmp_path, 256)
    with contextlib.suppress(duckdb.Error):
        again.rows("traces/spans", trace_id=bytes(16), most=10)
    again.append([batch])
    assert again.sizes()["spans"] == len(batch.spans)
    assert "set aside" in again.notes[0]
    again.close()


@pytest.mark.slow
def test_a_file_that_shrank_when_its_rows_were_forgotten_is_opened_as_ever(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    for batch in Day(200_000, NOW * 1_000_000_000).batches():
        store.append([batch])
    for _ in range(3):
        upkeep(store, PERFAGENT_RETENTION_HOURS="1")
        store.checkpoint()
    kept = store.sizes()["spans"]
    store.close()
    again = Store.open(tmp_path, 256)
    assert again.notes == []
    assert again.sizes()["spans"] == kept
    again.close()


@pytest.mark.slow
def test_a_log_that_cannot_be_read_does_not_take_the_database_with_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    (batch,) = day(400).batches()
    store.append([batch])
    store.close()
    (tmp_path / f"{opening.FILE}.wal").write_bytes(b"\x07 no log of ours" * 5000)
    again = Store.open(tmp_path, 256)
    assert again.sizes()["spans"] == len(batch.spans)
    again.append([batch])
    again.close()


@pytest.mark.slow
def test_a_file_that_turns_out_to_be_damaged_later_is_set_aside_by_the_next_commit(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 256)
    (batch,) = day(400).batches()
    store.append([batch])
    failure = duckdb.IOException("Corrupt database file: computed checksum 1 does not match stored checksum 2")
    with pytest.raises(StoreFailed, match="checksum"), store.transaction():
        raise failure  # what DuckDB raises when it reads a block whose bytes have changed
    store.append([batch])
    assert store.sizes()["spans"] == len(batch.spans)
    (note,) = store.notes
    assert "set aside" in note
    store.close()


def test_a_file_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path, 256).close()
    with duckdb.connect(str(tmp_path / opening.FILE)) as connection:
        connection.execute("INSERT INTO migrations VALUES (999, 0)")
    with pytest.raises(StoreUnavailable, match=r"schema 999.*newer perfagent"):
        Store.open(tmp_path, 256)
    assert [file.name for file in tmp_path.iterdir() if "corrupt" in file.name] == []


def test_a_file_that_another_process_has_open_is_refused_with_what_to_do(tmp_path: Path) -> None:
    code = "import sys, pathlib; from perfagent.hub.store.store import Store; " \
        "store = Store.open(pathlib.Path(sys.argv[1]), 256); print('open', flush=True); sys.stdin.read()"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailable, match="in use by another process"):
            Store.open(tmp_path, 256)
        other.kill()


def test_the_file_is_the_users_alone(store: Store) -> None:
    assert store.path.stat().st_mode & 0o077 == 0


FULL_DISK = """
    import resource, sys, signal, time
    from pathlib import Path
    from dataclasses import replace
    from benchmarks.day import Day
    from perfagent.hub.store.store import Store, StoreFailed

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as a full disk: an error and no signal
    store = Store.open(Path(sys.argv[1]), 256)
    batches = list(Day(60_000, time.time_ns(), 1).batches())
    store.append(batches[:1])
    stored = len(batches[0].spans)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (store.sizes()["bytes"] + 4096, hard))
    try:
        for _ in range(3):
            store.append(batches[1:2])
            stored += len(batches[1].spans)
        print("not full")
    except StoreFailed as error:
        print("refused:", error)
    print("reads", store.sizes()["spans"] == stored)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.append(batches[1:2])
    print("recovered", store.sizes()["spans"] == stored + len(batches[1].spans))
    store.close()
"""


@pytest.mark.slow
def test_a_full_disk_refuses_a_batch_and_the_store_recovers_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", dedent(FULL_DISK), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    refused, reads, recovered = done.stdout.splitlines() or [done.stderr, "", ""]
    assert "there is no room" in refused, done.stderr
    assert "PERFAGENT_RETENTION_SIZE" in refused
    assert reads == "reads True", done.stdout + done.stderr
    assert recovered == "recovered True", done.stderr


def test_every_query_is_accepted_by_the_newest_schema(store: Store) -> None:
    for file in sorted((sql.HERE / "queries").rglob("*.sql")):
        text, names = sql.query(str(file.relative_to(sql.HERE / "queries").with_suffix("")))
        assert text.strip(), file
        statement = duckdb.extract_statements(text)
        assert len(statement) == 1, file
        assert set(statement[0].named_parameters) == set(names), file


def test_a_query_takes_the_parameters_that_it_names(store: Store) -> None:
    assert store.rows("calls/hours", nobody_asks_for_this=1) == [{"until": 0}]


def test_the_log_of_changes_is_json(store: Store) -> None:
    store.audit("admin", "here", "a.b", "c", before={"x": 1}, after=[2])
    row = store.cursor().execute("SELECT before, after, time FROM audit").fetchone()
    assert row is not None
    assert (json.loads(row[0]), json.loads(row[1])) == ({"x": 1}, [2])
    assert abs(row[2] / 1e9 - time.time()) < 60
