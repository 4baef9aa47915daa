"""Requests without a time-out: who does not answer keeps the caller for ever.

A request with one pays, measured around an empty call: requests and urllib3 1.5 us, httpx, aiohttp and gRPC 0.5 us.
"""

from __future__ import annotations

from sys import _getframe

from perfagent.instruments.habits.telling import called_by, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType, ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument

KIND = "missing_timeout"
FIVE_MINUTES = 300
NO_DEADLINE = "calls without a deadline"
RESULT = "waits for a result without a time-out"


def missing(what: str, frame: FrameType | None, does: str = "asks without a time-out", after: float = 0.0) -> None:
    """Tells that a call has none.

    Args:
        what: the library.
        frame: of who called us.
        does: what it does.
        after: seconds after which it gives up all the same; 0 for never.
    """
    tell(KIND, what, frame, f"{what} {does}", {"after": after})


def of_requests(habit: Instrument, module: ModuleType) -> None:
    """`HTTPAdapter.send`, which gets the time-out of each request."""

    def looking(send: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(adapter: Any, request: Any, *args: Any, **options: Any) -> Any:
            timeout = options["timeout"] if "timeout" in options else args[1] if len(args) > 1 else None
            if timeout is None or (type(timeout) is tuple and any(one is None for one in timeout)):
                missing("requests", _getframe(1))
            return send(adapter, request, *args, **options)

        return wrapper

    habit.replace(module.adapters.HTTPAdapter, "send", looking)


def of_urllib3(habit: Instrument, module: ModuleType) -> None:
    """`_make_request`, which gets it settled; what requests sends is told of as its own."""
    default = module.util.timeout.Timeout.DEFAULT_TIMEOUT

    def looking(make_request: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(pool: Any, *args: Any, **options: Any) -> Any:
            timeout = options.get("timeout")
            if timeout is not None and getattr(timeout, "total", 0) is None:
                read = getattr(timeout, "_read", 0)
                if read is None or (read is default and _no_default()):
                    frame = _getframe(1)
                    if not called_by(frame, "requests", "botocore"):
                        missing("urllib3", frame)
            return make_request(pool, *args, **options)

        return wrapper

    habit.replace(module.connectionpool.HTTPConnectionPool, "_make_request", looking)


def of_httpx(habit: Instrument, module: ModuleType) -> None:
    """What hands one request to a transport, with its time-outs among its extensions."""

    def looking(send: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(client: Any, request: Any, *args: Any) -> Any:
            if _reads_for_ever(request):
                missing("httpx", _getframe(1))
            return send(client, request, *args)

        return wrapper

    def looking_async(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(client: Any, request: Any, *args: Any) -> Any:
            if _reads_for_ever(request):
                missing("httpx", _getframe(1))
            return await send(client, request, *args)

        return wrapper

    habit.replace(module.Client, "_send_single_request", looking)
    habit.replace(module.AsyncClient, "_send_single_request", looking_async)


def _reads_for_ever(request: Any) -> bool:
    """Whether a request of httpx has no time-out; what a transport of the program's may have there instead, is none."""
    extensions = getattr(request, "extensions", None)
    timeout = extensions.get("timeout") if type(extensions) is dict else None
    return type(timeout) is dict and timeout.get("read", 0) is None


def of_aiohttp(habit: Instrument, module: ModuleType) -> None:
    """The connector, which gets the settled time-outs; five minutes are what nobody has thought of."""
    default = getattr(module.client, "DEFAULT_TIMEOUT", None)

    def looking(connect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapper(connector: Any, req: Any, traces: Any, timeout: Any) -> Any:
            if timeout is default:
                missing("aiohttp", _getframe(1), "asks with its own time-out of five minutes", FIVE_MINUTES)
            elif getattr(timeout, "total", 0) is None and getattr(timeout, "sock_read", 0) is None:
                missing("aiohttp", _getframe(1))
            return await connect(connector, req, traces, timeout)

        return wrapper

    habit.replace(module.BaseConnector, "connect", looking)


def of_urllib(habit: Instrument, module: ModuleType) -> None:
    """Where `urlopen` turns to http.client."""
    import socket

    default = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]

    def looking(do_open: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(handler: Any, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
            timeout = getattr(req, "timeout", 0)
            if timeout is None or (timeout is default and _no_default()):
                missing("urllib.request", _getframe(1))
            return do_open(handler, http_class, req, **http_conn_args)

        return wrapper

    habit.replace(module.AbstractHTTPHandler, "do_open", looking)


def of_grpc(habit: Instrument, module: ModuleType) -> None:
    """Calls with one answer, of threads, and waits for one; who reads a stream may mean to do so for ever."""

    def looking(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(callable_: Any, request: Any, *args: Any, **options: Any) -> Any:
            if (args[0] if args else options.get("timeout")) is None:
                missing("grpc", _getframe(1), NO_DEADLINE)
            return call(callable_, request, *args, **options)

        return wrapper

    def waiting(result: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(call: Any, timeout: float | None = None) -> Any:
            if timeout is None and call._deadline is None and call._state.code is None:
                missing("grpc", _getframe(1), "waits without a time-out for a call without a deadline")
            return result(call, timeout)

        return wrapper

    habit.replace(module._UnaryUnaryMultiCallable, "_blocking", looking)
    habit.replace(module._StreamUnaryMultiCallable, "_blocking", looking)
    habit.replace(module._MultiThreadedRendezvous, "result", waiting)


def of_grpc_aio(habit: Instrument, module: ModuleType) -> None:
    """Calls with one answer, of asyncio."""

    def looking(init: Callable[..., None]) -> Callable[..., None]:
        def wrapper(call: Any, request: Any, deadline: Any, *args: Any, **options: Any) -> None:
            if deadline is None:
                missing("grpc", _getframe(1), NO_DEADLINE)
            init(call, request, deadline, *args, **options)

        return wrapper

    habit.replace(module.UnaryUnaryCall, "__init__", looking)
    habit.replace(module.StreamUnaryCall, "__init__", looking)


def of_celery(habit: Instrument, module: ModuleType) -> None:
    """Waits for the results of tasks; one that has come already is not waited for."""

    def looking(get: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(result: Any, timeout: float | None = None, *args: Any, **options: Any) -> Any:
            if timeout is None and not all(
                getattr(one, "_cache", None) for one in getattr(result, "results", (result,))
            ):
                missing("celery", _getframe(1), RESULT)
            return get(result, timeout, *args, **options)

        return wrapper

    habit.replace(module.AsyncResult, "get", looking)
    habit.replace(module.ResultSet, "get", looking)


def _no_default() -> bool:
    import socket

    return socket.getdefaulttimeout() is None
