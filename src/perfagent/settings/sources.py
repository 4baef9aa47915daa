"""What the hub is told of its sources: what it collects by itself."""

from __future__ import annotations

from perfagent.settings.options import Flag, Words
from perfagent.settings.source import Table


class SourceSettings(Table):
    """Options of the hub's sources; arguments as for `Table`."""

    title = "Sources of the hub"

    declared = Words(
        "PERFAGENT_SOURCES",
        (),
        "What the hub collects from besides the `[[source]]` tables of a settings file: addresses such as "
        "`postgresql://monitor@db/shop`, `mysql://…`, `redis://…` and `https://…`, or `name=address`.",
    )
    system = Flag(
        "PERFAGENT_SOURCE_SYSTEM",
        True,
        "Whether the hub measures its own machine and its container each 15 s, for 0.6 % of one core at most: 2 ms to "
        "look, the rest to store it, where nothing else is to be stored.",
    )
    adaptive = Flag(
        "PERFAGENT_ADAPTIVE_INTERVALS",
        True,
        "Whether sources collect less often, and less important ones not at all, while the hub's machine is loaded.",
        others=("ENABLE_ADAPTIVE_INTERVALS",),
    )
    compression = Flag(
        "PERFAGENT_METRIC_COMPRESSION",
        True,
        "Whether points of sources are put together over time while the hub's machine is loaded; counts and sums stay "
        "exact, percentiles within 1.1 %.",
        others=("ENABLE_METRIC_COMPRESSION",),
    )
