"""The gRPC program of the tests: a server and its client in one process, of threads or of asyncio.

`python grpc_calls.py threads|loop WORD` prints what the program saw.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

SERVICE = "shop.Parrot"
CANARY = "canary-4711"


def query(mark: str) -> None:
    """A span that tells where it was made."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"select ? as {mark}", (1,)).fetchone()
    connection.close()


# The service, as a program of threads has it.


def say(request: bytes, context: Any) -> bytes:
    query("in_say")
    if request == b"boom":
        raise LookupError(f"nobody knows '{CANARY}'")
    if request == b"abort":
        context.abort(grpc.StatusCode.NOT_FOUND, f"no parrot {CANARY}")
    if request == b"unavailable":
        context.set_code(grpc.StatusCode.UNAVAILABLE)
    if request == b"slow":
        time.sleep(0.6)
    return request


def repeat(request: bytes, context: Any) -> Any:
    for _ in range(3):
        query("in_repeat")
        yield request
    if request == b"boom":
        raise LookupError("no more")
    if request == b"forever":
        while context.is_active():
            yield request
            time.sleep(0.01)


def join(requests: Any, context: Any) -> bytes:
    joined = b"".join(requests)
    query("in_join")
    return joined


def echo(requests: Any, context: Any) -> Any:
    for request in requests:
        query("in_echo")
        yield request


# And as one of asyncio has it.


async def say_in_loop(request: bytes, context: Any) -> bytes:
    query("in_say")
    if request == b"boom":
        raise LookupError(f"nobody knows '{CANARY}'")
    if request == b"abort":
        await context.abort(grpc.StatusCode.NOT_FOUND, f"no parrot {CANARY}")
    if request == b"unavailable":
        context.set_code(grpc.StatusCode.UNAVAILABLE)
    if request == b"slow":
        await asyncio.sleep(5)
    return request


async def repeat_in_loop(request: bytes, context: Any) -> Any:
    for _ in range(3):
        query("in_repeat")
        yield request
    if request == b"boom":
        raise LookupError("no more")
    while request == b"forever":
        yield request
        await asyncio.sleep(0.01)


async def join_in_loop(requests: Any, context: Any) -> bytes:
    joined = b"".join([request async for request in requests])
    query("in_join")
    return joined


async def echo_in_loop(requests: Any, context: Any) -> None:
    async for request in requests:
        query("in_echo")
        await context.write(request)


def handlers(say: Any, repeat: Any, join: Any, echo: Any) -> dict[str, Any]:
    return {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
        "Join": grpc.stream_unary_rpc_method_handler(join),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
    }


class Noticing(grpc.ServerInterceptor):
    """The program's own interceptor."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        seen.append(details.method)
        return continuation(details)


class NoticingInLoop(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        seen.append(details.method)
        return await continuation(details)


seen: list[str] = []


def serve_threads() -> tuple[Any, int]:
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[Noticing()])
    made = handlers(say, repeat, join, echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, made),))
    if hasattr(server, "add_registered_method_handlers"):  # as newer generated code does
        server.add_registered_method_handlers("shop.Registered", made)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


async def serve_loop() -> tuple[Any, int]:
    server = grpc.aio.server(ThreadPoolExecutor(2), interceptors=[NoticingInLoop()])
    made = handlers(say_in_loop, repeat_in_loop, join_in_loop, echo_in_loop)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, made),))
    in_threads = handlers(say, repeat, join, echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Old", in_threads),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


# The clients.


class Trying(grpc.UnaryUnaryClientInterceptor):
    """Sends again what was not found, once."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        first = continuation(details, request)
        return continuation(details, b"found") if first.code() is grpc.StatusCode.NOT_FOUND else first


class TryingInLoop(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        first = await continuation(details, request)
        return await continuation(details, b"found") if await first.code() is grpc.StatusCode.NOT_FOUND else first


def kinds(channel: Any, service: str = SERVICE) -> str:
    """A call of each kind."""
    said = channel.unary_unary(f"/{service}/Say")(b"one", metadata=(("x-token", CANARY),))
    later = channel.unary_unary(f"/{service}/Say").future(b"two").result()
    told, call = channel.unary_unary(f"/{service}/Say").with_call(b"three")
    repeated = list(channel.unary_stream(f"/{service}/Repeat")(b"four"))
    joined = channel.stream_unary(f"/{service}/Join")(iter([b"a", b"b"]), timeout=20)
    echoed = list(channel.stream_stream(f"/{service}/Echo")(iter([b"x", b"y"])))
    return repr((said, later, told, call.code().name, repeated, joined, echoed))


def outcomes(channel: Any) -> str:
    """What each way to fail looks like to the program."""
    say, found = channel.unary_unary(f"/{SERVICE}/Say"), []
    for request, timeout in ((b"boom", 9), (b"abort", 9), (b"unavailable", 9), (b"slow", 0.2)):
        try:
            say(request, timeout=timeout)
        except grpc.RpcError as error:
            found.append(error.code().name)
    try:
        channel.unary_unary(f"/{SERVICE}/Nothing")(b"")
    except grpc.RpcError as error:
        found.append(error.code().name)
    stream = channel.unary_stream(f"/{SERVICE}/Repeat")(b"forever")
    next(stream)
    found.append(str(stream.cancel()))
    try:
        list(channel.unary_stream(f"/{SERVICE}/Repeat")(b"boom"))
    except grpc.RpcError as error:
        found.append(error.code().name)
    return repr(found)


async def kinds_in_loop(channel: Any, service: str = SERVICE) -> str:
    said = await channel.unary_unary(f"/{service}/Say")(b"one", metadata=(("x-token", CANARY),))
    repeated = [part async for part in channel.unary_stream(f"/{service}/Repeat")(b"four")]
    joined = await channel.stream_unary(f"/{service}/Join")(iter([b"a", b"b"]), timeout=20)
    call, echoed = channel.stream_stream(f"/{service}/Echo")(), []
    for word in (b"x", b"y"):
        await call.write(word)
        echoed.append(await call.read())
    await call.done_writing()
    return repr((said, repeated, joined, echoed, (await call.code()).name))


async def outcomes_in_loop(channel: Any) -> str:
    say, found = channel.unary_unary(f"/{SERVICE}/Say"), []
    for request, timeout in ((b"boom", 9), (b"abort", 9), (b"unavailable", 9), (b"slow", 0.2)):
        try:
            await say(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            found.append(error.code().name)
    try:
        await channel.unary_unary(f"/{SERVICE}/Nothing")(b"")
    except grpc.aio.AioRpcError as error:
        found.append(error.code().name)
    stream = channel.unary_stream(f"/{SERVICE}/Repeat")(b"forever")
    await stream.read()
    found.append(str(stream.cancel()))
    try:
        async for _ in channel.unary_stream(f"/{SERVICE}/Repeat")(b"boom"):
            pass
    except grpc.aio.AioRpcError as error:
        found.append(error.code().name)
    return repr(found)


def run_threads(word: str) -> None:
    server, port = serve_threads()
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        if word == "kinds":
            print(kinds(channel))
        elif word == "registered":
            print(kinds(channel, "shop.Registered"))
        elif word == "outcomes":
            print(outcomes(channel))
        elif word == "again":
            tried = grpc.intercept_channel(channel, Trying())
            print(tried.unary_unary(f"/{SERVICE}/Say")(b"abort"))
    server.stop(1).wait()
    print(seen[0])


async def run_loop(word: str) -> None:
    server, port = await serve_loop()
    interceptors = [TryingInLoop()] if word == "again" else None
    async with grpc.aio.insecure_channel(f"localhost:{port}", interceptors=interceptors) as channel:
        if word == "kinds":
            print(await kinds_in_loop(channel))
        elif word == "old":
            print(await kinds_in_loop(channel, "shop.Old"))
        elif word == "outcomes":
            print(await outcomes_in_loop(channel))
        elif word == "again":
            print(await channel.unary_unary(f"/{SERVICE}/Say")(b"abort"))
    await server.stop(1)
    print(seen[0])


def mixed() -> None:
    """A client of threads inside a request of its own server: one trace over both."""
    server, port = serve_threads()

    def through(request: bytes, context: Any) -> bytes:
        with grpc.insecure_channel(f"localhost:{port}") as inner:
            return inner.unary_unary(f"/{SERVICE}/Say")(request)

    front = grpc.server(ThreadPoolExecutor(2))
    front.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("shop.Front", {"Pass": grpc.unary_unary_rpc_method_handler(through)}),)
    )
    entry = front.add_insecure_port("127.0.0.1:0")
    front.start()
    with grpc.insecure_channel(f"localhost:{entry}") as channel, ThreadPoolExecutor(8) as pool:
        call = channel.unary_unary("/shop.Front/Pass")
        print(sorted(pool.map(call, [str(number).encode() for number in range(8)])))
    front.stop(1).wait()
    server.stop(1).wait()


if __name__ == "__main__":
    stack, word = sys.argv[1:3]
    if stack == "threads":
        mixed() if word == "mixed" else run_threads(word)
    else:
        asyncio.run(run_loop(word))
