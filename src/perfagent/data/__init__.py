"""Data in bulk: files in chunks, smaller frames, compressed values, measured queries and pages of them.

Its public names are loaded when somebody asks for them: the first one that needs pandas or SQLAlchemy imports it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.data.chunks import AsyncFileProcessor as AsyncFileProcessor
    from perfagent.data.compression import compress_data as compress_data
    from perfagent.data.compression import decompress_data as decompress_data
    from perfagent.data.engines import create_engine as create_engine
    from perfagent.data.frames import memory_report as memory_report
    from perfagent.data.frames import optimize_dataframe_memory as optimize_dataframe_memory
    from perfagent.data.lazy import LazyDataFrame as LazyDataFrame
    from perfagent.data.pages import Page as Page
    from perfagent.data.pages import PaginatedQuery as PaginatedQuery
    from perfagent.data.queries import QueryOptimizer as QueryOptimizer

_PUBLIC = {
    "AsyncFileProcessor": "chunks",
    "LazyDataFrame": "lazy",
    "Page": "pages",
    "PaginatedQuery": "pages",
    "QueryOptimizer": "queries",
    "compress_data": "compression",
    "create_engine": "engines",
    "decompress_data": "compression",
    "memory_report": "frames",
    "optimize_dataframe_memory": "frames",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'perfagent.data' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"perfagent.data.{module}"), name)
    return found
