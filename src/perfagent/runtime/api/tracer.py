"""OpenTelemetry's tracer provider and tracers on our runtime."""

# mypy: allow-subclassing-any
from __future__ import annotations

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from perfagent.runtime import guard, outbox
from perfagent.runtime.api.context import StandIn, parent_above, parent_in
from perfagent.runtime.api.handover import asked
from perfagent.runtime.api.resource import Resource
from perfagent.runtime.api.scopes import MOST, Scopes
from perfagent.runtime.api.span import ProgramSpan, failure
from perfagent.runtime.context import current
from perfagent.runtime.decorated import within
from perfagent.runtime.span import CLIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Token
    from types import TracebackType
    from typing import Any, TypeVar

    from opentelemetry.context.context import Context

    from perfagent.runtime.span import Scope

    Function = TypeVar("Function", bound=Callable[..., Any])

INSTRUMENTORS = ("opentelemetry.instrumentation.", "openinference.instrumentation.")
"""How the tracers of instrumentors are named: their CLIENT spans stand for all that a library does below them."""


class TracerProvider(trace.TracerProvider):
    """Makes tracers whose spans go out by perfagent; the global one until the program sets its own."""

    def __init__(self) -> None:
        self._scopes = Scopes()
        self._tracers: dict[Scope, Tracer] = {}
        self._successor: trace.TracerProvider | None = None
        self._told = False

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> trace.Tracer:
        """See opentelemetry.trace.TracerProvider; the same arguments give the same tracer."""
        scope = self._scopes.of(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        if self._successor is not None:
            return self._successor.get_tracer(*asked(scope))
        tracer = self._tracers.get(scope)
        if tracer is None:
            tracer = Tracer(scope)
            if len(self._tracers) < MOST:
                tracer = self._tracers.setdefault(scope, tracer)
        return tracer

    def hand_over(self, successor: trace.TracerProvider) -> None:
        """The program has set its own provider: every tracer that came from here now makes spans of that one."""
        if successor is self:
            return
        self._successor = successor
        for scope, tracer in self._tracers.copy().items():
            tracer.become(successor.get_tracer(*asked(scope)))

    @property
    def resource(self) -> Resource:
        """Who sends, as the SDK's provider tells it."""
        return Resource()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what has ended. Returns whether all of it was delivered within the time."""
        return outbox.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Sends what has ended. Our own spans go on, so nothing is closed; the agent does that at exit."""
        outbox.flush(2.0)

    def add_span_processor(self, span_processor: object) -> None:
        """Warns: processors are the SDK's; PERFAGENT_PIPELINE=sdk has them."""
        if not self._told:
            self._told = True
            from logging import getLogger

            getLogger("perfagent").warning(
                "%s is not added: perfagent's lean pipeline has no span processors; set PERFAGENT_PIPELINE=sdk",
                type(span_processor).__name__,
            )


class Tracer(trace.Tracer):
    """A tracer of the program.

    Args:
        scope: who asked for it.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._measures = scope.name.startswith(INSTRUMENTORS)

    def become(self, successor: trace.Tracer) -> None:
        """Makes spans by another tracer from now on."""
        # Attributes of the instance stand before the class' methods: nobody pays for a test in each call.
        self.start_span = successor.start_span  # type: ignore[method-assign]
        self.start_as_current_span = successor.start_as_current_span  # type: ignore[method-assign]

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """See opentelemetry.trace.Tracer."""
        parent = parent_above() if context is None else parent_in(context)
        if self._measures and kind is SpanKind.CLIENT:
            kind = CLIENT
        span = ProgramSpan(self.scope, name, kind, parent, record_exception, set_status_on_exception)
        if attributes or links or start_time is not None:
            try:
                span.prepare(attributes, links, start_time)
            except Exception:
                guard.failed("tracer")
        return span

    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Activation:
        """See opentelemetry.trace.Tracer; a context manager, or a decorator of functions, async ones too."""
        return Activation(
            self,
            (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception),
            end_on_exit,
        )


class Activation:
    """A span that is made, current and ended with a block or with each call of a function.

    Args:
        tracer: makes the span.
        arguments: of `start_span`.
        end_on_exit: whether the span ends with the block.
    """

    __slots__ = ("arguments", "end_on_exit", "span", "token", "tracer")

    def __init__(self, tracer: trace.Tracer, arguments: tuple[Any, ...], end_on_exit: bool) -> None:
        self.tracer = tracer
        self.arguments = arguments
        self.end_on_exit = end_on_exit

    def __enter__(self) -> trace.Span:
        span: Any = self.tracer.start_span(*self.arguments)
        self.span = span
        self.token: Any
        if type(span) is ProgramSpan and type(current.get()) is not StandIn:
            self.token = current.set(span)
        else:  # a span of the program's own provider, or suppression to be kept up
            self.token = (context_api.attach(trace.set_span_in_context(span)),)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _leave(self.token)
        span: Any = self.span
        if error is not None and isinstance(error, Exception):
            if type(span) is ProgramSpan:
                span.left_by(error, escaped=False)
            elif span.is_recording():
                records, sets_status = self.arguments[-2:]
                if records:
                    span.record_exception(error)
                if sets_status:
                    span.set_status(trace.Status(*failure(error)))
        if self.end_on_exit:
            span.end()

    def __call__(self, function: Function) -> Function:
        """Decorates a function or a coroutine function: each call gets a span."""
        from functools import partial

        return within(partial(Activation, self.tracer, self.arguments, self.end_on_exit), function)


def _leave(token: Token[Any] | tuple[Any]) -> None:
    if type(token) is tuple:
        context_api.detach(token[0])
        return
    try:
        current.reset(token)  # type: ignore[arg-type]
    except (ValueError, RuntimeError):  # left elsewhere than entered, as a generator that another task closes
        return
