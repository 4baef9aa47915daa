"""Cache hit ratio: which caches serve, which hardly do, and which are too small."""

from __future__ import annotations

from tools.dashboards.boards.shared import hit_ratio, rate
from tools.dashboards.parts import Board, Figure, Graph, Row, Table, Variable

NAMED = '<process>, cache_system=~"$system"'
CACHE = "service_name, cache_system, cache_name"
LEGEND = "{{service_name}} {{cache_system}} {{cache_name}}"
HITS, MISSES, SIZE, MOST = (f"<ns>_cache_{what}" for what in ("hits_total", "misses_total", "size", "max_size"))

ENTRIES = f"sum by ({CACHE}) ({SIZE}{{{NAMED}}})"

BOARD = Board(
    uid="perfagent-cache",
    title="Cache hit ratio",
    tells="Which caches serve, which hardly do, and which are too small.",
    variables=(Variable("system", "System", f"label_values({HITS}{{<process>}}, cache_system)"),),
    rows=(
        Row(
            "Caches",
            (
                Figure(
                    "Hit ratio",
                    "percentunit",
                    {"": hit_ratio(labels=NAMED)},
                    "Share of the look-ups that found something.",
                    limit="cache_hit_rate_percent",
                    most=1,
                    width=6,
                ),
                Figure(
                    "Look-ups",
                    "ops",
                    {"": f"{rate(HITS, NAMED)} + {rate(MISSES, NAMED)}"},
                    "Look-ups in a second.",
                    width=6,
                ),
                Figure(
                    "Misses",
                    "ops",
                    {"": rate(MISSES, NAMED)},
                    "Look-ups in a second that found nothing: the work that is left for what is behind the caches.",
                    width=6,
                ),
                Figure(
                    "Caches in use",
                    "short",
                    {"": f"count (sum by ({CACHE}) (rate({HITS}{{{NAMED}}}[$__rate_interval])) > 0)"},
                    "Caches with at least one hit.",
                    width=6,
                ),
                Graph(
                    "Which caches are hit?",
                    "percentunit",
                    {LEGEND: hit_ratio(CACHE, NAMED)},
                    "Share of the look-ups that found something, by cache. Low ones cost more than they save: a longer "
                    "time to live, a better key, or none.",
                    limit="cache_hit_rate_percent",
                    most=1,
                    width=12,
                    empty="no look-ups in this time",
                ),
                Graph(
                    "How does each service fare?",
                    "percentunit",
                    {"{{service_name}} {{cache_system}}": hit_ratio("service_name, cache_system", NAMED)},
                    "Hit ratio by service and kind of cache.",
                    limit="cache_hit_rate_percent",
                    most=1,
                    width=12,
                    empty="no look-ups in this time",
                ),
                Graph(
                    "How many look-ups hit?",
                    "ops",
                    {LEGEND: f"topk(10, {rate(HITS, NAMED, CACHE)})"},
                    "Hits a second, the ten busiest caches.",
                    stacked=True,
                    width=12,
                ),
                Graph(
                    "How many look-ups miss?",
                    "ops",
                    {LEGEND: f"topk(10, {rate(MISSES, NAMED, CACHE)})"},
                    "Misses a second, the ten worst caches. A peak after a deployment is a cold cache.",
                    stacked=True,
                    width=12,
                ),
            ),
        ),
        Row(
            "Size",
            (
                Graph(
                    "How full are the caches?",
                    "percentunit",
                    {LEGEND: f"topk(10, {ENTRIES} / (sum by ({CACHE}) ({MOST}{{{NAMED}}}) > 0))"},
                    "Entries of those that a cache may hold. Full and hardly hit is too small.",
                    most=1,
                    width=12,
                    empty="no cache with a limit",
                ),
                Graph(
                    "How many entries do they hold?",
                    "short",
                    {LEGEND: f"topk(10, {ENTRIES})"},
                    "Entries, the ten largest caches. One without a limit that only grows is a leak.",
                    width=12,
                ),
                Table(
                    "All caches",
                    "short",
                    {
                        "misses": f"sum by ({CACHE}) (increase({MISSES}{{{NAMED}}}[$__range]))",
                        "hits": f"sum by ({CACHE}) (increase({HITS}{{{NAMED}}}[$__range]))",
                        "hit ratio": f"sum by ({CACHE}) (increase({HITS}{{{NAMED}}}[$__range])) / (sum by ({CACHE}) "
                        f"(increase({HITS}{{{NAMED}}}[$__range])) + sum by ({CACHE}) "
                        f"(increase({MISSES}{{{NAMED}}}[$__range])) > 0)",
                        "entries": ENTRIES,
                        "limit": f"sum by ({CACHE}) ({MOST}{{{NAMED}}})",
                    },
                    "Every cache, the one with the most misses first.",
                    labels={"service_name": "service", "cache_system": "system", "cache_name": "cache"},
                    units={"hit ratio": "percentunit"},
                    limits={"hit ratio": "cache_hit_rate_percent"},
                    height=10,
                ),
            ),
        ),
    ),
)
