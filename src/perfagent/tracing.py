"""init_tracing: starts the agent from the program's own code, and gives a tracer that needs no other package."""

from __future__ import annotations

from perfagent import settings as options
from perfagent.runtime.context import current
from perfagent.runtime.decorated import within
from perfagent.runtime.span import INTERNAL, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])


def init_tracing(service: str) -> Tracer:
    """Starts the agent, unless `perfagent run` has, and names the service.

    Libraries that the program imports from now on are measured, and most of those that it has imported. Where spans go
    is told by OTEL_EXPORTER_OTLP_ENDPOINT, or JAEGER_ENDPOINT, or a hub that runs. A program that uses OpenTelemetry's
    API gets the same spans from `opentelemetry.trace.get_tracer`.

    Args:
        service: the service's name; OTEL_SERVICE_NAME, or `service.name` in OTEL_RESOURCE_ATTRIBUTES, wins.

    Returns:
        A tracer named after the service; OpenTelemetry's own where PERFAGENT_PIPELINE=sdk.

    Raises:
        ValueError: `service` is no text, or an empty one.
    """
    if not isinstance(service, str) or not service.strip():
        raise ValueError(f'service={service!r} is not accepted: the name of the service, such as init_tracing("shop")')
    from perfagent.launch import start

    settings = options.current()
    if not settings.service_name and "service.name" not in settings.resource_attributes:
        settings.__dict__["service_name"] = service
    if not settings.disabled and not start.from_program(settings):
        from opentelemetry import trace

        return trace.get_tracer(service)  # type: ignore[no-any-return]
    return Tracer(service)


class Tracer:
    """Makes spans of the program's own work.

    Args:
        name: the instrumentation scope.
        version: its version, or "".
    """

    def __init__(self, name: str, version: str = "") -> None:
        self.scope = Scope(name, version)

    def start_span(self, name: str, *, attributes: Mapping[str, object] | None = None) -> Span:
        """A span below the current one, not made current itself; call its `end()`, or leave it as a block.

        Args:
            name: few different ones: what varies is an attribute.
            attributes: texts, booleans, numbers, or lists of one of these.
        """
        span = Span(self.scope, name, INTERNAL, current.get())
        if attributes:
            span.set_attributes(attributes)
        return span

    def start_as_current_span(self, name: str, *, attributes: Mapping[str, object] | None = None) -> Block:
        """The same as a block or a decorator, of coroutine functions too: what is called within belongs to it.

        An exception that leaves it is recorded and goes on.
        """
        return Block(self, name, attributes)


class Block:
    """A span that is made, current, and ended with a block or with each call of a function.

    Args:
        tracer: makes the span.
        name: of the span.
        attributes: of the span.
    """

    __slots__ = ("attributes", "name", "span", "token", "tracer")

    def __init__(self, tracer: Tracer, name: str, attributes: Mapping[str, object] | None) -> None:
        self.tracer = tracer
        self.name = name
        self.attributes = attributes

    def __enter__(self) -> Span:
        self.span = self.tracer.start_span(self.name, attributes=self.attributes)
        self.token = current.set(self.span)
        return self.span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            current.reset(self.token)
        except (ValueError, RuntimeError):  # left elsewhere than entered, as a generator that another task closes
            pass
        self.span.__exit__(kind, error if isinstance(error, Exception) else None, traceback)

    def __call__(self, function: Function) -> Function:
        """Decorates a function or a coroutine function: each call gets a span."""
        from functools import partial

        return within(partial(Block, self.tracer, self.name, self.attributes), function)
