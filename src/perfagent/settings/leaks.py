"""What the search for memory leaks is told: how often it looks, and whether it may trace allocations."""

from __future__ import annotations

from perfagent.settings.options import Flag, Number
from perfagent.settings.source import Table


class LeakSettings(Table):
    """Options of the search for leaks; arguments as for `Table`."""

    title = "Memory leaks"

    interval = Number(
        "PERFAGENT_LEAK_INTERVAL",
        60,
        "Time between two looks at what the program's containers and objects have become; ten that find growth make a "
        "suspect.",
        "s",
        0.2,
        3600,
    )
    sites = Flag(
        "PERFAGENT_LEAK_SITES",
        True,
        "Traces allocations for some seconds once something grows steadily, to tell the line that makes what leaks.",
    )
