"""What the always-on profiler is told, beyond PERFAGENT_PROFILER itself, which the agent reads at its start."""

from __future__ import annotations

from perfagent.settings.options import Number, Text, Whole, Words
from perfagent.settings.source import Table


class ProfilerSettings(Table):
    """The always-on profiler; arguments as for `Table`."""

    title = "Profiler"

    rate = Number(
        "PERFAGENT_PROFILER_RATE",
        25,
        "How often a second it looks at what runs, at most; it looks less often where that would cost too much, and "
        "hardly at all while nothing runs.",
        "Hz",
        1,
        500,
    )
    depth = Whole(
        "PERFAGENT_PROFILER_DEPTH", 128, "Calls of a stack that are told, from the innermost.", "calls", 8, 1000
    )
    tasks = Number(
        "PERFAGENT_PROFILER_TASK_RATE",
        5,
        "How often a second it looks at the asyncio tasks that wait, at most; 0 for never.",
        "Hz",
        0,
        100,
    )
    exporter = Words("OTEL_PROFILES_EXPORTER", ("otlp",), "Where profiles go: `otlp` or `none`.")
    endpoint = Text(
        "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
        "",
        "Full address for profiles; else the base and /v1development/profiles.",
    )
