"""gRPC clients, of threads and of asyncio: one client span for each call that a channel makes, of all four kinds.

It ends when the call's status has arrived, so a stream's when its last message has. The hooks sit below interceptors:
what these answer themselves is no call, and what they send again is one each. What OpenTelemetry's exporters send is
left out. Costs 7 us a call.
"""

from __future__ import annotations

from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, propagation
from perfagent.runtime.context import current
from perfagent.runtime.rpc import RpcSpan
from perfagent.runtime.span import CLIENT, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any

    Call = Callable[..., Any]

_scope: Scope
EXPORTS = b"/opentelemetry.proto.collector."
METADATA = 2  # the position of the metadata among the arguments of a call, after request and timeout


class GrpcClient(Instrument):
    """Patches what makes a call: the four kinds of callables of a channel, and the four kinds of calls of asyncio's."""

    name = "grpc_client"
    distribution = "grpcio"
    versions = ("1.60", "2")
    records = "a client span a call, sync and asyncio, unary and streaming; the context goes along in the metadata"

    def patch(self, module: ModuleType) -> None:
        global _scope
        _scope = self.scope
        if module.__name__ == "grpc.aio._call":
            for kind in ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"):
                self.replace(getattr(module, f"{kind}Call"), "__init__", _calling_in_loop)
            return
        for kind in ("UnaryUnary", "StreamUnary"):
            callable_ = getattr(module, f"_{kind}MultiCallable")
            self.replace(callable_, "_blocking", _blocking)
            self.replace(callable_, "future", _starting)
        for kind in ("UnaryStream", "SingleThreadedUnaryStream", "StreamStream"):
            self.replace(getattr(module, f"_{kind}MultiCallable"), "__call__", _starting)

    def unsupported(self, module: ModuleType) -> str:
        import grpc

        return self.out_of_range(getattr(grpc, "__version__", ""))


class Ending:
    """Ends the span of a call that goes on in the background; given to the call, so it must not hold it."""

    __slots__ = ("span", "state")

    def __init__(self, span: RpcSpan, state: Any) -> None:
        self.span = span
        self.state = state

    def __call__(self) -> None:
        try:
            self.span.code = self.state.code
            self.span.finish()
            self.state = None
        except Exception:
            guard.failed("grpc_client")


class EndingInLoop(Ending):
    """The same for a call of asyncio's, whose status is to be had from a coroutine that does not wait any more."""

    __slots__ = ()

    def __call__(self) -> None:
        try:
            asked, self.state = self.state.status(), None
            try:
                asked.send(None)
            except StopIteration as answer:
                self.span.code = int(answer.value.code())
            finally:
                asked.close()
            self.span.finish()
        except Exception:
            guard.failed("grpc_client")


def _blocking(make: Call) -> Call:
    """For a call that its thread waits for: returns the call's state, whatever became of it."""

    def wrapper(callable_: Any, *args: Any, **options: Any) -> Any:
        span = _open(getattr(callable_, "_method", b""), callable_)
        if span is None:
            return make(callable_, *args, **options)
        args, options = _carrying(span, args, options)
        try:
            made = make(callable_, *args, **options)
        except BaseException as error:
            _failed(span, error)
            raise
        else:
            try:
                span.code = made[0].code
            except Exception:
                guard.failed("grpc_client")
            return made
        finally:
            span.finish()

    return wrapper


def _starting(make: Call) -> Call:
    """For a call that goes on while the program does: a future, or a stream of responses."""

    def wrapper(callable_: Any, *args: Any, **options: Any) -> Any:
        span = _open(getattr(callable_, "_method", b""), callable_)
        if span is None:
            return make(callable_, *args, **options)
        args, options = _carrying(span, args, options)
        try:
            made = make(callable_, *args, **options)
        except BaseException as error:
            _failed(span, error)
            span.finish()
            raise
        try:
            ending = Ending(span, made._state)
            if not made.add_callback(ending):
                ending()
        except Exception:
            guard.failed("grpc_client")
        return made

    return wrapper


def _calling_in_loop(make: Call) -> Call:
    def __init__(  # noqa: N807
        call: Any, request: Any, deadline: Any, metadata: Any, credentials: Any, wait_for_ready: Any, channel: Any,
        method: bytes, *args: Any, **options: Any,
    ) -> None:  # fmt: skip
        rest = (credentials, wait_for_ready, channel, method, *args)
        span = _open(method, channel)
        if span is None:
            make(call, request, deadline, metadata, *rest, **options)
            return
        try:
            metadata = _with_context(span, metadata)
        except Exception:
            guard.failed("grpc_client")
        try:
            make(call, request, deadline, metadata, *rest, **options)
        except BaseException as error:
            _failed(span, error)
            span.finish()
            raise
        try:
            under_way = call._cython_call
            under_way.add_done_callback(EndingInLoop(span, under_way))
        except Exception:
            guard.failed("grpc_client")

    return __init__


def _open(method: bytes, channel: Any) -> RpcSpan | None:
    try:
        parent = current.get()
        if method.startswith(EXPORTS) or (parent is not None and parent.kind == CLIENT and not parent.ended):
            return None
        # Of a callable, or of a channel of asyncio's; versions that tell neither leave the address out.
        target: Any = getattr(channel, "_target", None) or getattr(channel, "target", b"")
        return RpcSpan(_scope, CLIENT, parent, method, target)
    except Exception:
        guard.failed("grpc_client")
        return None


def _carrying(span: RpcSpan, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with the context in their metadata."""
    try:
        if len(args) > METADATA:
            return (*args[:METADATA], _with_context(span, args[METADATA]), *args[METADATA + 1 :]), options
        return args, {**options, "metadata": _with_context(span, options.get("metadata"))}
    except Exception:
        guard.failed("grpc_client")
        return args, options


def _with_context(span: RpcSpan, metadata: Iterable[tuple[str, Any]] | None) -> tuple[tuple[str, Any], ...]:
    """The program's metadata, and the context in the place of what it may have put there itself."""
    carried: dict[str, str] = {}
    propagation.inject(carried.__setitem__, span)
    own = () if metadata is None else [pair for pair in metadata if pair[0] not in carried]
    return (*own, *carried.items())


def _failed(span: RpcSpan, error: BaseException) -> None:
    """For a call that was never made; where its request cannot be written, the error tells a code."""
    span.fail(error)
    try:
        code = getattr(error, "code", None)
        span.code = code() if callable(code) else ""
    except Exception:
        guard.failed("grpc_client")


instrument = GrpcClient()
