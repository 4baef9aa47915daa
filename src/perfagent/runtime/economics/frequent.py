"""What is asked for most, counted in bounded space."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable


class Frequent:
    """Weighted counts of a stream's most frequent items (Misra and Gries 1982, as batched by Anderson, Bevan, Lang,
    Liberty, Rhodes and Thaler, "A High-Performance Algorithm for Identifying Frequent Items in Data Streams", 2017).

    Twice `most` counters are kept; when they are full, the count of the `most`-th is taken from all, and what comes to
    nothing goes. So a true count lies between what an item's counter says and that plus `error`, which never exceeds
    the stream's weight divided by `most`; an item that is asked for more often than that is always there.

    Args:
        most: counters that are kept at a cut.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.error = 0.0
        """By how much a count may be too low."""
        self.total = 0.0
        self._counts: dict[Hashable, float] = {}

    def add(self, item: Hashable, weight: float = 1.0) -> None:
        """Counts an item; amortised constant time."""
        counts = self._counts
        counts[item] = counts.get(item, 0.0) + weight
        self.total += weight
        if len(counts) >= 2 * self.most:
            cut = sorted(counts.values(), reverse=True)[self.most - 1]
            self._counts = {one: found - cut for one, found in counts.items() if found > cut}
            self.error += cut

    def top(self, number: int) -> list[tuple[Hashable, float]]:
        """The most frequent items with the least that each was counted, in order."""
        return sorted(self._counts.items(), key=lambda pair: -pair[1])[:number]
