"""Whether the optimizer tries anything."""

from __future__ import annotations

from perfagent.settings.options import Flag
from perfagent.settings.source import Table


class OptimizerSettings(Table):
    """Whether the optimizer tries anything; arguments as for `Table`."""

    title = "Optimizer"

    enabled = Flag(
        "OPTIMIZER_ENABLED",
        False,
        "Whether parameters of `perfagent.Optimizer` are tuned; else each has its start value, such as "
        "ANALYTICS_CHUNK_SIZE for `chunk_size` and ANALYTICS_MAX_WORKERS for `max_workers`.",
    )
