"""What each zone leaves of the sources, by their priority."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from perfagent.hub.sources.source import Priority
    from perfagent.hub.sources.zones import Zone


class Reach(NamedTuple):
    """What a source may do.

    Args:
        factor: how much longer its interval is; None where it is off.
        window: how many of its intervals are put together to one; 0 for none.
    """

    factor: float | None
    window: int


_FULL = Reach(1.0, 0)
_OFF = Reach(None, 0)
TABLE: dict[Zone, dict[Priority, Reach]] = {
    "green": {"critical": _FULL, "high": _FULL, "normal": _FULL, "low": _FULL},
    "yellow": {"critical": _FULL, "high": _FULL, "normal": _FULL, "low": Reach(3.0, 0)},
    "orange": {"critical": Reach(1.0, 3), "high": Reach(1.0, 4), "normal": _OFF, "low": _OFF},
    "red": {"critical": Reach(1.0, 4), "high": _OFF, "normal": _OFF, "low": _OFF},
    "critical": {"critical": Reach(4.0, 0), "high": _OFF, "normal": _OFF, "low": _OFF},
}
"""A row of several readings, and the sketch of a gauge, in place of each reading: 30 to 70 % fewer rows."""


def reach(zone: Zone, priority: Priority) -> Reach:
    """What a source of this priority may do in a zone."""
    return TABLE[zone][priority]
