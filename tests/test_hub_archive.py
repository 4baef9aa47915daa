"""An archive holds what the store has, and what is read from it counts once, wherever it came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks.day import Day

from perfagent.hub.store import archive
from perfagent.hub.store.store import Store
from perfagent.hub.store.upkeep import Upkeep
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

NOW = 1_790_000_000
SUMS = {
    "span_minutes": "sum(calls), sum(errors), sum(total)",
    "span_hours": "sum(calls), sum(errors), sum(total)",
    "point_minutes": "sum(delta), sum(count), sum(list_sum(buckets))",
    "point_hours": "sum(delta), sum(count), sum(list_sum(buckets))",
    "log_minutes": "sum(records)",
    "spans": "count(*), count(DISTINCT span_id)",
    "points": "count(*), sum(delta)",
    "logs": "count(*)",
}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    opened = [Store.open(tmp_path / name, 128) for name in ("one", "other")]
    yield opened
    for store in opened:
        store.close()


def fill(store: Store, seed: int, spans: int = 2000) -> None:
    for batch in Day(spans, NOW * 1_000_000_000, 5, seed).batches():
        store.append([batch])


def sums(store: Store) -> dict[str, object]:
    cursor = store.cursor()
    return {
        table: tuple(
            pytest.approx(value) if isinstance(value, float) else value
            for value in cursor.execute(f"SELECT {what} FROM {table}").fetchone() or ()
        )
        for table, what in SUMS.items()
    }


def keep_up(store: Store, **environ: str) -> None:
    Upkeep(store, Settings(environ)).once(NOW)


def test_what_was_written_is_read_and_a_second_time_adds_nothing(stores: list[Store], tmp_path: Path) -> None:
    one, other = stores
    fill(one, 1)
    keep_up(one)
    written = archive.export(one, tmp_path / "out", 0, NOW + 600)
    added = archive.import_(other, tmp_path / "out")
    assert added["spans"] == written["spans"] == one.sizes()["spans"]
    assert set(archive.import_(other, tmp_path / "out").values()) == {0}
    keep_up(other)
    assert sums(other) == sums(one)


def test_the_archives_of_two_machines_add_up(stores: list[Store], tmp_path: Path) -> None:
    """Both have the same operations in the same minutes, so nothing but the spans tells them apart."""
    one, other = stores
    fill(one, 1)
    fill(other, 2)
    calls = [store.cursor().execute("SELECT sum(calls) FROM span_minutes").fetchone() for store in stores]
    keep_up(other)
    archive.export(one, tmp_path / "out", 0, NOW + 600)
    archive.import_(other, tmp_path / "out")
    keep_up(other)
    both = sum(row[0] for row in calls if row)
    assert other.cursor().execute("SELECT sum(calls) FROM span_minutes").fetchone() == (both,)
    assert other.cursor().execute("SELECT count(*) FROM spans").fetchone() == (both,)
    hour = NOW // 3600 * 3600
    closed = f"SELECT count(*) FROM spans WHERE started < {hour}000000000"
    assert (
        other.cursor().execute("SELECT sum(calls) FROM span_hours").fetchone()
        == other.cursor().execute(closed).fetchone()
    )


def test_roll_ups_whose_spans_are_forgotten_come_along(stores: list[Store], tmp_path: Path) -> None:
    one, other = stores
    fill(one, 1)
    keep_up(one, PERFAGENT_RETENTION_HOURS="1")
    before = sums(one)
    archive.export(one, tmp_path / "out", 0, NOW + 600)
    archive.import_(other, tmp_path / "out")
    keep_up(other)
    after = sums(other)
    minute = one.cursor().execute("SELECT count(*) FROM spans").fetchone()
    assert after["spans"] == before["spans"], minute
    rolled = [table for table in SUMS if table.startswith("span_")]
    # The minute in which the retention cut counts by what is left of it.
    for table in rolled:
        found, expected = after[table], before[table]
        assert isinstance(found, tuple)
        assert isinstance(expected, tuple)
        assert abs(_plain(found[0]) - _plain(expected[0])) <= 20


def _plain(value: object) -> float:
    return float(getattr(value, "expected", value))  # type: ignore[arg-type]


def test_what_cannot_be_read_is_refused_with_the_reason(stores: list[Store], tmp_path: Path) -> None:
    one, other = stores
    fill(one, 1, 100)
    folder = tmp_path / "out"
    archive.export(one, folder, 0, NOW + 600)
    with pytest.raises(archive.ArchiveError, match="is not empty"):
        archive.export(one, folder, 0, NOW + 600)
    (folder / "spans.parquet").rename(folder / "away")
    with pytest.raises(archive.ArchiveError, match=r"spans\.parquet is missing"):
        archive.import_(other, folder)
    manifest = json.loads((folder / archive.MANIFEST).read_text())
    (folder / archive.MANIFEST).write_text(json.dumps({**manifest, "schema": 999}))
    with pytest.raises(archive.ArchiveError, match="newer perfagent"):
        archive.import_(other, folder)
    with pytest.raises(archive.ArchiveError, match="no complete archive"):
        archive.import_(other, tmp_path / "nothing")
    with pytest.raises(archive.ArchiveError, match="rename"):
        archive.import_(other, tmp_path / "a*b")
    assert other.sizes()["spans"] == 0
