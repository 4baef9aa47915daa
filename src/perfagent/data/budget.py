"""How many rows may be read next, so that chunks stay within rows and memory whatever the rows are like.

A chunk is never more rows than there are line ends in the bytes that wait, so a row that is suddenly a hundred times as
long makes the chunk a hundred times shorter. What remains to be learnt is how many bytes of memory a byte of text
becomes: 1 for long texts, 30 for a column of short ones in an old pandas.
"""

from __future__ import annotations

FIRST_RATIO = 30.0
"""Bytes of memory by byte of text that are expected before the first chunk is measured."""
LEAST_RATIO = 6.0
"""The parser's own tables while it works: measured 3 to 5 with pandas 2.2 and 3.1."""
GROWTH = 1.5
"""How much worse the next chunk may be than the worst of the last ones."""
WINDOW = 2 << 20
"""Bytes of text that a ratio is taken of."""
SMALLEST, LARGEST = 16 << 10, 16 << 20
"""Bounds of the text of a chunk, bytes; larger ones are not faster and hold the interpreter longer."""


class Budget:
    """Rows and bytes of the next chunk.

    Args:
        rows: the most rows of a chunk.
        memory: the most bytes of memory of everything.
        in_flight: chunks that exist at the same time, the one being parsed included.
        largest: the most bytes of text of a chunk.
    """

    def __init__(self, rows: int, memory: int, in_flight: int, largest: int = LARGEST) -> None:
        self.rows = rows
        self.largest = largest
        self.share = memory / (in_flight + 1)  # the text and the allocator's fragments are the one more
        self.ratio = FIRST_RATIO
        self._text = self._memory = 0

    @property
    def text(self) -> int:
        """Bytes of text that the next chunk may be made of."""
        return int(min(max(self.share / (self.ratio * GROWTH), SMALLEST), self.largest))

    def learn(self, text: int, memory: int) -> None:
        """Takes a chunk into account: the bytes read for it, and those of its memory.

        The parser reads up to 512 KB more than the chunk is made of, so a ratio is taken of 2 MB at least.
        """
        self._text += text
        self._memory += memory
        if self._text < WINDOW:
            return
        ratio = max(self._memory / self._text, LEAST_RATIO)
        self._text = self._memory = 0
        # At once where it gets worse, slowly where it gets better: one chunk of long rows proves nothing.
        self.ratio = ratio if ratio > self.ratio or self.ratio == FIRST_RATIO else 0.75 * self.ratio + 0.25 * ratio
