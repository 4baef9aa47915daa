"""What a test is held against: `p99<250ms`, `errors<1%`, `rate>=95`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FORM = re.compile(r"(p\d{1,2}(?:\.\d+)?|p100|mean|max|errors|rate)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|%|/s)?")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
UNITS = {"errors": ("%",), "rate": ("/s", None)}  # of times: one of SECONDS


@dataclass(frozen=True, slots=True)
class Expectation:
    """A limit of one figure; `limit` is in seconds, as a ratio, or a second."""

    text: str
    figure: str
    sign: str
    limit: float

    def holds(self, value: float | None) -> bool:
        """Whether a value keeps it; what nobody knows does not."""
        return value is not None and COMPARE[self.sign](value, self.limit)


def parse(text: str) -> Expectation:
    """The expectation that a text states; raises ValueError, which tells the form."""
    match = FORM.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no expectation such as p99<250ms, mean<=0.1s, max<2s, errors<1% or rate>=95")
    figure, sign, number, unit = match.groups()
    accepted: tuple[str | None, ...] = UNITS.get(figure, tuple(SECONDS))
    if unit not in accepted:
        raise ValueError(f"{text!r}: {figure} is in {', '.join(filter(None, accepted))}")
    factor = SECONDS.get(unit, 1.0) if figure not in UNITS else 0.01 if unit == "%" else 1.0
    return Expectation(text.strip(), figure, sign, float(number) * factor)
