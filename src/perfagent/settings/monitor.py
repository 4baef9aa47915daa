"""What the performance monitor is told: how often it looks, how much it keeps, from where it warns."""

from __future__ import annotations

from perfagent.settings.options import Choice, Flag, Number, Text, Whole
from perfagent.settings.source import Table


class MonitorSettings(Table):
    """Options of `get_performance_monitor()`; arguments as for `Table`."""

    title = "Performance monitor"

    enabled = Flag(
        "PERFAGENT_MONITOR",
        True,
        "Whether the performance monitor keeps and sends what the program gives it; without, each call does nothing.",
        others=("PERFORMANCE_MONITORING_ENABLED",),
    )
    interval = Number(
        "PERFORMANCE_MONITORING_INTERVAL",
        10,
        "How often the monitor compares its figures with their thresholds, and how often a subscriber that does not "
        "say gets a snapshot.",
        "s",
        0.1,
        3600,
        others=("PERFAGENT_MONITORING_INTERVAL",),
    )
    batch = Whole(
        "PERFORMANCE_BATCH_SIZE",
        250,
        "How many recorded values of a metric wait before they are worked into its minutes at once.",
        "values",
        1,
        100_000,
        others=("PERFAGENT_BATCH_SIZE",),
    )
    cpu = Number(
        "PERFORMANCE_CPU_THRESHOLD",
        80,
        "CPU of the process, of the processors it may use, from where the monitor warns; critical are 15 more.",
        "%",
        0,
        100,
        others=("PERFAGENT_CPU_THRESHOLD",),
    )
    memory = Number(
        "PERFORMANCE_MEMORY_THRESHOLD",
        80,
        "Memory of the process, of its container or the machine, from where the monitor warns; critical are 10 more.",
        "%",
        0,
        100,
        others=("PERFAGENT_MEMORY_THRESHOLD",),
    )
    log_level = Choice(
        "PERFORMANCE_LOG_LEVEL",
        "warning",
        "The least severe message that the logger `perfagent.monitor` writes: alerts are warnings and errors, their "
        "ends are information.",
        ("debug", "info", "warning", "error", "critical", "off"),
        others=("PERFAGENT_MONITOR_LOG_LEVEL",),
    )
    coarse = Flag(
        "DISABLE_DETAILED_MONITORING",
        False,
        "Keeps minutes alone: no single values, and no spans of measured blocks.",
        others=("PERFAGENT_DISABLE_DETAILED_MONITORING",),
    )
    hours = Whole("PERFAGENT_MONITOR_HOURS", 24, "How long the monitor keeps the minutes of a metric.", "h", 1, 48)
    most = Whole(
        "PERFAGENT_MONITOR_METRICS",
        500,
        "Most metrics that the monitor tells apart, at 100 kB for a full day of each; more are dropped and counted.",
        "metrics",
        1,
        100_000,
    )
    folder = Text(
        "PERFAGENT_MONITOR_DIR", "", "Folder in which the monitor keeps its baseline; left out, in memory alone."
    )
