"""Values with their units, for people."""

from __future__ import annotations

from perfagent.hub.analyse import words

SIZES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def shown(value: float | None, unit: str) -> str:
    """A value in its unit, for people.

    Args:
        value: None for an unknown one.
        unit: as `units.LITERALS` has it; "" for none.
    """
    if value is None:
        return "unknown"
    if unit in ("ms", "s"):
        return words.milliseconds(value * (1000 if unit == "s" else 1))
    if unit == "%":
        return words.percent(value / 100)
    if unit == "B":
        for name, size in SIZES:
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
    return f"{value:.4g} {unit}".rstrip() if abs(value) < 1000 else f"{value:,.0f} {unit}".rstrip()
