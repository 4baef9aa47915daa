"""A small server of ClickHouse's HTTP interface, for the real client: there is no ClickHouse where the tests run.

It knows no SQL. It answers what the client asks when it connects, any other SELECT with the number 1, DESCRIBE with two
columns, whatever else with nothing, and a statement that names the table `nowhere` with ClickHouse's error for that.
Rows go out in the Native format as ClickHouse writes it: sizes as LEB128, then each column by name, type and values.
"""

from __future__ import annotations

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DESCRIBED = ("name", "type", "default_type", "default_expression", "comment", "codec_expression", "ttl_expression")


def size(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str) -> bytes:
    return size(len(value.encode())) + value.encode()


def native(columns: Sequence[tuple[str, str, Sequence[object]]]) -> bytes:
    """A block of the Native format.

    Args:
        columns: of each its name, its type (String or UInt8) and its values.
    """
    block = size(len(columns)) + size(len(columns[0][2]))
    for name, kind, values in columns:
        block += text(name) + text(kind)
        block += b"".join(text(str(value)) if kind == "String" else bytes([int(str(value))]) for value in values)
    return block


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    requests: list[dict[str, str]]

    def do_POST(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = self._body()
        sql = query.get("query") or body.decode("utf-8", "replace")
        self.requests.append({"sql": sql, **{name.lower(): value for name, value in self.headers.items()}})
        if "nowhere" in sql:
            message = f"Code: 60. DB::Exception: Unknown table expression identifier in scope {sql}. (UNKNOWN_TABLE)"
            self._answer(404, message.encode(), {"X-ClickHouse-Exception-Code": "60"})
        elif "version()" in sql:
            self._answer(200, b"24.8.1.1\tUTC\n", {"X-ClickHouse-Format": "TabSeparated"})
        elif "system.settings" in sql:
            columns = [("name", "String", ["max_threads"]), ("value", "String", ["2"]), ("readonly", "UInt8", [0])]
            self._answer(200, native(columns))
        elif sql.upper().startswith("DESCRIBE"):
            rows = [("id", "UInt8", *[""] * 5), ("name", "String", *[""] * 5)]
            names = enumerate(DESCRIBED)
            self._answer(200, native([(name, "String", [row[place] for row in rows]) for place, name in names]))
        elif re.match(r"\s*(?:/\*.*?\*/\s*)?SELECT", sql, re.IGNORECASE):
            self._answer(200, native([("one", "UInt8", [1])]) if "FORMAT Native" in sql else b"1\n")
        else:
            self._answer(200, b"", {"X-ClickHouse-Summary": '{"written_rows":"2"}'})

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while True:
            length = int(self.rfile.readline(), 16)
            body += self.rfile.read(length)
            self.rfile.readline()
            if not length:
                return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"X-ClickHouse-Query-Id": "1", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def running_clickhouse() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """The port of a server on the loopback address, and the requests that it gets: statement and headers of each."""
    requests: list[dict[str, str]] = []
    handler = type("Handler", (Handler,), {"requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, requests
        finally:
            server.shutdown()
            thread.join()
