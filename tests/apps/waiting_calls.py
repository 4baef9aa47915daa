"""Calls of real servers without a time-out, each at a line that its library's name marks; with the argument `fixed`
they have one.

`python waiting_calls.py LIBRARY,LIBRARY [fixed]`; SERVERS tells in JSON where the servers are that are no part of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import socketserver
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED = "fixed" in sys.argv
TIMEOUT = 20 if FIXED else None
SERVERS = json.loads(os.environ["SERVERS"])


def serving(server: Any) -> int:
    """Starts a server of this process; returns its port."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def of_redis() -> None:
    import redis

    client = redis.Redis.from_url(SERVERS["redis"], socket_timeout=TIMEOUT)
    client.set("one", 1)  # redis
    client.close()


def of_redis_asyncio() -> None:
    import redis.asyncio

    async def main() -> None:
        client = redis.asyncio.Redis.from_url(SERVERS["redis"], socket_timeout=TIMEOUT)
        await client.set("one", 1)  # redis.asyncio
        await client.aclose()

    asyncio.run(main())


def of_psycopg2() -> None:
    import psycopg2

    options = {"connect_timeout": TIMEOUT} if FIXED else {}
    psycopg2.connect(SERVERS["postgres"], **options).close()  # psycopg2


def of_pymysql() -> None:
    import pymysql

    pymysql.connect(**SERVERS["mysql"], read_timeout=TIMEOUT).close()  # pymysql


class Mail(socketserver.StreamRequestHandler):
    """As much of a mail server as a client needs that says hello and goes."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.test\r\n")
        for line in self.rfile:
            quits = line.upper().startswith(b"QUIT")
            self.wfile.write(b"221 bye\r\n" if quits else b"250 mail.test\r\n")
            if quits:
                return


def of_smtplib() -> None:
    port = serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail))
    options = {"timeout": 20} if FIXED else {}
    with smtplib.SMTP("127.0.0.1", port, **options) as client:  # smtplib
        client.noop()


class Answer(BaseHTTPRequestHandler):
    """Answers with nothing."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def of_http_client() -> None:
    connection = HTTPConnection("127.0.0.1", serving(HTTPServer(("127.0.0.1", 0), Answer)), timeout=TIMEOUT)
    connection.request("GET", "/")  # http.client
    connection.getresponse().read()
    connection.close()


def say(request: bytes, context: Any) -> bytes:
    if request == b"slow":
        time.sleep(0.2)
    return request


def join(requests: Any, context: Any) -> bytes:
    return b"".join(requests)


@contextmanager
def parrot() -> Iterator[Any]:
    """The channel to a server of this process."""
    import grpc

    server = grpc.server(ThreadPoolExecutor(2))
    methods = {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Join": grpc.stream_unary_rpc_method_handler(join),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Parrot", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None).wait()


def of_grpc() -> None:
    with parrot() as channel:
        channel.unary_unary("/shop.Parrot/Say")(b"one", timeout=TIMEOUT)  # grpc
        channel.stream_unary("/shop.Parrot/Join")(iter([b"a", b"b"]), timeout=TIMEOUT)  # grpc stream


def of_grpc_result() -> None:
    """A call that is waited for later."""
    with parrot() as channel:
        call = channel.unary_unary("/shop.Parrot/Say").future(b"slow")
        call.result(TIMEOUT)  # grpc.result


def of_grpc_aio() -> None:
    import grpc.aio

    async def say_in_loop(request: bytes, context: Any) -> bytes:
        return request

    async def main() -> None:
        server = grpc.aio.server()
        methods = {"Say": grpc.unary_unary_rpc_method_handler(say_in_loop)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Parrot", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await channel.unary_unary("/shop.Parrot/Say")(b"one", timeout=TIMEOUT)  # grpc.aio
        await server.stop(None)

    asyncio.run(main())


def of_celery() -> None:
    """The worker is a process of its own."""
    from celery import Celery, group

    app = Celery("shop", broker=SERVERS["redis"], backend=SERVERS["redis"])
    app.conf.broker_transport_options = {"socket_timeout": TIMEOUT}
    add = app.signature("shop.add", (1, 2))
    sent = add.delay()  # celery sent
    print(sent.get(timeout=TIMEOUT))  # celery
    both = group(add, add)()  # celery sent both
    print(both.get(timeout=TIMEOUT))  # celery group


if __name__ == "__main__":
    for library in sys.argv[1].split(","):
        globals()["of_" + library.replace(".", "_")]()
    with sqlite3.connect(":memory:") as database:
        database.execute("select 1")  # a span, so that whoever reads what was told knows that it is all
