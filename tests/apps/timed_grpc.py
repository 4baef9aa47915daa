"""A gRPC server whose calls take known amounts of time in one way each: `python -m tests.apps.timed_grpc WAY PORT`.

WAY is `threads`, or `loop`: then it is asyncio's, which does what is no coroutine in threads.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from tests.apps import timed_work

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "shop.Timed"


def doing(work: Callable[[], float], request: bytes, context: Any) -> bytes:
    """A piece of work."""
    return str(work()).encode()


async def doing_in_loop(work: Callable[[], float], request: bytes, context: Any) -> bytes:
    """A piece of work on the loop itself."""
    return str(work()).encode()


async def resting(request: bytes, context: Any) -> bytes:
    """A sleep of asyncio's."""
    began = time.perf_counter()
    await asyncio.sleep(0.3)
    return str((time.perf_counter() - began) * 1000).encode()


async def turns(request: bytes, context: Any) -> bytes:
    """Ten steps of 10 ms of CPU time, with others let in between."""
    for _ in range(10):
        timed_work.burn(10)
        await asyncio.sleep(0)
    return b"100"


def add(server: Any, methods: dict[str, Any]) -> None:
    """Has the server answer the methods."""
    made = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, made),))


async def serve_loop(address: str) -> None:
    server = grpc.aio.server(migration_thread_pool=ThreadPoolExecutor(2))
    coroutines = {f"piece-{name}": coroutine(work) for name, work in timed_work.WORK.items()}
    threads = {f"thread-{name}": partial(doing, work) for name, work in timed_work.WORK.items()}
    add(server, {**coroutines, **threads, "resting": resting, "turns": turns})
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


def coroutine(work: Callable[[], float]) -> Callable[..., Any]:
    """A coroutine function, as gRPC knows one."""

    async def method(request: bytes, context: Any) -> bytes:
        return await doing_in_loop(work, request, context)

    return method


def serve_threads(address: str) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    add(server, {name: partial(doing, work) for name, work in timed_work.WORK.items()})
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    way, port = sys.argv[1:]
    timed_work.start()
    if way == "threads":
        serve_threads(f"127.0.0.1:{port}")
    else:
        asyncio.run(serve_loop(f"127.0.0.1:{port}"))
