"""grpc_server: one unary call answered by a server of threads; who asks is a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.instruments.elsewhere import Elsewhere, other_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

server = None
IS_REQUEST = True
CLIENT = """
import sys

import grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    say = channel.unary_unary("/shop.Parrot/Say")
    for _ in sys.stdin:
        say(b"hello")
        print(flush=True)
"""


@contextlib.contextmanager
def calls(address: None) -> Iterator[Elsewhere]:
    """A call of the other process'; the CPU is that of gRPC's own thread and the one that answers."""
    import grpc

    say = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    serving = grpc.server(ThreadPoolExecutor(1))
    serving.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Parrot", {"Say": say}),))
    port = serving.add_insecure_port("127.0.0.1:0")
    serving.start()
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # without the agent
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, f"127.0.0.1:{port}"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        asked, answers = client.stdin, client.stdout
        assert asked is not None
        assert answers is not None

        def call() -> object:
            asked.write(b"\n")
            asked.flush()
            return answers.readline()

        try:
            yield Elsewhere(call, other_threads)
        finally:
            client.terminate()
            serving.stop(None)
