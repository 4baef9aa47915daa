"""gRPC servers, of threads and of asyncio: one server span for each call, of all four kinds.

With threads it begins when the call has arrived, so the wait for a free thread counts, and ends when the status has
been sent: a stream's after its last message. With asyncio it is the time in the program's handler and its
interceptors. A call of a method that nobody serves has a span, too, without its name.

Where a call's time went is told for what a thread does for it, and for coroutines; not for asynchronous generators,
which mostly wait until their caller has taken a message.
"""

from __future__ import annotations

import sys

from perfagent.instruments.base import Instrument, passed_over
from perfagent.runtime import guard, http, propagation
from perfagent.runtime.clock import now, time
from perfagent.runtime.context import baggage, current
from perfagent.runtime.rpc import RpcSpan
from perfagent.runtime.span import SERVER, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.timeparts.parts import Parts

ON_THE_WAY = 0.1  # seconds that a call may have taken to arrive
_scope: Scope


class GrpcServer(Instrument):
    """Patches what begins a call and what refuses one; asyncio's server is given an interceptor before all others."""

    name = "grpc_server"
    distribution = "grpcio"
    versions = ("1.60", "2")
    records = "a server span a call, sync and asyncio, unary and streaming, child of the caller's"

    def patch(self, module: ModuleType) -> None:
        global _scope
        _scope = self.scope
        if module.__name__ == "grpc.aio._server":
            from perfagent.instruments import grpc_aio_server

            self.replace(module.Server, "__init__", grpc_aio_server.serving(self.scope, module))
            return
        self.replace(module, "_handle_with_method_handler", _beginning)
        self.replace(module, "_unary_response_in_pool", _working)
        self.replace(module, "_stream_response_in_pool", _working)
        self.replace(module, "_abort", _aborting)
        self.replace(module, "_reject_rpc", _rejecting)

    def unsupported(self, module: ModuleType) -> str:
        import grpc

        return self.out_of_range(getattr(grpc, "__version__", ""))


class CallSpan(RpcSpan):
    """A call that is answered."""

    __slots__ = ("parts", "slot")
    parts: Parts  # while they are timed by parts
    stepped = True
    """Its work is done in another thread than it arrives in, or on an event loop."""

    def __init__(self, scope: Scope, kind: int, parent: Any, method: bytes | str, target: bytes | str) -> None:
        super().__init__(scope, kind, parent, method, target)
        self.slot = -1


@passed_over
def _plainly(span: Any, work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


in_thread = _plainly
"""Calls what this thread does for a call that has a span, or None; while calls are timed by parts, that is."""


def _timing(on: bool) -> None:
    global in_thread
    if not on:
        in_thread = _plainly
        return
    from perfagent.runtime import timeparts
    from perfagent.runtime.timeparts import loops

    @passed_over
    def timed(span: Any, work: Callable[..., Any], *args: Any) -> Any:
        parts = getattr(span, "parts", None)
        if parts is None or parts.closed:
            return work(*args)
        began = now()
        parts.cpu = 0  # known from now on
        if began - parts.began > loops.SLOW_POOL:
            parts.pools = [(parts.began, began)]
        return loops.in_thread(parts, began, work, *args)

    timeparts.measure(CallSpan)
    in_thread = timed


http.when_timed(_timing)


class Ending:
    """Ends the span of a call; among the call's own callbacks, which run when nothing of it is left to do."""

    __slots__ = ("event", "span", "state")

    def __init__(self, span: RpcSpan, state: Any, event: Any) -> None:
        self.span = span
        self.state = state
        self.event = event

    def __call__(self) -> None:
        try:
            span, state = self.span, self.state
            if state.client == "cancelled":
                deadline = self.event.call_details.deadline
                span.code = given_up(span, None if deadline is None else deadline - time())
            elif state.code is not None:
                span.code = state.code
            span.finish()
            self.state = self.event = None
        except Exception:
            guard.failed("grpc_server")


def _beginning(handle: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(rpc_event: Any, state: Any, *args: Any) -> Any:
        try:
            # A Context is made for each call, and all of the program's code for it runs in there.
            span = open_span(_scope, rpc_event.call_details.method or rpc_event.tag, rpc_event.invocation_metadata)
            span.target = rpc_event.call_details.host or ""
            span.peer = rpc_event.call.peer()
            state.perfagent_span = span
            state.context.run(enter, span, rpc_event.invocation_metadata)
            state.callbacks.append(Ending(span, state, rpc_event))
        except Exception:
            guard.failed("grpc_server")
        return handle(rpc_event, state, *args)

    return wrapper


def _working(work: Callable[..., Any]) -> Callable[..., Any]:
    """What a thread of the pool does for a call."""

    def wrapper(rpc_event: Any, state: Any, *args: Any) -> Any:
        try:
            span = getattr(state, "perfagent_span", None)
        except Exception:
            guard.failed("grpc_server")
            span = None
        return in_thread(span, work, rpc_event, state, *args)

    return wrapper


def _aborting(abort: Callable[..., Any]) -> Callable[..., Any]:
    """gRPC's own way out of a call that failed; where an exception is the reason, it is being handled here."""

    def wrapper(state: Any, call: Any, code: Any, details: Any) -> Any:
        span = getattr(state, "perfagent_span", None)
        if span is not None:
            try:
                span.code = int(code)
                error = sys.exc_info()[1]
                if error is not None and not state.aborted:
                    span.fail(error)
            except Exception:
                guard.failed("grpc_server")
        return abort(state, call, code, details)

    return wrapper


def _rejecting(reject: Callable[..., Any]) -> Callable[..., Any]:
    """For a call that reaches no handler: of an unknown method, one too many, or one that an interceptor fails at."""

    def wrapper(rpc_event: Any, rpc_state: Any, status: Any, details: Any) -> Any:
        try:
            span = open_span(_scope, rpc_event.call_details.method or rpc_event.tag, rpc_event.invocation_metadata)
            span.target = rpc_event.call_details.host or ""
            span.peer = rpc_event.call.peer()
            span.code = int(status)
            span.knows = False
            error = sys.exc_info()[1]
            if error is not None:
                span.fail(error)
            span.finish()
        except Exception:
            guard.failed("grpc_server")
        return reject(rpc_event, rpc_state, status, details)

    return wrapper


def open_span(scope: Scope, method: bytes | str, metadata: Iterable[Any]) -> RpcSpan:
    """The span of a call that has just arrived, child of the caller's where its metadata tells of one."""
    return CallSpan(scope, SERVER, propagation.extract(look_up(metadata)), method, "")


def given_up(span: RpcSpan, left: float | None) -> str:
    """The code of a call that its caller has given up.

    A caller's clock began before ours, so at its deadline some time is left here: as long as the call took to arrive.

    Args:
        span: of the call.
        left: seconds until the deadline as it is seen here; None where there is none.
    """
    passed = (now() - span.started) / 1e9
    return "DEADLINE_EXCEEDED" if left is not None and left <= max(ON_THE_WAY, passed / 10) else "CANCELLED"


def look_up(metadata: Iterable[Any]) -> Callable[[str], str | None]:
    """A function that finds a name in metadata, without a copy of it."""

    def find(name: str) -> str | None:
        for key, value in metadata:
            if key == name:
                return value if isinstance(value, str) else None
        return None

    return find


def enter(span: RpcSpan, metadata: Iterable[Any]) -> None:
    """Makes a call's span and baggage the current ones, in a context that is this call's alone."""
    current.set(span)
    carried = propagation.carried(look_up(metadata))
    if carried:
        baggage.set(carried)


instrument = GrpcServer()
