"""A small server of Elasticsearch's REST interface, for the real client: there is no Elasticsearch where the tests run.

It keeps documents by index and identifier, finds all of an index whatever the query, answers a bulk request item by
item, and tells of a missing document or index as Elasticsearch does. A path with `refused` is answered 503.
"""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    indices: dict[str, dict[str, Any]]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        status, answer = self._answer(path, body)
        content = b"" if self.command == "HEAD" else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/vnd.elasticsearch+json; compatible-with=9")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, path: list[str], body: bytes) -> tuple[int, object]:
        if "refused" in path:
            return 503, {"error": "unavailable secret", "status": 503}
        if not path:
            return 200, {"name": "test", "cluster_name": "test", "version": {"number": "9.1.0"}, "tagline": "You Know"}
        if path[0] == "_cluster":
            return 200, {"status": "green"}
        if path[-1] == "_bulk":
            return 200, self._bulk(path, [json.loads(line) for line in body.splitlines() if line.strip()])
        documents = self.indices.get(path[0])
        if len(path) == 1:
            return self._index(path[0], documents)
        if documents is None and self.command == "GET":
            reason = f"no such index [{path[0]}], secret"
            return 404, {"error": {"type": "index_not_found_exception", "reason": reason}, "status": 404}
        if path[1] in ("_search", "_count"):
            hits = [{"_index": path[0], "_id": name, "_source": source} for name, source in (documents or {}).items()]
            return 200, {"took": 1, "timed_out": False, "count": len(hits), "hits": {"total": len(hits), "hits": hits}}
        return self._document(path, documents, body)

    def _index(self, name: str, documents: dict[str, Any] | None) -> tuple[int, object]:
        if self.command == "PUT":
            self.indices[name] = {}
        elif self.command == "DELETE":
            self.indices.pop(name, None)
        elif documents is None:
            return 404, {"error": {"type": "index_not_found_exception"}, "status": 404}
        return 200, {"acknowledged": True, "index": name}

    def _document(self, path: list[str], documents: dict[str, Any] | None, body: bytes) -> tuple[int, object]:
        identity = path[2] if len(path) > 2 else "made"
        known = {"_index": path[0], "_id": identity}
        if self.command in ("PUT", "POST"):
            self.indices.setdefault(path[0], {})[identity] = json.loads(body)
            return 201, {**known, "result": "created"}
        found = (documents or {}).get(identity)
        if found is None:
            return 404, {**known, "found": False}
        return 200, {**known, "found": True, "_source": found}

    def _bulk(self, path: list[str], lines: list[dict[str, Any]]) -> dict[str, Any]:
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            told = action["index"]
            index = told.get("_index", path[0])
            self.indices.setdefault(index, {})[told["_id"]] = source
            items.append({"index": {"_index": index, "_id": told["_id"], "status": 201}})
        return {"took": 1, "errors": False, "items": items}

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def running_elasticsearch() -> Iterator[int]:
    """The port of a server on the loopback address, empty at first."""
    handler = type("Handler", (Handler,), {"indices": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
