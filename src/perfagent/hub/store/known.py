"""Which resources, operations and series the database has, and how many there may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfagent.hub.store.rows import Operation, Resource, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.store.rows import Batch, SpanRow

OPERATIONS = 5000  # of one service; a program whose names hold identities would fill memory and page
SERIES = 200_000
OTHER = "(other)"


class Fresh:
    """What one commit brings that is new.

    Args:
        resources, operations, series: rows to be added, by identity.
        moved: operations beyond the limit, and what their spans count as.
    """

    def __init__(self) -> None:
        self.resources: dict[int, Resource] = {}
        self.operations: dict[int, Operation] = {}
        self.series: dict[int, Series] = {}
        self.moved: dict[int, int] = {}


class Known:
    """Identities that are in the database.

    Args:
        resources: identities.
        operations: identities and services.
        series: every one's row.
    """

    def __init__(
        self, resources: Iterable[int], operations: Iterable[tuple[int, str]], series: Iterable[Series]
    ) -> None:
        self.series: dict[int, Series] = {one.id: one for one in series}
        self._resources = set(resources)
        self._operations = dict(operations)
        self._of_service = Counter(self._operations.values())

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
            for number, series in batch.series.items():
                if number not in self.series and len(self.series) + len(fresh.series) < SERIES:
                    fresh.series[number] = series
        return fresh

    def _admit(self, operation: Operation, fresh: Fresh, counts: Counter[str]) -> None:
        if counts[operation.service] < OPERATIONS:
            counts[operation.service] += 1
            fresh.operations[operation.id] = operation
            return
        number = hash((operation.service, operation.category)) & (1 << 62) - 1
        other = Operation(number, operation.service, operation.category, OTHER, "", "")
        fresh.moved[operation.id] = other.id
        if other.id not in self._operations:
            fresh.operations[other.id] = other

    def committed(self, fresh: Fresh) -> None:
        """Remembers what `fresh` told, once it is stored."""
        self._resources.update(fresh.resources)
        self.series.update(fresh.series)
        for key, operation in fresh.operations.items():
            self._operations[key] = operation.service
            if operation.name != OTHER:
                self._of_service[operation.service] += 1


def move(spans: list[SpanRow], moved: dict[int, int]) -> list[SpanRow]:
    """The spans with the operations that they count as."""
    if not moved:
        return spans
    return [span._replace(operation=moved.get(span.operation, span.operation)) for span in spans]
