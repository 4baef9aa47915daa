"""What the estimate of a cache's worth is told, beyond PERFAGENT_CACHE_ECONOMICS itself."""

from __future__ import annotations

from perfagent.settings.options import Choice
from perfagent.settings.source import Table


class EconomicsSettings(Table):
    """Options of cache economics; arguments as for `Table`."""

    title = "Cache economics"

    keys = Choice(
        "PERFAGENT_CACHE_KEYS",
        "shape",
        "How the keys that are asked for most are told: `shape`, only what many keys have in common, such as "
        "`user:{}:profile`; `hash`, also a hash of each, which short keys can be guessed from; `full`, as they are.",
        ("shape", "hash", "full"),
    )
