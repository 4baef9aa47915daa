"""How the process is: CPU, memory, threads, garbage collection, event loop, caches; read off the request path."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings


def install(settings: Settings) -> None:
    """Registers every vital sign's metrics; they are read when metrics are collected."""
