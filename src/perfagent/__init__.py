"""perfagent: a performance agent for Python that the program cannot feel.

PYTEST_DONT_REWRITE: under `perfagent run pytest` it is there before pytest is, which warns of such plugins' packages.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import deprecated as deprecated  # what type checkers know; at run time it is ours

    from perfagent.cache import Cache as Cache
    from perfagent.cache import cache_with_lock as cache_with_lock
    from perfagent.cache import cacheable as cacheable
    from perfagent.cache import cached as cached
    from perfagent.cache import get_cache as get_cache
    from perfagent.data.chunks import AsyncFileProcessor as AsyncFileProcessor
    from perfagent.data.compression import compress_data as compress_data
    from perfagent.data.compression import decompress_data as decompress_data
    from perfagent.data.frames import optimize_dataframe_memory as optimize_dataframe_memory
    from perfagent.data.indexes.advise import advise_indexes as advise_indexes
    from perfagent.data.pages import PaginatedQuery as PaginatedQuery
    from perfagent.data.queries import QueryOptimizer as QueryOptimizer
    from perfagent.exits import close_at_exit as close_at_exit
    from perfagent.exits import on_shutdown as on_shutdown
    from perfagent.exits import shutdown as shutdown
    from perfagent.middleware import TimingMiddleware as TimingMiddleware
    from perfagent.monitor import PerformanceMonitor as PerformanceMonitor
    from perfagent.monitor import get_performance_monitor as get_performance_monitor
    from perfagent.optimizer import Optimizer as Optimizer
    from perfagent.optimizer import get_optimizer as get_optimizer
    from perfagent.resilience.breakers import CircuitOpenError as CircuitOpenError
    from perfagent.resilience.breakers import circuit_breaker as circuit_breaker
    from perfagent.resilience.breakers import get_breaker as get_breaker
    from perfagent.resilience.breakers import load_breakers as load_breakers
    from perfagent.resilience.budgets import alert_if_exhausted as alert_if_exhausted
    from perfagent.resilience.budgets import get_remaining_budget as get_remaining_budget
    from perfagent.resilience.budgets import on_budget_exhausted as on_budget_exhausted
    from perfagent.resilience.budgets import record_error as record_error
    from perfagent.resilience.limits import get_resource_limits as get_resource_limits
    from perfagent.resilience.limits.tasks import background_task as background_task
    from perfagent.resilience.limits.tasks import throttle as throttle
    from perfagent.resilience.replication import start_replication_monitor as start_replication_monitor
    from perfagent.tracing import init_tracing as init_tracing

# What a program's authors call, and the module that has it: nothing is imported before somebody asks for it.
_PUBLIC = {
    "AsyncFileProcessor": "perfagent.data.chunks",
    "PaginatedQuery": "perfagent.data.pages",
    "QueryOptimizer": "perfagent.data.queries",
    "compress_data": "perfagent.data.compression",
    "decompress_data": "perfagent.data.compression",
    "optimize_dataframe_memory": "perfagent.data.frames",
    "Optimizer": "perfagent.optimizer",
    "get_optimizer": "perfagent.optimizer",
    "Cache": "perfagent.cache",
    "cache_with_lock": "perfagent.cache",
    "cacheable": "perfagent.cache",
    "cached": "perfagent.cache",
    "get_cache": "perfagent.cache",
    "advise_indexes": "perfagent.data.indexes.advise",
    "background_task": "perfagent.resilience.limits.tasks",
    "throttle": "perfagent.resilience.limits.tasks",
    "get_resource_limits": "perfagent.resilience.limits",
    "start_replication_monitor": "perfagent.resilience.replication",
    "record_error": "perfagent.resilience.budgets",
    "get_remaining_budget": "perfagent.resilience.budgets",
    "alert_if_exhausted": "perfagent.resilience.budgets",
    "on_budget_exhausted": "perfagent.resilience.budgets",
    "circuit_breaker": "perfagent.resilience.breakers",
    "get_breaker": "perfagent.resilience.breakers",
    "load_breakers": "perfagent.resilience.breakers",
    "CircuitOpenError": "perfagent.resilience.breakers",
    "PerformanceMonitor": "perfagent.monitor",
    "get_performance_monitor": "perfagent.monitor",
    "TimingMiddleware": "perfagent.middleware",
    "deprecated": "perfagent.resilience.deprecations.decorator",
    "init_tracing": "perfagent.tracing",
    "on_shutdown": "perfagent.exits",
    "close_at_exit": "perfagent.exits",
    "shutdown": "perfagent.exits",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'perfagent' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
