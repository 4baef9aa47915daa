"""asyncio's gRPC server: an interceptor before the program's own, which wraps the handler that is found.

Each call runs in a task of its own, so what is set in its context reaches nobody else. A handler's wrapper is of the
handler's kind, for gRPC looks whether it is a coroutine function, an asynchronous generator, or neither.
"""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from contextvars import Context, copy_context

from perfagent.instruments import answering, grpc_server
from perfagent.instruments.grpc_server import enter, given_up, open_span
from perfagent.runtime import guard
from perfagent.runtime.carriers import carries
from perfagent.runtime.rpc import code_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.rpc import RpcSpan
    from perfagent.runtime.span import Scope

    Begin = Callable[..., RpcSpan | None]

MOST = 1024  # methods whose wrapped handlers are remembered
END = object()


def serving(scope: Scope, module: ModuleType) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What replaces the `__init__` of a server.

    Args:
        scope: of the spans.
        module: `grpc.aio._server`.
    """
    kind = type("Measuring", (Measuring, module.ServerInterceptor), {"__slots__": ()})

    def make(construct: Callable[..., None]) -> Callable[..., None]:
        def __init__(  # noqa: N807
            server: Any, thread_pool: Any, generic_handlers: Any, interceptors: Any, *args: Any, **options: Any
        ) -> None:
            try:
                interceptors = (kind(scope), *(interceptors or ()))
            except Exception:
                guard.failed("grpc_server")
            construct(server, thread_pool, generic_handlers, interceptors, *args, **options)

        return __init__

    return make


class Measuring:
    """The interceptor of one server.

    Args:
        scope: of the spans.
    """

    __slots__ = ("_scope", "_wrapped")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The handler of a call, wrapped; one of a method is wrapped once, unless each call has a new one."""
        handler = await continuation(handler_call_details)
        try:
            method = handler_call_details.method
            if handler is None:
                span = open_span(self._scope, method, handler_call_details.invocation_metadata)
                span.code, span.knows = "UNIMPLEMENTED", False
                span.finish()
                return None
            known = self._wrapped.get(method)
            if known is not None and known[0] is handler:
                return known[1]
            wrapped = _wrapped(self._scope, method, handler)
            if len(self._wrapped) < MOST:
                self._wrapped[method] = (handler, wrapped)
            return wrapped
        except Exception:
            guard.failed("grpc_server")
            return handler


def _wrapped(scope: Scope, method: str, handler: Any) -> Any:
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    behaviour = getattr(handler, kind)

    def begin(context: Any, within: Context | None = None) -> RpcSpan | None:
        try:
            metadata = context.invocation_metadata()
            span = open_span(scope, method, metadata)
            span.peer = context.peer()
            enter(span, metadata) if within is None else within.run(enter, span, metadata)
            return span
        except Exception:
            guard.failed("grpc_server")
            return None

    if inspect.isasyncgenfunction(behaviour):
        wrapped: Any = _asynchronous_stream(behaviour, begin)
    elif inspect.iscoroutinefunction(behaviour):
        wrapped = _coroutine(behaviour, begin)
    elif handler.response_streaming:
        wrapped = _stream_in_thread(behaviour, begin)
    else:
        wrapped = _function_in_thread(behaviour, begin)
    if hasattr(handler, "_replace"):
        return handler._replace(**{kind: wrapped})
    import grpc

    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(wrapped, handler.request_deserializer, handler.response_serializer)


def _coroutine(behaviour: Any, begin: Begin) -> Any:
    @carries
    async def wrapper(request: Any, context: Any) -> Any:
        span = begin(context)
        try:
            return await answering.perform(behaviour, request, context)
        except BaseException as error:
            _judge(span, context, error)
            raise
        finally:
            _end(span, context)

    return wrapper


def _asynchronous_stream(behaviour: Any, begin: Begin) -> Any:
    @carries
    async def wrapper(request: Any, context: Any) -> AsyncIterator[Any]:
        span = begin(context)
        responses = behaviour(request, context)
        try:
            async for response in responses:
                yield response
        except BaseException as error:
            _judge(span, context, error)
            if isinstance(error, GeneratorExit):  # given up between two responses: the handler's `finally` comes now
                await responses.aclose()
            raise
        finally:
            _end(span, context)

    return wrapper


def _function_in_thread(behaviour: Any, begin: Begin) -> Any:
    @carries
    def wrapper(request: Any, context: Any) -> Any:
        within, told = copy_context(), Told(context)
        span = begin(context, within)
        try:
            return grpc_server.in_thread(span, within.run, behaviour, request, told)
        except BaseException as error:
            _judge(span, told, error)
            raise
        finally:
            _end(span, told)

    return wrapper


def _stream_in_thread(behaviour: Any, begin: Begin) -> Any:
    """Each response may be asked for in another thread of the pool, so each is made within the call's own context."""

    @carries
    def wrapper(request: Any, context: Any) -> Iterator[Any]:
        within, told = copy_context(), Told(context)
        span = begin(context, within)
        try:
            responses = iter(within.run(behaviour, request, told))
            while (response := within.run(next, responses, END)) is not END:
                yield response
        except BaseException as error:
            _judge(span, told, error)
            raise
        finally:
            _end(span, told)

    return wrapper


class Told:
    """The context of a handler that runs in a thread, which does not tell the code that it has been given."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: object = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def abort(self, code: Any, *args: Any, **options: Any) -> None:
        """Ends the call with an error; never returns."""
        self._code = code
        self._context.abort(code, *args, **options)

    def set_code(self, code: Any) -> None:
        """Sets the code that the call will end with."""
        self._code = code
        self._context.set_code(code)

    def code(self) -> object:
        """The code that it will end with; None where nobody has set one."""
        return self._code


def _judge(span: RpcSpan | None, context: Any, error: BaseException) -> None:
    """Takes from an exception what the caller will be told; what gRPC raises for `abort` is no failure by itself."""
    if span is None:
        return
    try:
        if isinstance(error, (CancelledError, GeneratorExit)):
            span.code = given_up(span, context.time_remaining())
        elif type(error).__name__ != "AbortError":
            span.code = "UNKNOWN"
            span.fail(error)
    except Exception:
        guard.failed("grpc_server")


def _end(span: RpcSpan | None, context: Any) -> None:
    if span is None:
        return
    try:
        code = context.code()
        if code_name(code) not in ("", "OK") and span.code in (0, "UNKNOWN"):
            span.code = code
        span.finish()
    except Exception:
        guard.failed("grpc_server")
