"""Records: the largest departure that a series has shown, slowly forgotten."""

from __future__ import annotations

EXCURSION = 6 * 3600.0  # seconds; what stays beyond the record for longer is the record


class Record:
    """The largest value so far of a departure; it holds up to the end of an excursion beyond it.

    While the mean of a window climbs to a new level, every reading is a new maximum by a little. So the record stays as
    it was before the excursion until that ends, or has been told of.
    """

    __slots__ = ("_began", "_peak", "largest")

    def __init__(self) -> None:
        self.largest: float | None = None
        self._peak: float | None = None
        self._began = 0.0

    def beaten(self, time: float, value: float, margin: float, floor: float, kept: float) -> bool:
        """Takes a departure in, and says whether it is beyond the record by `margin` and beyond `floor`.

        Args:
            time: seconds since the epoch.
            value: the departure.
            margin: a factor, 1 or more.
            floor: what a departure must exceed besides.
            kept: the share of the record that is left since the last reading, such as 0.9999.
        """
        if self.largest is None:
            self.largest = max(value, 0.0)
            return False
        self.largest *= kept
        if value <= self.largest:
            if self._peak is not None:
                self._settle()
            return False
        if self._peak is None:
            self._peak, self._began = value, time
        else:
            self._peak = max(self._peak, value)
        told = value > margin * self.largest and value > floor
        if told or time - self._began > EXCURSION:
            self._settle()
        return told

    def _settle(self) -> None:
        self.largest = max(self.largest or 0.0, self._peak or 0.0)
        self._peak = None
