"""What the caches are told."""

from __future__ import annotations

from perfagent.settings.options import Choice, Flag, Number, Text, Whole
from perfagent.settings.source import Table

YEARS = 315_360_000  # ten of them, in seconds


class CacheSettings(Table):
    """Where `get_cache()` and the decorators keep values, and for how long; arguments as for `Table`."""

    title = "Caches"

    type = Choice(
        "CACHE_TYPE",
        "memory",
        "Where values are kept: `memory`, of this process; `redis`, shared; `disk`, of this machine; `intelligent`, "
        "all three, the faster ones filled from the slower.",
        ("memory", "redis", "disk", "intelligent"),
    )
    name = Text("CACHE_NAME", "default", "The name of that cache, as `cache.name` of its metrics.")
    prefix = Text("CACHE_PREFIX", "perfagent", "First part of every key in Redis and on disk; one an application.")
    version = Text("CACHE_VERSION", "1", "Part of every key: raise it where values change their meaning.")
    default_ttl = Number(
        "CACHE_DEFAULT_TTL", 3600.0, "How long a value is good for, where the code does not say.", "s", 0.001, YEARS
    )
    jitter = Number(
        "CACHE_TTL_JITTER",
        0.0,
        "Share of its time by which a value may end early, at random, so that many do not end at once.",
        "",
        0,
        0.9,
    )
    cleanup_interval = Number(
        "CACHE_CLEANUP_INTERVAL", 300.0, "How often expired values are removed; 0 never.", "s", 0, 86_400
    )
    serializer = Choice(
        "CACHE_SERIALIZER",
        "safe",
        "How values are written: `safe` runs no code when it reads; `pickle` takes any value, and whoever may write to "
        "the store may run code in the program.",
        ("safe", "pickle"),
    )
    max_value = Whole("CACHE_MAX_VALUE", 67_108_864, "Largest value, unpacked, in Redis and on disk.", "By", 1024)

    l1_size = Whole("CACHE_L1_SIZE", 10_000, "Most values in memory.", "entries", 1, others=("CACHE_MAX_SIZE",))
    l1_ttl = Number(
        "CACHE_L1_TTL",
        5.0,
        "Longest time in memory where Redis is there too (`intelligent`): so long another process may not notice an "
        "invalidation.",
        "s",
        0.001,
        YEARS,
    )

    url = Text("CACHE_URL", "", "Address of Redis, such as redis://cache:6379/0 or rediss://…; wins over the parts.")
    host = Text("CACHE_HOST", "localhost", "Where Redis listens.")
    port = Whole("CACHE_PORT", 6379, "Its port.", "", 1, 65_535)
    database = Whole("CACHE_DATABASE", 0, "Its database.", "", 0, 1_000_000)
    username = Text("CACHE_USERNAME", "", "Who signs in there.")
    password = Text("CACHE_PASSWORD", "", "The password for that.")
    tls = Flag("CACHE_TLS", False, "Whether the connection is encrypted.")
    tls_ca_file = Text("CACHE_TLS_CA_FILE", "", "Certificates that Redis is checked by; the system's when left out.")
    timeout = Number("CACHE_TIMEOUT", 0.5, "Longest wait for one answer of Redis.", "s", 0.001, 60)

    disk_path = Text(
        "CACHE_L3_PATH",
        "",
        "Folder of what is kept on disk; `~/.cache/perfagent/values` when left out.",
        others=("CACHE_DISK_PATH",),
    )
    disk_ttl = Number("CACHE_L3_TTL", 86_400.0, "Longest time on disk.", "s", 0.001, YEARS)
    disk_entries = Whole(
        "CACHE_MAX_SIZE", 100_000, "Most values on disk; in memory where CACHE_L1_SIZE is not set.", "entries", 1
    )
    disk_size = Whole("CACHE_DISK_SIZE", 1024, "Most room on disk.", "MiB", 1)
