"""The HTTP server behind /metrics: one thread that sleeps until somebody asks, on one port that one process has.

It is made by `_thread` and ends around a fork, as the pipeline's thread does; the port stays open meanwhile and asks
wait in its queue. A forked child closes what it has inherited.
"""

from __future__ import annotations

import os
import select
import socket
from _thread import allocate_lock, get_native_id

from perfagent.runtime import guard
from perfagent.runtime.clock import monotonic
from perfagent.runtime.companions import start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Any

    Answer = Callable[[str, dict[str, str]], "Reply"]

BACKLOG = 16
LARGEST_REQUEST = 16_384  # bytes
PATIENCE = 2.0  # seconds for a client to send its request, and to take the answer
FORK_WAIT = 0.05  # seconds that a fork waits at most for an answer under way
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Reply:
    """An answer: status, type and content, and further headers."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, content_type: str, content: bytes, **headers: str) -> None:
        self.status = status
        self.content = content
        self.headers = {"Content-Type": content_type, **{key.replace("_", "-"): text for key, text in headers.items()}}


class Server:
    """Answers GET on one address.

    Args:
        host: a name or an address.
        port: 0 takes a free one, and `port` tells which.
        answer: gets the path and the headers, names in lower case; called in the server's thread.
    """

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self.host = host
        self.port = port
        self._answer = answer
        self._listener: socket.socket | None = None
        self._inode = 0
        self._addresses: list[Any] = []
        self.reset()

    def reset(self) -> None:
        """In a forked child: the port is its parent's."""
        self.close()
        self._done = allocate_lock()
        self._running = False
        self.halted = False
        """Whether a fork waits for the thread to end."""

    @property
    def listening(self) -> bool:
        """Whether this process has the port."""
        return self._listener is not None

    def listen(self) -> None:
        """Takes the port.

        Raises:
            OSError: somebody has it, or there is no such address.
        """
        error: OSError = OSError(f"{self.host} is no address")
        if not self._addresses:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self._addresses = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
        for family, kind, protocol, _name, address in self._addresses:
            try:
                self._listener = _listening(family, kind, protocol, address)
            except OSError as failure:
                error = failure
                continue
            if not self.port:
                self.port, self._addresses = self._listener.getsockname()[1], []
            self._inode = os.fstat(self._listener.fileno()).st_ino
            return self.start()
        raise error

    def start(self) -> None:
        """Starts the thread unless it runs or there is nothing to serve."""
        self.halted = False
        if self._running or self._listener is None:
            return
        self._close_pipe()
        self._pipe = Pipe()
        done = self._done = allocate_lock()
        done.acquire()
        self._running = True
        try:
            start_thread(self._serve, self._listener, self._pipe, done)
        except RuntimeError:
            self._running = False

    def halt(self) -> int:
        """Ends the thread but keeps the port; an answer under way is given first.

        Returns:
            The native id of the thread if it has ended, for who must see it gone; else 0.
        """
        self.halted = True
        if not self._running:
            return 0
        if self._pipe is not None:
            self._pipe.ring()
        return self._thread if self._done.acquire(timeout=FORK_WAIT) else 0

    def close(self) -> None:
        """Gives the port up."""
        listener, self._listener = self._listener, None
        if listener is not None:
            if _is_still(listener.fileno(), self._inode):
                listener.close()
            else:  # the program has closed it, and its number may be a file of the program's by now
                listener.detach()
        self._close_pipe()

    _pipe: Pipe | None = None
    _thread = 0

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _serve(self, listener: socket.socket, pipe: Pipe, done: LockType) -> None:
        self._thread = get_native_id()
        try:
            poll = select.poll()
            poll.register(listener.fileno(), select.POLLIN)
            poll.register(pipe.out, select.POLLIN)
            while not self.halted and self._listener is listener:
                if any(file == pipe.out for file, _ in poll.poll()):
                    fine = pipe.answer()
                else:
                    fine = _is_still(listener.fileno(), self._inode) and self._accept(listener)
                if not fine:  # the program closes every file that it finds; the pipeline's thread will listen again
                    self.close()
        except Exception:
            guard.failed("prometheus server")
        finally:
            if self._done is done:
                self._running = False
            done.release()

    def _accept(self, listener: socket.socket) -> bool:
        """Answers the next client; always true."""
        try:
            connection, _ = listener.accept()
        except OSError:  # it has gone again
            return True
        try:
            self._handle(connection)
        except OSError:  # the client's business
            pass
        except Exception:
            guard.failed("prometheus server")
        finally:
            connection.close()
        return True

    def _handle(self, connection: socket.socket) -> None:
        request = _receive(connection)
        if request is None:
            return
        head, *lines = request.decode("latin-1").split("\r\n")
        method, _, rest = head.partition(" ")
        target, _, version = rest.partition(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if not version.startswith("HTTP/1."):
            reply = Reply(400, "text/plain; charset=utf-8", b"not an HTTP/1 request\n")
        elif method not in ("GET", "HEAD"):
            reply = Reply(405, "text/plain; charset=utf-8", b"GET or HEAD\n", Allow="GET, HEAD")
        else:
            try:
                reply = self._answer(target.partition("?")[0], headers)
            except Exception:
                guard.failed("prometheus")
                reply = Reply(500, "text/plain; charset=utf-8", b"perfagent failed; the program is not affected\n")
        connection.settimeout(PATIENCE)
        connection.sendall(_written(reply, with_content=method != "HEAD"))


class Pipe:
    """Wakes a thread that polls. A program that closes every file it finds is left what it opens then."""

    def __init__(self) -> None:
        self.out, self._into = os.pipe()
        self._inode = os.fstat(self.out).st_ino

    def ring(self) -> None:
        """Wakes the thread."""
        if _is_still(self._into, self._inode):
            os.write(self._into, b"!")

    def answer(self) -> bool:
        """Takes the ringing off; False where the pipe is not ours any more."""
        return _is_still(self.out, self._inode) and bool(os.read(self.out, 64))

    def close(self) -> None:
        """Closes both ends."""
        for end in (self.out, self._into):
            if _is_still(end, self._inode):
                os.close(end)


def _listening(family: int, kind: int, protocol: int, address: object) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _is_still(file: int, inode: int) -> bool:
    """Whether an open file is the one that it was."""
    try:
        return os.fstat(file).st_ino == inode
    except OSError:
        return False


def _receive(connection: socket.socket) -> bytes | None:
    """The head of a request, or None where the client does not send one in time."""
    received = b""
    deadline = monotonic() + PATIENCE
    while b"\r\n\r\n" not in received:
        left = deadline - monotonic()
        if left <= 0 or len(received) > LARGEST_REQUEST:
            return None
        connection.settimeout(left)
        part = connection.recv(4096)
        if not part:
            return None
        received += part
    return received.partition(b"\r\n\r\n")[0]


def _written(reply: Reply, with_content: bool) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {REASONS[reply.status]}"]
    headers = {**reply.headers, "Content-Length": str(len(reply.content)), "Connection": "close"}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (reply.content if with_content else b"")
