"""Work that takes known amounts of time in one way each; every piece answers how long it took, ms, by its own clock."""

from __future__ import annotations

import gc
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import create_engine

LOCK = threading.Lock()
ENGINE = create_engine(f"sqlite:///{Path(mkdtemp()) / 'one.db'}", pool_size=1, max_overflow=0, pool_timeout=10)
pauses: list[float] = []


def burn(ms: float) -> None:
    """Computes for so long, by the thread's CPU clock."""
    until = time.thread_time() + ms / 1000
    while time.thread_time() < until:
        pass


def _pause(phase: str, info: dict[str, int]) -> None:
    pauses.append(time.perf_counter() if phase == "start" else time.perf_counter() - pauses.pop())


def computing() -> float:
    """200 ms of CPU time."""
    burn(200)
    return 200


def collecting() -> float:
    """A collection of garbage that is in a million cycles, measured by a callback of the program's own."""
    garbage: list[object] = []
    gc.disable()
    for _ in range(400_000):
        cycle: list[object] = []
        cycle.append(cycle)
        garbage.append(cycle)
    del garbage
    gc.callbacks.append(_pause)
    gc.collect()
    gc.callbacks.remove(_pause)
    gc.enable()
    return pauses.pop() * 1000


def sleeping() -> float:
    """A sleep."""
    began = time.perf_counter()
    time.sleep(0.3)
    return (time.perf_counter() - began) * 1000


def locked() -> float:
    """A lock that another thread holds for 300 ms."""
    LOCK.acquire()
    threading.Timer(0.3, LOCK.release).start()
    began = time.perf_counter()
    with LOCK:
        return (time.perf_counter() - began) * 1000


def pooled() -> float:
    """A pool of one connection that another thread has for 300 ms."""
    held = ENGINE.connect()
    threading.Timer(0.3, held.close).start()
    began = time.perf_counter()
    with ENGINE.connect():
        return (time.perf_counter() - began) * 1000


class Slow(BaseHTTPRequestHandler):
    """Answers after 300 ms."""

    def do_GET(self) -> None:
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Slow)


def start() -> None:
    """Starts the slow server, in the process that works."""
    threading.Thread(target=SERVER.serve_forever, daemon=True).start()


def calling() -> float:
    """A call of a slow HTTP server, by a client that has a span."""
    import requests

    began = time.perf_counter()
    requests.get(f"http://127.0.0.1:{SERVER.server_port}/", timeout=10)
    return (time.perf_counter() - began) * 1000


def receiving() -> float:
    """A socket that nobody instruments, which has something to read after 300 ms."""
    ours, theirs = socket.socketpair()
    threading.Timer(0.3, theirs.send, (b"x",)).start()
    began = time.perf_counter()
    ours.recv(1)
    ours.close()
    theirs.close()
    return (time.perf_counter() - began) * 1000


WORK = {piece.__name__: piece for piece in (computing, collecting, sleeping, locked, pooled, calling, receiving)}
