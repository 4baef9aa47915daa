"""What may be limited, how a limit is written, and how a figure is shown."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Limits = dict[str, float]
    """Of each figure the most there may be: a number, seconds or bytes."""

COUNTS = ("queries", "duplicate_queries", "calls", "cache_calls")
"""The same in every run, so one more than allowed is one too many."""
TIMES = ("time", "cpu")
NOISY = (*TIMES, "memory")
"""Different in every run: judged by the best of several."""
WORDS = {
    "queries": "queries",
    "duplicate_queries": "repeated queries",
    "calls": "outgoing calls",
    "cache_calls": "cache calls",
    "time": "time",
    "cpu": "CPU time",
    "memory": "memory",
}
"""Every figure, as a person reads it."""
TIMES_SIGN = "\u00d7"
"""Before how often something happened."""
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_BYTES = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class BudgetError(Exception):
    """A budget is not written as it should be; the text says where and how it is."""


def parse(table: Mapping[str, object], where: str, *, endpoint: bool = False) -> Limits:
    """Limits as a person has written them.

    Args:
        table: of each figure the most; `time="200ms"`, `memory="10MB"`, a bare number is seconds or bytes.
        where: what the table is of, for an error.
        endpoint: whether it is an endpoint's, which has no memory of its own.

    Raises:
        BudgetError: a figure is unknown, or its limit is none.
    """
    found = {}
    for key, value in table.items():
        if key not in WORDS:
            raise BudgetError(f"{where}: {key!r} cannot be limited; what can be: {', '.join(WORDS)}")
        if endpoint and key == "memory":
            raise BudgetError(f"{where}: memory is limited for a test; that of one request cannot be told apart")
        found[key] = _number(key, value, where)
    return found


def _number(key: str, value: object, where: str) -> float:
    units: Mapping[str, float] = _SECONDS if key in TIMES else _BYTES if key == "memory" else {}
    number, factor = value, 1.0
    if isinstance(value, str) and units:
        text = value.strip().lower()
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyzµ").strip()
        unit = text[len(digits) :].strip()
        try:
            number, factor = float(digits), units[unit] if unit else 1.0
        except (ValueError, KeyError):
            number = None
    whole = not units
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 1e15:
        number = None
    if number is None or (whole and number != int(number)):
        example = "a whole number such as 5" if whole else '"200ms" or "1.5s"' if key in TIMES else '"10MB"'
        raise BudgetError(f"{where}: {key}={value!r} is not accepted: {example}")
    return number * factor


def shown(key: str, value: float) -> str:
    """A figure with its unit."""
    if key in TIMES:
        return f"{value * 1e6:.0f} us" if value < 0.001 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
    if key == "memory":
        return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
    return f"{value:.0f}"
