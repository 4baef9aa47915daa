"""What is too small to give advice on."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the advice.

    Args:
        factor: how many times less a statement must cost with an index, above 1.
        rows: of a table; smaller ones are read as fast as an index.
        saved_ms: what an index must save a day, ms, where calls and times are known.
        unused_days: how long the statistics must count before an index is called unused.
        statements: most statements of the database's own record that are looked at, those of the most time.
        smallest: bytes of an unused index that is worth dropping.

    Raises:
        ValueError: one is out of its range.
    """

    factor: float = 2.0
    rows: float = 1000
    saved_ms: float = 1000.0
    unused_days: float = 7.0
    statements: int = 200
    smallest: int = 65_536

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            low = 1 if one.name in ("factor", "statements") else 0
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < low:
                raise ValueError(f"{one.name}={value!r} is not accepted: a number from {low}, such as {one.default}")
