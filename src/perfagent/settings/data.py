"""Options of the library's data part: chunks, compression, queries and pages."""

from __future__ import annotations

from perfagent.settings.options import Number, Whole
from perfagent.settings.source import Table


class DataSettings(Table):
    """What files are read by and queries are cached by; arguments as for `Table`."""

    title = "Data"

    chunk_size = Whole(
        "ANALYTICS_CHUNK_SIZE", 50_000, "Most rows of a chunk; fewer where the memory asks for it.", "rows", 1
    )
    max_memory_mb = Whole(
        "ANALYTICS_MAX_MEMORY_MB", 512, "Most memory that reading one file may take, chunks included.", "MB", 16
    )
    max_workers = Whole(
        "ANALYTICS_MAX_WORKERS", 4, "Threads that work on the chunks of a file at the same time.", "threads", 1, 256
    )
    max_unpacked_mb = Number(
        "PERFAGENT_DATA_MAX_UNPACKED_MB", 256, "Largest result of decompress_data, against bombs.", "MB", 0.001
    )
    query_ttl = Number("PERFAGENT_QUERY_CACHE_TTL", 60, "How long a cached result of a query serves.", "s", 0)
    query_rows = Whole("PERFAGENT_QUERY_CACHE_ROWS", 100_000, "Most rows that the cache of queries holds.", "rows", 0)
    slow_query = Number("PERFAGENT_SLOW_QUERY_SECONDS", 0.5, "From when on a statement counts as slow.", "s", 0)
    page_size = Whole("PERFAGENT_PAGE_SIZE", 100, "Rows of a page of PaginatedQuery.", "rows", 1, 100_000)
    pool_size = Whole("PERFAGENT_POOL_SIZE", 5, "Connections that an engine keeps open.", "connections", 1)
    pool_overflow = Whole("PERFAGENT_POOL_OVERFLOW", 10, "Further connections in a rush.", "connections", 0)
    pool_timeout = Number("PERFAGENT_POOL_TIMEOUT", 30, "Longest wait for a connection of the pool.", "s", 0.001)
    pool_recycle = Whole("PERFAGENT_POOL_RECYCLE", 1800, "Age at which a connection is replaced.", "s", 1)
