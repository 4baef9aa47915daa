"""Calls a tool: asks the hub's own interface, in the process, and makes a text of bounded size of the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.concurrency import run_in_threadpool

from perfagent.hub.api import errors
from perfagent.hub.api.ranges import NOTES
from perfagent.hub.api.security import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from fastapi import FastAPI
    from starlette.requests import Request

    from perfagent.hub.mcp.tools import Tool

MOST = 40_000
"""Characters of an answer: 10,000 to 15,000 tokens; some clients refuse more than 25,000."""
LONGEST = 2000  # characters of an argument
KINDS = {
    "string": f"a text of at most {LONGEST} characters",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of at most 20 texts",
}


class Wrong(Exception):  # noqa: N818 - an answer, not a fault
    """A call that cannot be answered; the text tells the assistant why, and what to do."""


async def call(app: FastAPI, request: Request, tool: Tool, arguments: Mapping[str, Any]) -> str:
    """The text that answers a call.

    Raises:
        Wrong: the arguments are not accepted, or there is no such thing.
    """
    asked = _accepted(tool, arguments)
    path = tool.path
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", quote(str(asked.pop(name)), safe=""))
    query = {tool.renamed.get(name, name): value for name, value in asked.items() if name not in tool.own}
    try:
        answer, notes = await ask(app, request, f"{PREFIX}/{path}", {**tool.fixed, **query})
    except Wrong as wrong:
        said = str(wrong)
        for name, parameter in tool.renamed.items():  # the interface's names are not the tool's
            said = re.sub(rf"\b{parameter}(?==|: )", name, said)
        raise Wrong(said) from None
    shaped = await run_in_threadpool(tool.shape, answer, asked)
    text = shaped if isinstance(shaped, str) else fitted(shaped)
    return "\n".join((cut(text), *(f"note: {note}" for note in notes)))


def _accepted(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with their defaults; what is unknown, missing or too long is refused by name."""
    for name, value in arguments.items():
        if name not in tool.arguments:
            raise Wrong(
                f"{tool.name} has no argument {str(name)[:100]!r}; it has: {', '.join(tool.arguments) or 'none'}"
            )
        wanted = tool.arguments[name].get("type", "string")
        if value is not None and not _is(value, wanted):
            raise Wrong(
                f"{name}={str(value)[:100]!r} is not accepted: {KINDS[wanted]}; {tool.arguments[name]['description']}"
            )
    given = {name: value for name, value in arguments.items() if value is not None and value != ""}
    for name in tool.required:
        if name not in given:
            raise Wrong(f"{tool.name} needs {name}: {tool.arguments[name]['description']}")
    defaults = {name: one["default"] for name, one in tool.arguments.items() if "default" in one}
    return {**defaults, **given}


def _is(value: object, wanted: str) -> bool:
    match wanted:
        case "string":
            return isinstance(value, str) and len(value) <= LONGEST
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list) and len(value) <= 20 and all(_is(one, "string") for one in value)
    return isinstance(value, bool)


async def ask(app: FastAPI, request: Request, path: str, query: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """What the interface answers to a GET, as if it had come by HTTP: with the same checks, and the same words.

    Returns:
        Its data, and what it says that it lacks.
    """
    pairs = {
        name: ("true" if value else "false") if isinstance(value, bool) else value for name, value in query.items()
    }
    try:
        encoded = urlencode(pairs, doseq=True).encode()
    except UnicodeEncodeError:
        raise Wrong("an argument has characters that no text has: lone surrogates") from None
    scope = {
        **request.scope,
        "method": "GET",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": encoded,
        "headers": [(name, value) for name, value in request.scope["headers"] if name in (b"host", b"authorization")],
        "state": {},
        "path_params": {},
    }
    for known in ("route", "endpoint", "fastapi_middleware_astack"):
        scope.pop(known, None)
    sent = Sent()
    try:
        await AsyncExitStackMiddleware(app.router)(scope, sent.receive, sent.send)  # refusals are answers, too
    except Exception as error:
        raise Wrong(errors.failed(error, f"mcp {path[:200]}").message) from None
    if sent.status != 200:
        try:
            reason = str(orjson.loads(sent.body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            reason = f"the hub answered {sent.status}"
        raise Wrong(reason)
    return orjson.loads(sent.body)["data"], sent.notes


class Sent:
    """What a route sends."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.notes: list[str] = []

    async def receive(self) -> MutableMapping[str, Any]:
        """A request without a body."""
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Takes a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            told = dict(message["headers"]).get(NOTES.lower().encode(), b"").decode("latin-1")
            self.notes = [note for note in told.split(" | ") if note]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def fitted(data: Any) -> str:
    """`data` as JSON that fits: its longest list gets shorter, and says so, until it does."""
    text = _dumped(data)
    while len(text) > MOST and isinstance(data, dict):
        lists = {key: value for key, value in data.items() if isinstance(value, list) and value}
        if not lists:
            break
        longest = max(lists, key=lambda key: len(_dumped(lists[key])))
        kept = lists[longest][: int(len(lists[longest]) * min(MOST / len(text), 0.9))]
        left = len(lists[longest]) - len(kept) + data.get(f"{longest}_left_out", 0)
        data = {**data, longest: kept, f"{longest}_left_out": left}
        text = _dumped(data)
    return text


def _dumped(data: Any) -> str:
    return orjson.dumps(data).decode()


def cut(text: str) -> str:
    """A text of bounded size, at a line's end where there is one."""
    if len(text) <= MOST:
        return text
    kept = text[:MOST]
    kept = kept[: kept.rfind("\n")] if "\n" in kept[MOST // 2 :] else kept
    return f"{kept}\n… cut: {len(text) - len(kept)} more characters; ask for less, as with `limit` or a shorter range"
