"""Whatever a sender does, the differences that are stored add up to what really happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from perfagent.hub.store.deltas import FRESH, Deltas
from perfagent.hub.store.rows import Batch, PointRow, Series
from perfagent.hub.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
BEGIN = 1_790_000_000 * SECOND


def series(kind: str = "sum", *, cumulative: bool = True, monotonic: bool = True) -> Series:
    return Series(1, 2, "shop", "test", "requests", kind, "1", "", cumulative, monotonic, "{}", None)


def total(time: int, start: int, value: float) -> PointRow:
    return PointRow(1, time, start, value, None, None, None, None, None, None, None, None)


def histogram(time: int, start: int, counts: dict[int, int], zeros: int = 0) -> PointRow:
    """An exponential histogram of cumulative counts by place, sent with the places that it has."""
    first = min(counts, default=0)
    buckets = [counts.get(place, 0) for place in range(first, max(counts, default=-1) + 1)]
    count = sum(buckets) + zeros
    return PointRow(1, time, start, None, count, float(count), 0.1, 9.0, buckets, first, zeros, None)


class Sender:
    """A process that counts, restarts and exports now and then; it knows what it has counted in all."""

    def __init__(self) -> None:
        self.now = self.start = BEGIN
        self.value = 0.0
        self.places: dict[int, int] = {}
        self.zeros = 0
        self.everything = 0.0

    def count(self, amount: int, place: int) -> None:
        self.value += amount
        self.everything += amount
        if place < 0:
            self.zeros += amount
        elif amount:
            self.places[place] = self.places.get(place, 0) + amount

    def restart(self) -> None:
        self.now += SECOND
        self.start, self.value, self.places, self.zeros = self.now, 0.0, {}, 0

    def export(self, kind: str) -> PointRow:
        self.now += 15 * SECOND
        if kind == "sum":
            return total(self.now, self.start, self.value)
        return histogram(self.now, self.start, dict(self.places), self.zeros)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(0, 50), st.integers(-1, 30)),
        st.tuples(st.just("export"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("again"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(["sum", "exponential"]))
def test_differences_add_up_to_what_was_counted_before_each_export(
    steps: list[tuple[str, int, int]], kind: str
) -> None:
    """Counts since the last export before a restart are lost with the process; all that was exported is there."""
    sender, deltas, known = Sender(), Deltas(), {1: series(kind)}
    told = exported = 0.0
    buckets = 0
    last: PointRow | None = None
    unsent = 0.0
    for step, amount, place in steps:
        if step == "count":
            sender.count(amount, place)
            unsent += amount
        elif step == "restart":
            sender.restart()
            unsent = 0.0
        else:
            point = last if step == "again" and last is not None else sender.export(kind)
            if point is not last:
                exported += unsent
                unsent = 0.0
            last = point
            differences, running = deltas.apply([point], known)
            deltas.committed(running)
            for one in differences:
                told += one.delta or 0 if kind == "sum" else one.count or 0
                buckets += sum(one.buckets or ()) + (one.zeros or 0)
    assert told == exported
    if kind == "exponential":
        assert buckets == exported


def test_a_counter_that_ran_before_the_hub_did_counts_from_then_on() -> None:
    deltas, known = Deltas(), {1: series()}
    late = BEGIN + FRESH + SECOND
    differences, running = deltas.apply([total(late, BEGIN, 5000)], known)
    assert [one.delta for one in differences] == [0]
    deltas.committed(running)
    differences, _ = deltas.apply([total(late + SECOND, BEGIN, 5007)], known)
    assert [one.delta for one in differences] == [7]


def test_an_up_down_counter_that_falls_has_not_restarted() -> None:
    deltas, known = Deltas(), {1: series(monotonic=False)}
    points = [total(BEGIN + SECOND * second, BEGIN, value) for second, value in enumerate((5, 9, 2), 1)]
    differences, _ = deltas.apply(points, known)
    assert [one.delta for one in differences] == [5, 4, -7]
    assert [one.value for one in differences] == [5, 9, 2]


def test_differences_that_arrive_as_such_are_kept_as_they_are() -> None:
    differences, running = Deltas().apply([total(BEGIN, BEGIN - SECOND, 3)] * 2, {1: series(cumulative=False)})
    assert [one.delta for one in differences] == [3, 3]
    assert running == []


def test_a_commit_that_failed_is_not_remembered() -> None:
    deltas, known = Deltas(), {1: series()}
    deltas.apply([total(BEGIN + SECOND, BEGIN, 5)], known)
    differences, _ = deltas.apply([total(BEGIN + SECOND, BEGIN, 5)], known)
    assert [one.delta for one in differences] == [5]


def test_a_counter_goes_on_where_it_was_after_the_hub_was_killed(tmp_path: Path) -> None:
    hour = 3600 * SECOND  # far from the counter's start: without memory the difference would be unknown
    with_series = {1: series()}
    store = Store.open(tmp_path, 128)
    store.append([Batch(points=[total(BEGIN + SECOND, BEGIN, 10)], series=with_series)])
    store.append([Batch(points=[total(BEGIN + hour, BEGIN, 30)], series=with_series)])
    store.database.connection.close()  # no checkpoint, no goodbye
    store = Store.open(tmp_path, 128)
    store.append([Batch(points=[total(BEGIN + hour + SECOND, BEGIN, 37)], series=with_series)])
    rows = store.cursor().execute("SELECT delta FROM points ORDER BY time").fetchall()
    assert [row[0] for row in rows] == [10, 20, 7]
    store.run("trim_running", since_ns=0)
    assert store.cursor().execute("SELECT value FROM running").fetchall() == [(37,)]
    store.close()
