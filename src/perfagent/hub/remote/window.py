"""The window: a store that is filled from elsewhere, a stretch of time at a time, and may be deleted at any moment.

Everything that the hub answers is SQL over one schema; so what Prometheus and Jaeger tell becomes rows of it. It is a
copy of a part and never the truth: a stretch that is fetched again takes the place of what was there. What is true here
alone, thresholds and the audit log, is kept in the hub's own database.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from perfagent.hub.store import rollups, tables
from perfagent.hub.store.rows import Batch
from perfagent.hub.store.store import Store, add, insert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from perfagent.hub.remote.prometheus import Stretch
    from perfagent.hub.store.rows import Operation, Resource, Row, Series, SpanRow

KEPT = frozenset(("hub/audit",))
"""Queries that the hub's own database answers."""
FOLDER = "window"
SECOND = 1_000_000_000  # ns
ALERTED = 7200  # seconds that are looked at for what is wrong
SHAPE = 1
"""A number that changes with what the rows mean; a window of another one is begun anew."""


class Window(Store):
    """What the views read.

    Args:
        directory: the hub's.
        memory_mib: the most memory of the database, MiB.
        keeper: the hub's own database.
        origin: what it is filled from; a window that was filled from elsewhere is deleted.
    """

    def __init__(self, directory: Path, memory_mib: int, keeper: Store, origin: str) -> None:
        folder = directory / FOLDER
        super().__init__(folder, memory_mib)
        mark = [SHAPE, origin]
        if super().document("origin") != mark:
            super().close()
            shutil.rmtree(folder)
            super().__init__(folder, memory_mib)
            super().keep("origin", mark)
        self.keeper = keeper
        self.covers: Callable[[float, float], bool] = lambda begin, end: True
        """Whether the window has all calls of a range; set by who fills it."""

    def reaches(self, begin: float, end: float) -> bool:
        """As `Store.reaches`."""
        return self.covers(begin, end)

    def rows(self, query: str, /, **parameters: object) -> list[Row]:
        """As `Store.rows`."""
        return self.keeper.rows(query, **parameters) if query in KEPT else super().rows(query, **parameters)

    def document(self, name: str) -> object | None:
        """As `Store.document`, of the hub's own database."""
        return self.keeper.document(name)

    def keep(self, name: str, content: object) -> None:
        """As `Store.keep`, in the hub's own database."""
        self.keeper.keep(name, content)

    def audit(
        self, role: str, client: str, action: str, subject: str, before: object = None, after: object = None
    ) -> None:
        """As `Store.audit`, in the hub's own database."""
        self.keeper.audit(role, client, action, subject, before, after)

    def remembered(self, name: str) -> object | None:
        """A document of the window itself."""
        return super().document(name)

    def remember(self, name: str, content: object) -> None:
        """Keeps a document of the window itself."""
        super().keep(name, content)

    def put_calls(self, stretch: Stretch, rows: Sequence[tuple[Any, ...]], operations: Mapping[int, Operation]) -> None:
        """Puts the calls of a stretch in the place of those that were there.

        Args:
            rows: of `span_minutes`.
            operations: theirs.

        Raises:
            StoreFailed: nothing of it is stored.
        """
        with self.transaction() as cursor:
            fresh = self._known.fresh([Batch(operations=dict(operations))])
            self._add(cursor, fresh)
            _begun(cursor, "operations", dict.fromkeys(operations, stretch.begin * SECOND))
            cursor.execute("DELETE FROM span_minutes WHERE minute >= ? AND minute < ?", [stretch.begin, stretch.end])
            if fresh.moved:
                rows = [(row[0], fresh.moved.get(row[1], row[1]), *row[2:]) for row in rows]
            insert(cursor, "span_minutes", rows, tables.SPAN_MINUTES)
            self._note(cursor, stretch)
        self._known.committed(fresh)

    def put_points(
        self,
        stretch: Stretch,
        rows: Sequence[tuple[Any, ...]],
        series: Mapping[int, Series],
        resources: Mapping[int, Resource],
        begun: Mapping[int, int],
        latest: Sequence[tuple[Any, ...]] = (),
    ) -> int:
        """Puts the points of some metrics in a stretch in the place of those that were there.

        Args:
            rows: of `point_minutes`.
            series: theirs; all of the metrics' that have points in the stretch.
            resources: the processes.
            begun: when each of them began, ns since the epoch, or was first heard of.
            latest: of `points`: one for each process that tells when it was last heard of.

        Returns:
            How many series were left out, because the window has too many.

        Raises:
            StoreFailed: nothing of it is stored.
        """
        names = list({one.name for one in series.values()})
        with self.transaction() as cursor:
            fresh = self._known.fresh([Batch(series=dict(series), resources=dict(resources))])
            self._add(cursor, fresh)
            _tell_more(cursor, resources)
            _begun(cursor, "resources", begun)
            cursor.execute(
                "DELETE FROM point_minutes WHERE minute >= ? AND minute < ? "
                "AND series IN (SELECT id FROM series WHERE list_contains(?, name))",
                [stretch.begin, stretch.end, names],
            )
            if fresh.refused:
                rows = [row for row in rows if row[1] not in fresh.refused]
                latest = [row for row in latest if row[0] not in fresh.refused]
            insert(cursor, "point_minutes", rows, tables.POINT_MINUTES)
            insert(cursor, "points", latest, tables.POINTS)
            self._note(cursor, stretch)
        self._known.committed(fresh)
        return len(fresh.refused)

    def put_spans(self, batch: Batch, texts: Mapping[int, str], *, counted: bool) -> int:
        """Adds the spans that are not there yet; returns how many these are.

        Args:
            batch: spans with their resources and operations.
            texts: statements of operations.
            counted: whether they count as calls, because no metric does.

        Raises:
            StoreFailed: nothing of it is stored.
        """
        if not batch.spans:
            return 0
        with self.transaction() as cursor:
            fresh = self._known.fresh([batch])
            self._add(cursor, fresh)
            _tell_more(cursor, batch.resources)
            for operation, text in texts.items():
                cursor.execute("UPDATE operations SET text = ? WHERE id = ? AND text <> ?", [text, operation, text])
            begins = [span.started for span in batch.spans]
            there = {
                row[0]
                for row in cursor.execute(
                    "SELECT span_id FROM spans WHERE started >= ? AND started <= ? AND list_contains(?, trace_id)",
                    [min(begins), max(begins), list({span.trace_id for span in batch.spans})],
                ).fetchall()
            }
            spans = [self._moved(span, fresh.moved) for span in _once(batch.spans) if span.span_id not in there]
            insert(cursor, "spans", spans, tables.SPANS)
            if counted:
                counts = rollups.of_spans(spans)
                insert(cursor, "span_minutes", counts, tables.SPAN_MINUTES)
                self.changed.note(cursor, (row[0] for row in counts))
        self._known.committed(fresh)
        return len(spans)

    def _note(self, cursor: Any, stretch: Stretch) -> None:
        """Lets the alerts know of a stretch, unless it was fetched for somebody who looks back."""
        if stretch.end > time.time() - ALERTED:
            self.changed.note(cursor, [stretch.begin])

    def forget_calls(self) -> None:
        """Forgets all calls: what counts them has changed, and with it what their operations are called."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM span_minutes")

    def forget(self, minutes: int, raw: int, spans: int) -> None:
        """Forgets what is old.

        Args:
            minutes: roll-ups before this, seconds since the epoch.
            raw: points and spans before this.
            spans: the most that stay, the newest.
        """
        with self.database.writing:
            self.run("forget", raw_ns=raw * SECOND, minutes=minutes, hours=minutes)
            with self.transaction() as cursor:
                cursor.execute(
                    "DELETE FROM spans WHERE started < "
                    "(SELECT started FROM spans ORDER BY started DESC LIMIT 1 OFFSET ?)",
                    [spans],
                )
            self.run("forget_unused")
            self.refresh()
        self.checkpoint()

    def close(self) -> None:
        """Closes both databases."""
        super().close()
        self.keeper.close()

    @staticmethod
    def _moved(span: SpanRow, moved: Mapping[int, int]) -> SpanRow:
        return span._replace(operation=moved[span.operation]) if span.operation in moved else span

    @staticmethod
    def _add(cursor: Any, fresh: Any) -> None:
        now = time.time_ns()
        add(cursor, "resources", fresh.resources, tables.RESOURCES, now)
        add(cursor, "operations", fresh.operations, tables.OPERATIONS, now)
        add(cursor, "series", fresh.series, tables.SERIES, now)


def _tell_more(cursor: Any, resources: Mapping[int, Resource]) -> None:
    """Brings what is known of processes up to date: their spans tell more than the labels of their metrics."""
    if resources:
        incoming = tables.table(list(resources.values()), tables.RESOURCES)  # noqa: F841 - DuckDB finds it by its name
        cursor.execute(
            "UPDATE resources SET version = incoming.version, environment = incoming.environment, "
            "attributes = incoming.attributes FROM incoming "
            "WHERE resources.id = incoming.id AND resources.attributes <> incoming.attributes"
        )


def _begun(cursor: Any, name: str, moments: Mapping[int, int]) -> None:
    """Brings forward when something was first heard of: older stretches are filled later than newer ones."""
    if moments:
        incoming = pa.table({"id": list(moments), "begun": list(moments.values())})  # noqa: F841
        cursor.execute(
            f"UPDATE {name} SET first_seen = incoming.begun FROM incoming "  # noqa: S608 - one of two names
            f"WHERE {name}.id = incoming.id AND {name}.first_seen > incoming.begun"
        )


def _once(spans: Iterable[SpanRow]) -> Collection[SpanRow]:
    """Each span once, by its id."""
    return {(span.trace_id, span.span_id): span for span in spans}.values()
