"""Units: what a number with one is in the unit of what it is compared with."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """What a figure counts in.

    Args:
        dimension: time, bytes, share, or "" for anything else.
        factor: one of it in seconds, bytes, or as a share of 1.
    """

    dimension: str
    factor: float


PLAIN, SHARE = Unit("", 1.0), Unit("share", 1.0)
LITERALS: dict[str, Unit] = {
    "ns": Unit("time", 1e-9), "us": Unit("time", 1e-6), "ms": Unit("time", 1e-3), "s": Unit("time", 1.0),
    "m": Unit("time", 60.0), "min": Unit("time", 60.0), "h": Unit("time", 3600.0), "d": Unit("time", 86_400.0),
    "%": Unit("share", 0.01),
    "B": Unit("bytes", 1.0), "kB": Unit("bytes", 1e3), "KB": Unit("bytes", 1e3), "MB": Unit("bytes", 1e6),
    "GB": Unit("bytes", 1e9), "TB": Unit("bytes", 1e12), "KiB": Unit("bytes", 2.0**10),
    "MiB": Unit("bytes", 2.0**20), "GiB": Unit("bytes", 2.0**30), "TiB": Unit("bytes", 2.0**40),
}  # fmt: skip
"""The units that a number may have in an expression."""
_UCUM: dict[str, Unit] = {
    **{name: unit for name, unit in LITERALS.items() if name != "B"},
    "1": SHARE, "By": Unit("bytes", 1.0), "kBy": Unit("bytes", 1e3), "MBy": Unit("bytes", 1e6),
    "GBy": Unit("bytes", 1e9), "KiBy": Unit("bytes", 2.0**10), "MiBy": Unit("bytes", 2.0**20),
    "GiBy": Unit("bytes", 2.0**30), "{MB}": Unit("bytes", 1e6), "bytes": Unit("bytes", 1.0),
    "seconds": Unit("time", 1.0), "percent": Unit("share", 0.01),
}  # fmt: skip
WORDS = {"time": "a time", "bytes": "a size", "share": "a share", "": "a plain number"}


def of_metric(unit: str) -> Unit:
    """The unit of a metric, by UCUM, or as people write it."""
    return _UCUM.get(unit.removesuffix("/s"), PLAIN)
