"""What the plans of slow statements are told: which statements, and how many."""

from __future__ import annotations

from perfagent.settings.options import Number, Whole
from perfagent.settings.source import Table


class ExplainSettings(Table):
    """Options of the plans; arguments as for `Table`."""

    title = "Plans of slow statements"

    threshold = Number(
        "PERFAGENT_EXPLAIN_THRESHOLD", 100.0, "How long a statement takes at least whose plan is asked for.", "ms", 10
    )
    a_minute = Whole("PERFAGENT_EXPLAIN_PER_MINUTE", 3, "Most plans that are asked for in a minute.", "plans", 1, 60)
    interval = Number(
        "PERFAGENT_EXPLAIN_INTERVAL",
        3600.0,
        "After how long the plan of the same statement is asked for again.",
        "s",
        60,
    )
