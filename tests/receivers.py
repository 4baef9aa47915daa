"""Those who are told of alerts, as real servers: webhooks that fail, hang and redirect, a mail server, and a proxy that
shows what goes to hosts that nobody can move.
"""

from __future__ import annotations

import asyncio
import http.client
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage
    from pathlib import Path


def until(
    condition: Callable[[], Any], what: str | Callable[[], str] = "it did not happen", patience: float = PATIENCE
) -> Any:
    """What the condition says, once that is true."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)
    return found


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    host: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What a webhook answers; `release` ends a hang."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drips: float = 0.0  # seconds between two bytes of an endless answer


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives a webhook's requests to it."""

    protocol_version = "HTTP/1.1"
    server: WebhookServer

    def _take(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Request(self.command, self.path, dict(self.headers), body, self.headers.get("Host", ""))
        receiver.requests.append(asked)
        answer = receiver.answers.pop(0) if receiver.answers else receiver.answer
        self.close_connection = True
        if answer.hangs:
            receiver.release.wait(60)
            return
        try:
            self._give(answer)
        except OSError:
            return
        if 200 <= answer.status < 300:
            receiver.answered.append(asked)

    def _give(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(1_000_000 if answer.drips else len(answer.body)))
        self.end_headers()
        if not answer.drips:
            self.wfile.write(answer.body)
            return
        while not self.server.receiver.release.wait(answer.drips):
            self.wfile.write(b".")
            self.wfile.flush()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._take
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


class WebhookServer(http.server.ThreadingHTTPServer):
    """Knows whose it is."""

    daemon_threads = True
    receiver: Webhook


class Webhook:
    """An HTTP server that keeps what it is sent.

    Args:
        tls: where it speaks TLS.
        port: a free one when 0.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answered: list[Request] = []
        """Those that were answered with 2xx."""
        self.answers: list[Answer] = []
        """For the next requests; then `answer`."""
        self.answer = Answer()
        self.release = threading.Event()
        self._server = WebhookServer(("127.0.0.1", port), Handler)
        self._server.receiver = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Webhook:
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def wait(self, number: int) -> list[Request]:
        """The requests, once there are so many."""
        until(lambda: len(self.requests) >= number, f"{len(self.requests)} of {number} requests came")
        return self.requests


class Proxy:
    """An HTTPS proxy that answers in the place of every host: what a program sends to a fixed address is seen.

    Args:
        certificates: a context of the certificate for a host, which the program trusts.
    """

    def __init__(self, certificates: Callable[[str], ssl.SSLContext]) -> None:
        self.requests: list[Request] = []
        self.status, self.body = 200, b"ok"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._certificates = certificates
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            host = head.split()[1].decode().partition(":")[0]
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._certificates(host).wrap_socket(connection, server_side=True) as inner:
                stream = inner.makefile("rb")
                method, path, _ = stream.readline().decode().split(" ", 2)
                headers = http.client.parse_headers(stream)
                body = stream.read(int(headers.get("Content-Length", 0)))
                self.requests.append(Request(method, path, dict(headers.items()), body, host))
                answer = f"HTTP/1.1 {self.status} -\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
                inner.sendall(answer.encode() + self.body)


class Authority:
    """Certificates that a test makes for itself.

    Args:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests", "-keyout", self._key,
            "-out", self.file, "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def context(self, host: str) -> ssl.SSLContext:
        """What a server of that host speaks TLS with."""
        if host not in self._contexts:
            kind = "IP" if host[0].isdigit() else "DNS"
            base = self._folder / host
            extensions = base.with_suffix(".ext")
            extensions.write_text(f"subjectAltName={kind}:{host}\nauthorityKeyIdentifier=keyid\n")
            key, asked, made = (f"{base}.{end}" for end in ("key", "csr", "pem"))
            self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host", "-keyout", key, "-out", asked)
            self._openssl(
                "x509", "-req", "-in", asked, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", "2",
                "-extfile", extensions, "-out", made,
            )  # fmt: skip
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(made, key)
            self._contexts[host] = context
        return self._contexts[host]

    @staticmethod
    def _openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class MailServer:
    """A real SMTP server that keeps what it is sent.

    Args:
        tls: for STARTTLS, or from the first byte on where `implicit`.
        user, password: what it wants; none where "".
        implicit: whether TLS begins with the connection.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, user: str = "", password: str = "", implicit: bool = False
    ) -> None:
        self.messages: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self.refusal = ""
        self._tls, self._implicit, self._login = tls, implicit, (user, password)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(PATIENCE)

    def __enter__(self) -> MailServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def handle_DATA(self, _server: SMTP, session: Any, envelope: Any) -> str:
        if self.refusal:
            return self.refusal
        self.encrypted.append(session.ssl is not None or self._implicit)
        message = BytesParser(policy=policy.default).parsebytes(envelope.content)
        message["X-Recipients"] = ", ".join(envelope.rcpt_tos)
        self.messages.append(message)
        return "250 OK"

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == self._login)

    def _made(self) -> SMTP:
        wants = bool(self._login[0])
        starttls = self._tls is not None and not self._implicit
        return SMTP(
            self,
            hostname="localhost",
            tls_context=self._tls if starttls else None,
            require_starttls=starttls,
            authenticator=self._authenticate if wants else None,
            auth_required=wants,
            auth_require_tls=starttls,
            loop=self._loop,
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        made = self._loop.create_server(self._made, "127.0.0.1", 0, ssl=self._tls if self._implicit else None)
        server = self._loop.run_until_complete(made)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
