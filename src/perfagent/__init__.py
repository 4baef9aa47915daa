"""perfagent: a performance agent for Python that the program cannot feel."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.middleware import TimingMiddleware as TimingMiddleware
    from perfagent.exits import close_at_exit as close_at_exit
    from perfagent.exits import on_shutdown as on_shutdown
    from perfagent.exits import shutdown as shutdown
    from perfagent.tracing import init_tracing as init_tracing

# What a program's authors call, and the module that has it: nothing is imported before somebody asks for it.
_PUBLIC = {
    "TimingMiddleware": "perfagent.middleware",
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
