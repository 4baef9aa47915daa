"""The Model Context Protocol over HTTP: one JSON-RPC request in, one answer out, and nothing kept in between.

Both eras of it: that of the handshake (revisions 2025-03-26 to 2025-11-25, where sessions and the stream from the
server are optional and not offered), and that of 2026-07-28, where each request says by itself which revision it is of.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

import perfagent
from perfagent.hub.mcp import calling
from perfagent.hub.mcp.tools import INSTRUCTIONS, TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
VERSIONS = (*HANDSHAKE, *MODERN)
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
META = "io.modelcontextprotocol"
FRESH_MS = 60_000
"""How long a client may keep the list of tools: a newer hub has others."""


class Problem(Exception):  # noqa: N818 - an answer, not a fault
    """Ends a request with an error of JSON-RPC.

    Args:
        code: of the error.
        message: for people.
        data: more of it, for programs.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, **({} if data is None else {"data": data})}


async def answer(app: FastAPI, request: Request) -> Response:
    """Answers one POST."""
    identity: object = None
    try:
        message = _message(await request.body())
        identity = message.get("id")
        version = _version(message, request.headers)
        if "method" not in message or "id" not in message:  # a notification, or an answer to what nobody asked
            return Response(status_code=202)
        modern = version in MODERN
        if modern:
            _check_headers(message, request.headers)
        result = await _result(app, request, message, modern)
    except Problem as problem:
        code = problem.error["code"]
        status = 404 if code == METHOD_NOT_FOUND and _is_modern(request) else 400 if code != METHOD_NOT_FOUND else 200
        if code == INVALID_PARAMS and not _is_modern(request):
            status = 200
        return _json({"jsonrpc": "2.0", "id": identity, "error": problem.error}, status)
    return _json({"jsonrpc": "2.0", "id": identity, "result": result})


async def _result(app: FastAPI, request: Request, message: dict[str, Any], modern: bool) -> dict[str, Any]:
    method, params = message["method"], message.get("params") or {}
    complete: dict[str, Any] = {"resultType": "complete"} if modern else {}
    fresh = {**complete, "ttlMs": FRESH_MS, "cacheScope": "private"} if modern else {}
    match method:
        case "initialize" if not modern:
            return _handshake(params)
        case "server/discover":
            about = {"capabilities": {"tools": {}}, "instructions": INSTRUCTIONS}
            told = {"supportedVersions": list(VERSIONS), **about, "_meta": {f"{META}/serverInfo": _about()}}
            return {**told, "resultType": "complete", "ttlMs": FRESH_MS, "cacheScope": "private"}
        case "ping":
            return complete
        case "tools/list":
            return {"tools": [tool.declaration() for tool in TOOLS], **fresh}
        case "tools/call":
            return {**await _call(app, request, params), **complete}
    raise Problem(METHOD_NOT_FOUND, f"{str(method)[:100]!r} is not offered here: this server has tools alone")


def _handshake(params: Mapping[str, Any]) -> dict[str, Any]:
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[-1],
        "capabilities": {"tools": {}},
        "serverInfo": _about(),
        "instructions": INSTRUCTIONS,
    }


async def _call(app: FastAPI, request: Request, params: Mapping[str, Any]) -> dict[str, Any]:
    name, arguments = params.get("name"), params.get("arguments")
    tool = next((one for one in TOOLS if one.name == name), None)
    if tool is None:
        there = ", ".join(one.name for one in TOOLS)
        raise Problem(INVALID_PARAMS, f"there is no tool {str(name)[:100]!r}; there are: {there}")
    if not isinstance(arguments, dict | None):
        raise Problem(INVALID_PARAMS, "`arguments` is no object")
    try:
        text = await calling.call(app, request, tool, arguments or {})
    except calling.Wrong as wrong:  # the assistant sees it, and does better
        return {"content": [{"type": "text", "text": str(wrong)}], "isError": True}
    return {"content": [{"type": "text", "text": text}], "isError": False}


def _about() -> dict[str, str]:
    return {"name": "perfagent", "title": "perfagent hub", "version": perfagent.__version__}


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(PARSE_ERROR, f"the body is no JSON: {error}") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Problem(INVALID_REQUEST, 'the body is one message of JSON-RPC: {"jsonrpc": "2.0", "method": …}; no batch')
    method, identity, params = message.get("method"), message.get("id"), message.get("params")
    fits = isinstance(method, str | None) and isinstance(params, dict | None)
    if not fits or isinstance(identity, bool) or not isinstance(identity, str | int | float | None):
        message.pop("id", None)
        raise Problem(INVALID_REQUEST, "`method` is a text, `params` an object, `id` a text or a number")
    if "id" in message and identity is None:
        raise Problem(INVALID_REQUEST, "`id` must not be null")
    return message


def _version(message: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The revision that a message is of.

    Raises:
        Problem: one that is not spoken here, or header and message do not agree.
    """
    meta = (message.get("params") or {}).get("_meta")
    told = meta.get(f"{META}/protocolVersion") if isinstance(meta, dict) else None
    header = headers.get("mcp-protocol-version")
    if told is not None and header is not None and told != header:
        raise Problem(HEADER_MISMATCH, "MCP-Protocol-Version and the revision in `_meta` are not the same")
    found = told or header or HANDSHAKE[0]
    if message.get("method") == "initialize" and found not in MODERN:
        return HANDSHAKE[-1]  # what it asks for is negotiated, not refused
    if found not in VERSIONS:
        data = {"supported": list(VERSIONS), "requested": str(found)[:100]}
        raise Problem(UNSUPPORTED_VERSION, f"revision {str(found)[:100]!r} is not spoken here", data)
    return str(found)


def _is_modern(request: Request) -> bool:
    return request.headers.get("mcp-protocol-version") in MODERN


def _check_headers(message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """What a gateway routes by is what is done: the headers say the same as the body."""
    method, params = message["method"], message.get("params") or {}
    if headers.get("mcp-method", method) != method:
        raise Problem(HEADER_MISMATCH, "Mcp-Method and the message's `method` are not the same")
    name = headers.get("mcp-name")
    if name is not None and method == "tools/call" and _decoded(name) != params.get("name"):
        raise Problem(HEADER_MISMATCH, "Mcp-Name and the tool's name are not the same")


def _decoded(value: str) -> str | None:
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {"Cache-Control": "no-store"}, "application/json")
