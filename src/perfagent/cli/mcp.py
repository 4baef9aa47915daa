"""`perfagent mcp`: a hub's tools for a coding assistant that wants a command: JSON-RPC by standard input and output.

Each line goes to the hub's `/mcp` as it is, and the hub's answer comes back as a line. The hub is found anew whenever
it does not answer, so an assistant may be started before it, and stay when it is started again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent import __version__
from perfagent.cli import command, ending
from perfagent.cli.client import Client, HubError

if TYPE_CHECKING:
    from argparse import Namespace

EXAMPLES = """
perfagent mcp                                                   # what an assistant starts; your own hub
PERFAGENT_HUB_TOKEN=… perfagent mcp --url https://hub.example   # another one, with a viewer's token
perfagent mcp --check                                           # which hub, and which tools it has
perfagent hub token                                             # for assistants that take an address: …/mcp
"""
DESCRIPTION = (
    "Gives a coding assistant the hub's tools (Model Context Protocol, read-only): findings with file and line, "
    "traces, slow endpoints and statements, profiles, comparisons, logs. An assistant starts this command and speaks "
    "to it; one that takes an address can ask the hub's own /mcp instead, with a viewer's token. In the assistant's "
    "settings: "
    '{"mcpServers": {"perfagent": {"command": "perfagent", "args": ["mcp"]}}}'
)
META = "io.modelcontextprotocol/protocolVersion"
SERVER_ERROR = -32000
LARGEST = 1 << 20  # characters of a line; the hub reads no more
ASKED_AT_ONCE = 4


def main(words: list[str]) -> int:
    """Passes on messages until its input ends; returns 0."""
    parser = command.parser("mcp", DESCRIPTION, EXAMPLES, formats=())
    parser.add_argument("--check", action="store_true", help="tell which hub answers and its tools, and end")
    parser.set_defaults(timeout=60)
    asked = parser.parse_args(words)
    bridge = Bridge(asked)
    return bridge.check() if asked.check else bridge.run()


class Bridge:
    """What passes messages on.

    Args:
        asked: which hub, and how long it may take.
    """

    def __init__(self, asked: Namespace) -> None:
        self.asked = asked
        self.revision = ""  # as the handshake has agreed
        self._hub: Client | None = None
        self._writing = Lock()

    def run(self) -> int:
        """Passes on each line; several questions may be under way."""
        output = sys.stdout
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        output.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            for line in sys.stdin:
                if not line.strip():
                    continue
                message = _parsed(line)
                if isinstance(message, dict) and message.get("method") == "initialize":
                    self._pass_on(line, message)  # what comes next needs what it agrees on
                else:
                    pool.submit(self._pass_on, line, message)
        return 0

    def check(self) -> int:
        """Tells which hub answers, and its tools."""
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        try:
            answer = self._ask(json.dumps(listing), listing)
        except HubError as error:
            return ending.told(str(error), error.status)
        tools = (answer or {}).get("result", {}).get("tools", [])
        print(f"{self._hub.address if self._hub else ''}/mcp answers, with {len(tools)} tools")
        for tool in tools:
            print(f"  {tool['name']:<16} {tool['title']}")
        return 0

    def _pass_on(self, line: str, message: Any) -> None:
        known = message if isinstance(message, dict) else {}
        try:
            answer = self._ask(line, known)
        except HubError as error:
            answer = _failure(known, str(error))
        except Exception as error:
            answer = _failure(known, f"perfagent mcp failed: {type(error).__name__}: {error}")
        if answer is not None and ("id" in known or not known):
            with self._writing:
                sys.stdout.write(json.dumps(answer) + "\n")  # a message is a line: line breaks within are escaped
                sys.stdout.flush()

    def _ask(self, line: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """The hub's answer; None where it has none to give.

        Raises:
            HubError: no hub answers, or it refuses.
        """
        if len(line) > LARGEST:
            return _failure(message, f"a message of more than {LARGEST} characters is not passed on")
        before = self._hub
        try:
            return self._post(line, message)
        except OSError as error:
            self._hub = None
            if before is None:  # found a moment ago
                raise self._silent(error) from None
        try:
            return self._post(line, message)
        except OSError as error:
            self._hub = None
            raise self._silent(error) from None

    def _silent(self, error: OSError) -> HubError:
        where = f" at {self.asked.url}" if self.asked.url else ""
        return HubError(
            f"no hub answers{where} ({error.strerror or error}): start one with `perfagent hub --background`, or a "
            "program with `perfagent run`"
        )

    def _post(self, line: str, message: dict[str, Any]) -> dict[str, Any] | None:
        hub = self._hub = self._hub or Client.find(self.asked.url, self.asked.token, self.asked.timeout)
        target = urlsplit(hub.address)
        secure = target.scheme == "https"
        connection = (
            http.client.HTTPSConnection(
                target.hostname or "", target.port, timeout=hub.timeout, context=ssl.create_default_context()
            )
            if secure
            else http.client.HTTPConnection(target.hostname or "", target.port, timeout=hub.timeout)
        )
        try:
            connection.request("POST", f"{target.path}/mcp", line.strip().encode(), self._headers(hub, message))
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if response.status == 202:
            return None
        answer = _parsed(body.decode("utf-8", "replace"))
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            raise HubError(_refusal(hub, response.status, answer))
        if message.get("method") == "initialize":
            self.revision = str(answer.get("result", {}).get("protocolVersion", ""))
        return answer

    def _headers(self, hub: Client, message: dict[str, Any]) -> dict[str, str]:
        headers = {
            **hub.headers,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": f"perfagent-mcp/{__version__}",
        }
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        revision = (meta.get(META) if isinstance(meta, dict) else None) or self.revision
        negotiates = message.get("method") == "initialize"
        if isinstance(revision, str) and revision.isascii() and revision.isprintable() and not negotiates:
            headers["MCP-Protocol-Version"] = revision or "2025-03-26"
        return headers


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _failure(message: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": SERVER_ERROR, "message": reason}}


def _refusal(hub: Client, status: int, answer: Any) -> str:
    told = answer.get("error") if isinstance(answer, dict) else None
    reason = told.get("message") if isinstance(told, dict) else ""
    if status == 401:
        return f"the hub at {hub.address} wants a token: set PERFAGENT_HUB_TOKEN in the assistant's settings"
    if status in (404, 405) and not reason:
        return f"{hub.address} has no /mcp: it is no hub, or an older one"
    return f"the hub at {hub.address} answered {status}: {reason or 'not as a hub does'}"
