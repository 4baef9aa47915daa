"""Asks one remote over HTTP: few requests at a time, each with an end, none to one that does not answer.

`http.client` in the threads of whoever asks. Redirects are not followed: where the hub asks is what its settings say.
"""

from __future__ import annotations

import http.client
import random
import ssl
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from perfagent import __version__
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.remote.health import Health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.remote.address import Address

AT_ONCE = 2  # requests under way to one remote: it serves others, too
PIECE = 65_536  # bytes that are read at a time
FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds after a first failure, and after the sixth
LONGEST_ASKED = 600.0  # seconds of a Retry-After that are honoured
SHOWN = 300  # characters of what a remote says
OVERLOADED = (429, 502, 503, 504)
TOO_MUCH = (b"too many samples", b"query timed out", b"exceeded maximum resolution", b"the query hit the max number")
"""What Prometheus and Mimir say to a question that a smaller one would do instead of."""


class Answer(NamedTuple):
    """What a remote answered: its status and its body, unpacked."""

    status: int
    body: bytes


class Client:
    """One remote.

    Args:
        name: "Prometheus" or "Jaeger", for messages.
        address: where it is.
        setting: the name of the setting that says so.
        timeout: seconds of one request, whatever it waits for.
        limit: bytes of an answer, unpacked, that are read.
    """

    def __init__(self, name: str, address: Address, setting: str, timeout: float, limit: int) -> None:
        self.name, self.address, self.timeout = name, address, timeout
        self.health = Health()
        self._setting, self._limit = setting, limit
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._under_way: set[http.client.HTTPConnection] = set()
        self._ended = False
        self._failures = 0
        self._rests_until = 0.0
        self._probing = False

    def ask(self, path: str, form: bytes | None = None) -> Answer:
        """The answer to one request; 200, or 400 to 422 where the question was not accepted.

        Args:
            path: below the address, with its query.
            form: fields of a POST; a GET without.

        Raises:
            RemoteError: there is none. What the remote is asked next waits longer, the more often this happens.
        """
        began = time.monotonic()
        with self._slot(began), self._probe():
            received = 0
            try:
                answer = self._exchange(path, form, began + self.timeout)
                received = len(answer.body)
            except RemoteError as error:
                self._failed(error)
                problem = "" if error.answers else str(error)
                self.health.count(error.outcome, time.monotonic() - began, 0, problem)
                raise
            self._failures = 0
            self._rests_until = 0.0
            self.health.count("ok", time.monotonic() - began, received)
            return answer

    def stop(self) -> None:
        """Ends what is under way, from any thread; nothing is asked any more."""
        with self._lock:
            self._ended = True
            connections = [*self._under_way, *self._idle]
            self._idle.clear()
        for connection in connections:
            _cut(connection)

    @property
    def rests(self) -> float:
        """Seconds for which it is left alone, because it did not answer."""
        return max(0.0, self._rests_until - time.monotonic())

    @contextmanager
    def _slot(self, began: float) -> Iterator[None]:
        if not self._slots.acquire(timeout=max(0.0, self.timeout - (time.monotonic() - began))):
            self.health.count("busy")
            raise RemoteError(f"{self.name} still answers {AT_ONCE} earlier questions; this one was not asked", "busy")
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def _probe(self) -> Iterator[None]:
        """Lets one request through to a remote that has failed, when its rest is over; refuses all others."""
        with self._lock:
            if self._ended:
                raise RemoteError("the hub ends", "resting")
            if self._failures and (self.rests or self._probing):
                wait = f"in {self.rests:.0f} s" if self.rests >= 1 else "in a moment"
                raise RemoteError(f"{self.health.problem} (asked again {wait})", "resting")
            probing = self._probing = bool(self._failures)
        try:
            yield
        finally:
            if probing:
                self._probing = False

    def _failed(self, error: RemoteError) -> None:
        if error.answers:
            return
        with self._lock:
            self._failures += 1
            longest = min(FIRST_REST * 2.0 ** (self._failures - 1), LONGEST_REST)
            rest = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all hubs come back at once
            if error.retry_after:
                rest = max(rest, min(error.retry_after, LONGEST_ASKED))
            self._rests_until = time.monotonic() + rest

    def _exchange(self, path: str, form: bytes | None, until: float) -> Answer:
        kept = True
        while True:
            connection, kept = self._connection(kept)
            cutter = threading.Timer(max(0.01, until - time.monotonic()), _cut, (connection,))
            cutter.daemon = True
            cutter.start()
            try:
                return self._answer(connection, path, form, until)
            except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
                self._drop(connection)
                if kept and time.monotonic() < until and isinstance(error, (http.client.HTTPException, OSError)):
                    kept = False  # it was closed while nobody asked: a new one tells more
                    continue
                raise self._silent(error, until) from None
            except RemoteError:
                self._drop(connection)
                raise
            finally:
                cutter.cancel()

    def _answer(self, connection: http.client.HTTPConnection, path: str, form: bytes | None, until: float) -> Answer:
        headers = {"User-Agent": f"perfagent-hub/{__version__}", **self.address.headers}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("GET" if form is None else "POST", f"{self.address.path}{path}", form, headers)
        response = connection.getresponse()
        if 300 <= response.status < 400 or response.status in (401, 403):
            raise self._refused(response)
        body = self._read(response)
        if response.status >= 400 and any(word in body for word in TOO_MUCH):
            raise RemoteError(f"{self.name} says that this was too much: {_said(body)}", "too_much")
        if response.status in OVERLOADED:
            raise self._refused(response)
        if response.status >= 500:
            raise RemoteError(f"{self._shown} answered {response.status}: {_said(body)}", "refused")
        if time.monotonic() > until:
            raise TimeoutError
        self._keep(connection)
        return Answer(response.status, body)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        packed = response.getheader("Content-Encoding", "").lower() == "gzip"
        unpacker = zlib.decompressobj(wbits=31) if packed else None
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(PIECE):
            while piece:
                out = unpacker.decompress(piece, PIECE) if unpacker else piece
                piece = unpacker.unconsumed_tail if unpacker else b""
                pieces.append(out)
                size += len(out)
                if size > self._limit:
                    mib = self._limit / 2**20
                    raise RemoteError(
                        f"{self.name} began an answer of more than {mib:.3g} MiB (PERFAGENT_REMOTE_MAX_BODY), "
                        "which was cut off: ask for less, or allow more",
                        "too_large",
                    )
        response.close()  # before Python 3.12 `read1` does not notice that it was all
        return b"".join(pieces)

    def _refused(self, response: http.client.HTTPResponse) -> RemoteError:
        status = response.status
        if 300 <= status < 400:
            target = urlsplit(response.getheader("Location", "")).netloc.rpartition("@")[2]
            where = f" to {target[:100]}" if target else ""
            return RemoteError(
                f"{self._shown} redirects{where} ({status}), which the hub does not follow: "
                f"set {self._setting} to the address itself",
                "refused",
            )
        if status in (401, 403):
            headers = self._setting.replace("_URL", "_HEADERS")
            return RemoteError(f"{self._shown} wants other credentials ({status}): set {headers}", "refused")
        wait = _seconds(response.getheader("Retry-After", ""))
        return RemoteError(f"{self._shown} has too much to do ({status}): it is asked less often", "overloaded", wait)

    def _silent(self, error: Exception, until: float) -> RemoteError:
        if isinstance(error, TimeoutError) or time.monotonic() >= until - 0.02:
            return RemoteError(
                f"{self._shown} did not answer within {self.timeout:g} s (PERFAGENT_REMOTE_TIMEOUT)", "timeout"
            )
        if isinstance(error, ssl.SSLError):
            reason = error.reason or str(error)
            return RemoteError(
                f"{self._shown} has no certificate that this machine trusts, or speaks no TLS ({reason}): "
                "see PERFAGENT_REMOTE_CA_FILE",
                "unreachable",
            )
        if isinstance(error, OSError):
            reason = error.strerror or str(error) or type(error).__name__
            return RemoteError(f"{self._shown} cannot be reached: {reason}; see {self._setting}", "unreachable")
        return RemoteError(f"{self._shown} does not answer as an HTTP server does ({type(error).__name__})", "garbage")

    @property
    def _shown(self) -> str:
        return f"{self.name} at {self.address.shown}"

    def _connection(self, may_be_kept: bool) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it has served before."""
        with self._lock:
            if self._ended:
                raise RemoteError("the hub ends", "resting")
            kept = bool(self._idle) and may_be_kept
            connection = self._idle.pop() if kept else self._new()
            self._under_way.add(connection)
        return connection, kept

    def _new(self) -> http.client.HTTPConnection:
        target = self.address
        if target.tls is not None:
            return http.client.HTTPSConnection(target.host, target.port, timeout=self.timeout, context=target.tls)
        return http.client.HTTPConnection(target.host, target.port, timeout=self.timeout)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._under_way.discard(connection)
            if not self._ended and len(self._idle) < AT_ONCE:
                self._idle.append(connection)
                return
        connection.close()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._under_way.discard(connection)
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    """Ends a connection from another thread: who reads from it goes on at once with a failure."""
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(2)


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 9 else 0.0  # a date is rare, and needs its clock to be ours


def _said(body: bytes) -> str:
    """What a body says of a failure, on one line."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    shown = str(text) if text else body[:SHOWN].decode("utf-8", "replace")
    return " ".join(shown.split())[:SHOWN]


def said(answer: Answer) -> str:
    """What a refusal says, on one line."""
    return _said(answer.body)
