"""What the monitor sends: its own metrics, and one gauge for each that the program records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfagent import settings
from perfagent.runtime.metric import COUNTER, GAUGE, HISTOGRAM, SECONDS, UP_DOWN_COUNTER, registry
from perfagent.runtime.span import Scope

if TYPE_CHECKING:
    from perfagent.runtime.metric import Instrument, Series

scope = Scope("perfagent.monitor")
BLOCKS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bucket bounds of measured blocks in seconds: most are shorter than a request."""
FRAMES = (0.004, 0.0083, 0.0125, 0.0167, 0.025, 0.0333, 0.05, 0.1, 0.25, 0.5, 0.7, 1.0, 2.5)
"""Bucket bounds of frames in seconds: 240, 120, 80, 60, 40, 30, 20 a second …; 0.7 is what Android calls frozen."""
SPEEDS = tuple(1e3 * factor for factor in (10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 1_000_000))
"""Bucket bounds of upload speeds in bytes a second."""
LONGEST = 255  # characters of a name (OpenTelemetry metrics API, "Instrument name syntax")

OWN: dict[str, tuple[str, str, str, tuple[float, ...], tuple[str, ...]]] = {
    "block.duration": (
        HISTOGRAM, "s", "Duration of measured blocks and functions.", BLOCKS,
        ("block", "category", "error.type"),
    ),
    "processing.duration": (HISTOGRAM, "s", "Duration of units of work.", SECONDS, ("outcome",)),
    "user.actions": (COUNTER, "{action}", "Actions of users.", (), ("outcome",)),
    "users.active": (GAUGE, "{user}", "Users seen in the last five minutes.", (), ()),
    "sessions.active": (UP_DOWN_COUNTER, "{session}", "Sessions under way.", (), ()),
    "queue.backlog": (GAUGE, "{item}", "Items that wait in a queue of the program.", (), ("queue",)),
    "page.load.duration": (HISTOGRAM, "s", "How long pages took to load.", SECONDS, ("page",)),
    "ui.frame.duration": (HISTOGRAM, "s", "How long frames of the interface took.", FRAMES, ()),
    "ui.callback.duration": (HISTOGRAM, "s", "Duration of callbacks of the interface.", SECONDS, ("callback",)),
    "ui.upload.speed": (HISTOGRAM, "By/s", "How fast uploads were.", SPEEDS, ()),
    "ui.upload.size": (COUNTER, "By", "Bytes that were uploaded.", (), ()),
    "drift.statistic": (GAUGE, "1", "Kolmogorov-Smirnov statistic of the last comparison.", (), ("feature",)),
    "monitor.alerts": (COUNTER, "{alert}", "Alerts that the monitor raised.", (), ("metric", "severity")),
    "monitor.failures": (COUNTER, "{failure}", "Calls of subscribers that raised an exception.", (), ("kind",)),
}  # fmt: skip
"""Kind, unit, description, bounds and attributes of each, by its name without the namespace."""


def own(name: str) -> Instrument:
    """One of the monitor's own metrics.

    Args:
        name: a key of OWN.
    """
    kind, unit, description, bounds, keys = OWN[name]
    full = f"{settings.current().namespace}.{name}"
    return registry.make(scope, kind, full, unit, description, bounds, keys=keys)


_bound: dict[tuple[str, str], Series] = {}


def bound(name: str, outcome: str = "") -> Series:
    """One of them with a constant attribute, found in 0.1 us.

    Args:
        name: a key of OWN.
        outcome: the attribute's value; "" for none.
    """
    series = _bound.get((name, outcome))
    if series is None:
        series = _bound[name, outcome] = own(name).of({"outcome": outcome} if outcome else None)
    return series


def declare() -> None:
    """Makes every metric of the monitor's own, for the reference page."""
    for name in OWN:
        own(name)


def gauge(name: str, unit: str, category: str) -> Series:
    """The series in the registry of a metric that the program records.

    Args:
        name: as the program gave it.
        unit: as it gave it.
        category: its attribute.

    Raises:
        ValueError: a metric of the monitor's own has that name.
    """
    sent = sanitised(name)
    if sent.lower() in {f"{settings.current().namespace}.{own}".lower() for own in OWN}:
        raise ValueError(f"{name!r} is a metric of the monitor's own; give it another name, such as {'my.' + name!r}")
    return registry.make(scope, GAUGE, sent, unit, "Recorded by the program.", keys=("category",)).of(
        {"category": category}
    )


_FOREIGN = re.compile(r"[^A-Za-z0-9_.\-/]+")


def sanitised(name: str) -> str:
    """A name that OpenTelemetry takes: what it does not know becomes `_`, and it begins with a letter."""
    found = _FOREIGN.sub("_", name.strip())
    return (found if found[:1].isalpha() else f"metric_{found}")[:LONGEST]
