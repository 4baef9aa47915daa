"""perfagent: a performance agent for Python that the program cannot feel."""

__version__ = "0.1.0"
__all__ = ["TimingMiddleware", "__version__"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.middleware import TimingMiddleware


def __getattr__(name: str) -> object:
    if name == "TimingMiddleware":  # nothing is imported before somebody asks for it
        from perfagent.middleware import TimingMiddleware

        return TimingMiddleware
    raise AttributeError(f"module 'perfagent' has no attribute {name!r}")
