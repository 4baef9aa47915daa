"""What `perfagent index` and `advise_indexes` are told."""

from __future__ import annotations

from perfagent.settings.options import Text
from perfagent.settings.source import Table


class IndexSettings(Table):
    """The database that advice is for; arguments as for `Table`."""

    title = "Index advice"

    url = Text(
        "PERFAGENT_DATABASE_URL",
        "",
        "The database that `perfagent index` looks at, such as postgresql://user@host/database.",
        others=("DATABASE_URL",),
    )
