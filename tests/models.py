"""A server that speaks the interfaces of OpenAI and of Anthropic as their clients read them: JSON, and events.

Neither can be had here; what it answers is shaped by their published descriptions.
"""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = "canary-answer"


class Models(BaseHTTPRequestHandler):
    """Answers by the path and by what is asked for; the model `busy` is too busy for two tries."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        if asked["model"] == "busy":
            self.server.tries += 1
            if self.server.tries % 3:
                self._json(503, {"error": {"message": "busy", "type": "overloaded_error"}})
                return
        if asked["model"] == "missing":
            self._json(404, {"error": {"message": f"no model '{self.server.answer}'", "type": "not_found_error"}})
            return
        streamed = "_stream" if asked.get("stream") else ""
        name = path.rpartition("/")[2] if path.endswith(("responses", "messages", "embeddings")) else "chat"
        answer = getattr(self, f"_{name}{streamed}")(asked)
        if streamed:
            self._events(answer)
        else:
            self._json(200, answer)

    def _chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.server.answer}
        return {
            "id": "chat-1", "object": "chat.completion", "created": 1, "model": "parrot-2026",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
                "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3},
            },
        }  # fmt: skip

    def _chat_stream(self, asked: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        head = {"id": "chat-2", "object": "chat.completion.chunk", "created": 1, "model": "parrot-2026"}
        pieces = [
            {"index": 0, "delta": {"content": word}, "finish_reason": None}
            for word in (self.server.answer, " more", " still")
        ]
        pieces.append({"index": 0, "delta": {}, "finish_reason": "length"})
        events: list[dict[str, Any]] = [{**head, "choices": [piece]} for piece in pieces]
        if (asked.get("stream_options") or {}).get("include_usage"):
            events.append(
                {**head, "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}}
            )
        return [("", event) for event in events]

    def _responses(self, asked: dict[str, Any]) -> dict[str, Any]:
        content = [{"type": "output_text", "text": self.server.answer, "annotations": []}]
        return {
            "id": "resp-1", "object": "response", "created_at": 1, "model": "parrot-2026", "status": "completed",
            "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
            "usage": {
                "input_tokens": 21, "output_tokens": 9, "total_tokens": 30,
                "input_tokens_details": {"cached_tokens": 5}, "output_tokens_details": {"reasoning_tokens": 2},
            },
        }  # fmt: skip

    def _responses_stream(self, asked: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        whole = self._responses(asked)
        begun = {**whole, "status": "in_progress", "usage": None, "output": []}
        return [
            ("response.created", {"type": "response.created", "sequence_number": 0, "response": begun}),
            ("response.completed", {"type": "response.completed", "sequence_number": 1, "response": whole}),
        ]

    def _embeddings(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return {"object": "list", "model": "parrot-embed", "data": found, "usage": usage}

    def _messages(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": "msg-1", "type": "message", "role": "assistant", "model": "parrot-2026",
            "content": [{"type": "text", "text": self.server.answer}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {
                "input_tokens": 10, "output_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
            },
        }  # fmt: skip

    def _messages_stream(self, asked: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        begun = {
            **self._messages(asked),
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 10, "output_tokens": 1},
        }
        end = {"stop_reason": "max_tokens", "stop_sequence": None}
        block = {"type": "text", "text": ""}
        events = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": self.server.answer}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ]  # fmt: skip
        return [(str(event["type"]), event) for event in events]

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("retry-after-ms", "1"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for name, event in events:
            self.wfile.write((f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(event)}\n\n".encode())
        if not events[0][0]:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(answer: str = ANSWER) -> Iterator[str]:
    """A running server; its address.

    Args:
        answer: what its models say, and what its errors quote.
    """
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    server.tries = 0
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
