"""The dashboards, one module each."""

from __future__ import annotations

from tools.dashboards.boards import cache, database, deprecations, latency, load, platform, runtime

BOARDS = (
    platform.BOARD,
    latency.BOARD,
    database.BOARD,
    cache.BOARD,
    runtime.BOARD,
    deprecations.BOARD,
    load.BOARD,
)
