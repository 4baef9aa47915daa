"""What the measuring of browsers is told, beyond PERFAGENT_RUM itself, which the agent reads at its start."""

from __future__ import annotations

from perfagent.settings.options import Text
from perfagent.settings.source import Table


class RumSettings(Table):
    """Pages that measure themselves in the browser; arguments as for `Table`."""

    title = "Browsers"

    url = Text(
        "PERFAGENT_RUM_URL",
        "",
        "Address of a hub as browsers reach it, such as `https://hub.example.com`, or a path of the program's own site "
        "that a proxy hands to a hub, such as `/perfagent`; the user's own hub when left out.",
    )
