"""A small server of MongoDB's wire protocol, for the real client: there is no MongoDB where the tests run.

It speaks OP_MSG, and OP_QUERY for the first greeting, keeps documents by database and collection, matches filters by
equality alone, gives out a find in batches, refuses a second document of the same `_id` as MongoDB does, and answers
a command that it does not know with CommandNotFound. The collection `broken` closes the connection; who asks for
`stuck` waits.
"""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import bson

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("<iiii")
OP_REPLY, OP_QUERY, OP_MSG, MORE_TO_COME = 1, 2004, 2013, 2
GREETING = {
    "ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16_777_216, "minWireVersion": 0,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "maxWireVersion": 21, "readOnly": False,
    "logicalSessionTimeoutMinutes": 30, "ok": 1.0,
}  # fmt: skip


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.collections: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.cursors: dict[int, tuple[str, list[dict[str, Any]]]] = {}
        self.cursor_ids = itertools.count(1)
        self.lock = threading.Lock()


class Connection(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, EOFError):
            while True:
                self._message()

    def _read(self, length: int) -> bytes:
        data = self.rfile.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def _message(self) -> None:
        length, request, _, code = HEADER.unpack(self._read(16))
        body = self._read(length - 16)
        if code == OP_QUERY:
            reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(GREETING)
            self.wfile.write(HEADER.pack(16 + len(reply), 0, request, OP_REPLY) + reply)
            return
        assert code == OP_MSG
        (flags,) = struct.unpack_from("<I", body)
        answer = self._answer(self._command(body[4:]))
        if not flags & MORE_TO_COME:
            reply = struct.pack("<IB", 0, 0) + bson.encode(answer)
            self.wfile.write(HEADER.pack(16 + len(reply), 0, request, OP_MSG) + reply)

    def _command(self, sections: bytes) -> dict[str, Any]:
        """The document of a message, with the sequences that stand beside it in their places."""
        command: dict[str, Any] = {}
        sequences: dict[str, list[dict[str, Any]]] = {}
        while sections:
            kind, sections = sections[0], sections[1:]
            (size,) = struct.unpack_from("<i", sections)
            section, sections = sections[:size], sections[size:]
            if kind == 0:
                command = bson.decode(section)
            else:
                name, _, documents = section[4:].partition(b"\0")
                sequences[name.decode()] = bson.decode_all(documents)
        return {**command, **sequences}

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return GREETING
        if command[name] == "broken":
            raise EOFError
        if command[name] == "stuck":
            self.rfile.read(1)  # until the client has gone
            raise EOFError
        if command[name] == "slow":
            time.sleep(0.15)
            return {"ok": 1.0}
        method = getattr(self, f"_{name}", None)
        if method is None:
            text = f"no such command: '{name}' secret"
            return {"ok": 0.0, "errmsg": text, "code": 59, "codeName": "CommandNotFound"}
        with self.server.lock:
            return {"ok": 1.0, **method(command, (command["$db"], command[name]))}

    def _ping(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        return {}

    _endSessions = _killCursors = _ping  # noqa: N815

    def _insert(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        kept = self.server.collections.setdefault(place, [])
        known = {document["_id"] for document in kept}
        errors = []
        for at, document in enumerate(command["documents"]):
            if document["_id"] in known:
                text = f"E11000 duplicate key error dup key: {{ _id: '{document['_id']}' }}"
                errors.append({"index": at, "code": 11000, "errmsg": text, "keyValue": {"_id": document["_id"]}})
                break
            known.add(document["_id"])
            kept.append(document)
        return {"n": len(command["documents"]) - len(errors), **({"writeErrors": errors} if errors else {})}

    def _matching(self, place: tuple[str, str], wanted: dict[str, Any]) -> list[dict[str, Any]]:
        documents = self.server.collections.get(place, [])
        return [one for one in documents if all(one.get(name) == value for name, value in wanted.items())]

    def _find(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        found = self._matching(place, command.get("filter") or {})
        size = command.get("batchSize") or command.get("limit") or 101
        left = [] if command.get("singleBatch") or command.get("limit") else found[size:]
        cursor = next(self.server.cursor_ids) if left else 0
        if left:
            self.server.cursors[cursor] = (f"{place[0]}.{place[1]}", left)
        return {"cursor": {"id": cursor, "ns": f"{place[0]}.{place[1]}", "firstBatch": found[:size]}}

    def _getMore(self, command: dict[str, Any], place: tuple[str, Any]) -> dict[str, Any]:
        namespace, left = self.server.cursors.pop(place[1])
        size = command.get("batchSize") or len(left)
        if left[size:]:
            self.server.cursors[place[1]] = (namespace, left[size:])
        return {"cursor": {"id": place[1] if left[size:] else 0, "ns": namespace, "nextBatch": left[:size]}}

    def _update(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        changed = 0
        for update in command["updates"]:
            for document in self._matching(place, update["q"])[: None if update.get("multi") else 1]:
                document.update(update["u"].get("$set", {}))
                changed += 1
        return {"n": changed, "nModified": changed}

    def _delete(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        gone = [one for delete in command["deletes"] for one in self._matching(place, delete["q"])]
        self.server.collections[place] = [one for one in self.server.collections.get(place, []) if one not in gone]
        return {"n": len(gone)}

    def _aggregate(self, command: dict[str, Any], place: tuple[str, str]) -> dict[str, Any]:
        found = self._matching(place, command["pipeline"][0].get("$match", {}))
        documents = [{"_id": 1, "n": len(found)}] if len(command["pipeline"]) > 1 else found
        return {"cursor": {"id": 0, "ns": f"{place[0]}.{place[1]}", "firstBatch": documents}}


@contextlib.contextmanager
def running_mongodb() -> Iterator[int]:
    """The port of a server on the loopback address, empty at first."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
