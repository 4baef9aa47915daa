"""How the process is: CPU, memory, threads, garbage collection, event loop, caches; read off the request path."""

from __future__ import annotations

from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from perfagent.settings import Settings

    WhenImported = Callable[[str, Callable[[ModuleType], None]], None]

scope = Scope("perfagent.vitals", schema_url="https://opentelemetry.io/schemas/1.44.0")
"""Who measures vital signs; by this name the pipeline knows what is no news of a process that did nothing else."""


def install(settings: Settings, when_imported: WhenImported | None = None) -> None:
    """Registers every vital sign's metrics; they are read when metrics are collected.

    Args:
        settings: the namespace of our own names, and what is switched off.
        when_imported: calls back with a module once the program has imported it; without it, event loops and
            functools caches are not measured.
    """
    from perfagent.vitals import garbage, process

    process.install(settings.namespace)
    garbage.install(settings.namespace)
    if when_imported is None:
        return
    from perfagent.vitals import eventloop

    eventloop.install(settings.namespace, when_imported)
    if settings.lru_caches:
        from perfagent.vitals import caches

        caches.install(settings.namespace, when_imported)
