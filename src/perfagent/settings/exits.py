"""What graceful shutdown is told."""

from __future__ import annotations

from perfagent.settings.options import Number
from perfagent.settings.source import Table


class ExitSettings(Table):
    """How the program ends; arguments as for `Table`."""

    title = "Graceful shutdown"

    timeout = Number(
        "SHUTDOWN_TIMEOUT",
        10.0,
        "Longest time that all hooks of `on_shutdown` may take; then the process ends without the rest. 0 for ever.",
        "s",
        0,
        86_400,
        others=("PERFAGENT_SHUTDOWN_TIMEOUT",),
    )
