"""grpc_client: one unary call; the server is a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER = """
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

handlers = {"Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Parrot", handlers),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A call on one channel."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        say = channel.unary_unary("/shop.Parrot/Say")
        yield lambda: say(b"hello")
