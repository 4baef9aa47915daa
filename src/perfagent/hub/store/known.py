"""Which resources, operations and series the database has, and how many there may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfagent.hub.store.rows import Operation, Resource, Series, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.store.rows import Batch, PointRow, SpanRow

OPERATIONS = 5000  # of one service; a program whose names hold identities would fill memory and page
SERIES = 200_000  # the upkeep forgets those that are silent longest before there are so many
OTHER = "(other)"


class Fresh:
    """What one commit brings that is new.

    Args:
        resources, operations, series: rows to be added, by identity.
        described: the series of its points, by identity.
        moved: operations beyond the limit, and what their spans count as.
        refused: series beyond the limit.
    """

    def __init__(self) -> None:
        self.resources: dict[int, Resource] = {}
        self.operations: dict[int, Operation] = {}
        self.series: dict[int, Series] = {}
        self.described: dict[int, Series] = {}
        self.moved: dict[int, int] = {}
        self.refused: set[int] = set()

    def points(self, batches: Sequence[Batch]) -> Iterator[PointRow]:
        """The points of the batches whose series may be stored."""
        for batch in batches:
            if self.refused:
                yield from (point for point in batch.points if point.series not in self.refused)
            else:
                yield from batch.points

    def tell_refused(self, batches: Sequence[Batch]) -> None:
        """Counts in each batch what of it was left out."""
        for batch in batches if self.refused else ():
            left = sum(point.series in self.refused for point in batch.points)
            if left:
                batch.rejected += left
                told = f"{left} points refused: the hub keeps {SERIES} series, drop attributes with many values"
                batch.reason = f"{batch.reason}; {told}" if batch.reason else told


class Known:
    """Identities that are in the database.

    Args:
        resources: identities.
        operations: identities, services and names.
        series: identities.
    """

    def __init__(
        self, resources: Iterable[int], operations: Iterable[tuple[int, str, str]], series: Iterable[int]
    ) -> None:
        self._resources = set(resources)
        self._series = set(series)
        self._operations: set[int] = set()
        self._of_service: Counter[str] = Counter()
        for key, service, name in operations:
            self._operations.add(key)
            self._of_service[service] += name != OTHER

    def fresh(self, batches: Sequence[Batch]) -> Fresh:
        """What these batches bring; nothing is known by it until `committed`."""
        fresh = Fresh()
        counts = Counter(self._of_service)
        for batch in batches:
            for key, resource in batch.resources.items():
                if key not in self._resources:
                    fresh.resources[key] = resource
            for key, operation in batch.operations.items():
                if key not in self._operations and key not in fresh.operations:
                    self._admit(operation, fresh, counts)
            fresh.described.update(batch.series)
        for key in fresh.described.keys() - self._series:
            if len(self._series) + len(fresh.series) < SERIES:
                fresh.series[key] = fresh.described[key]
            else:
                fresh.refused.add(key)
        return fresh

    def _admit(self, operation: Operation, fresh: Fresh, counts: Counter[str]) -> None:
        service, category, system = operation.service, operation.category, operation.system
        if counts[service] < OPERATIONS or operation.name == OTHER:
            counts[service] += operation.name != OTHER
            fresh.operations[operation.id] = operation
            return
        number = identity(service, category, OTHER, system, "")
        fresh.moved[operation.id] = number
        if number not in self._operations:
            fresh.operations[number] = Operation(number, service, category, OTHER, system, "")

    def committed(self, fresh: Fresh) -> None:
        """Remembers what `fresh` told, once it is stored."""
        self._resources.update(fresh.resources)
        self._series.update(fresh.series)
        self._operations.update(fresh.operations)
        for operation in fresh.operations.values():
            self._of_service[operation.service] += operation.name != OTHER


def move(spans: list[SpanRow], moved: dict[int, int]) -> list[SpanRow]:
    """The spans with the operations that they count as."""
    if not moved:
        return spans
    return [span._replace(operation=moved.get(span.operation, span.operation)) for span in spans]
