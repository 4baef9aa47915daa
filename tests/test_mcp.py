"""The hub's tools for coding assistants, asked by the official client of the Model Context Protocol."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import mcp_types
import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from perfagent import cli
from perfagent.hub.mcp import calling, protocol, routes, tools
from tests import hub_story
from tests.hub import ServedHub
from tests.profiles import PATH, Profiles
from tests.program import clean_environment
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PROTOBUF = "application/x-protobuf"
PAYLOAD = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with ServedHub(tmp_path_factory.mktemp("hub")) as served:
        served.send("traces", hub_story.traces(time.time_ns() - 30 * hub_story.SECOND))
        yield served


@asynccontextmanager
async def assistant(hub: ServedHub, mode: str = "auto", role: str = "viewer") -> AsyncIterator[Client]:
    """The official client, connected to a hub."""
    async with (
        httpx2.AsyncClient(headers=hub.bearer(role), timeout=30) as http,
        Client(streamable_http_client(f"{hub.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def text_of(client: Client, name: str, **arguments: Any) -> str:
    """The text that a tool answers."""
    result = await client.call_tool(name, {key.rstrip("_"): value for key, value in arguments.items()})
    assert isinstance(result, mcp_types.CallToolResult)
    (content,) = result.content
    assert isinstance(content, mcp_types.TextContent)
    assert not result.is_error, content.text
    return content.text


async def json_of(client: Client, name: str, **arguments: Any) -> Any:
    """What a tool answers, as data."""
    return json.loads(await text_of(client, name, **arguments))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_lists_tools_that_only_read(hub: ServedHub, mode: str) -> None:
    async def look() -> tuple[str, mcp_types.ListToolsResult]:
        async with assistant(hub, mode) as client:
            return str(client.protocol_version), await client.list_tools()

    version, listed = asyncio.run(look())
    assert version == ("2026-07-28" if mode == "auto" else "2025-11-25")
    names = {tool.name for tool in listed.tools}
    assert {"findings", "trace", "slow_queries", "compare", "logs", "health", "endpoint"} <= names
    for tool in listed.tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.input_schema["additionalProperties"] is False
        assert all(argument["description"] for argument in tool.input_schema["properties"].values())
        assert len(tool.description or "") > 60


def test_an_assistant_gets_from_a_finding_to_the_line_that_repeats_a_query(hub: ServedHub) -> None:
    async def walk() -> None:
        async with assistant(hub) as client:
            (found,) = [one for one in (await json_of(client, "findings"))["findings"] if one["kind"] == "n_plus_one"]
            assert "GET /orders" in found["title"]
            assert found["steps"]
            drawn = await text_of(client, "trace", trace_id=found["traces"][0])
            assert f"x {hub_story.LINES}, {hub_story.TEXT}" in drawn
            assert "repeated 6 times" in drawn
            endpoints = (await json_of(client, "slow_endpoints", sort="total"))["items"]
            orders = next(one for one in endpoints if one["name"] == "GET /orders")
            assert orders["requests"] == hub_story.ORDERS
            told = await json_of(client, "endpoint", operation=orders["operation"])
            assert told["queries"][0]["calls_per_request"] == hub_story.LINES
            assert told["breakdown"]["queries_ms"] > 0
            statements = (await json_of(client, "slow_queries"))["items"]
            assert statements[0]["text"] == hub_story.TEXT
            one = await json_of(client, "query", operation=statements[0]["operation"])
            assert one["endpoints"][0]["name"] == "GET /orders"

    asyncio.run(walk())


def test_every_tool_answers_without_arguments_or_says_which_it_needs(hub: ServedHub) -> None:
    needed = {"endpoint": "operation", "query": "operation", "trace": "trace_id"}

    async def call_all() -> None:
        async with assistant(hub) as client:
            for tool in (await client.list_tools()).tools:
                result = await client.call_tool(tool.name, {})
                assert isinstance(result, mcp_types.CallToolResult)
                (content,) = result.content
                assert isinstance(content, mcp_types.TextContent)
                if tool.name in needed:
                    assert result.is_error
                    assert content.text.startswith(f"{tool.name} needs {needed[tool.name]}")
                elif tool.name == "compare":  # the story has no start of a process to compare with
                    assert "start" in content.text
                else:
                    assert not result.is_error, content.text

    asyncio.run(call_all())


def test_a_profile_is_told_as_a_tree_and_by_its_lines(hub: ServedHub) -> None:
    found = Profiles(ago=20)
    entry = ("handle", "shop/app.py", 5, 8)
    for line, share in ((31, 900_000_000), (44, 100_000_000)):
        found.add([entry, ("load", "shop/items.py", 28, line)], share, "cpu", endpoint="GET /cart/{id}")
    found.add([entry], 4096, "alloc_space")
    sent = hub.client.post(PATH, content=found.encode(), headers=hub.bearer("agent") | {"Content-Type": PROTOBUF})
    assert sent.status_code == 200, sent.text

    async def look() -> tuple[str, Any, Any]:
        async with assistant(hub) as client:
            tree = await text_of(client, "flame_graph", type="cpu", endpoint="GET /cart/{id}", service="shop")
            lines = await json_of(client, "hot_lines", endpoint="GET /cart/{id}")
            return tree, lines, await json_of(client, "hot_lines", type="alloc")

    tree, lines, allocated = asyncio.run(look())
    assert [(one["line"], one["self"]) for one in allocated["items"]] == [(8, 4096)]
    assert tree.startswith("cpu, 1000 ms in all from 100 samples")
    assert tree.splitlines()[1:] == [
        "100% handle  shop/app.py:8 [own]",
        "  100% load  shop/items.py:31 [own], itself 100%",
    ]
    assert [(one["file"], one["line"], one["self"]) for one in lines["items"]][:2] == [
        ("shop/items.py", 31, 900),
        ("shop/items.py", 44, 100),
    ]


def test_pages_follow_each_other_by_their_cursor(hub: ServedHub) -> None:
    async def leaf() -> list[str]:
        found: list[str] = []
        async with assistant(hub) as client:
            cursor = None
            while True:
                page = await json_of(client, "search_traces", limit=20, **({"cursor": cursor} if cursor else {}))
                found += [one["trace_id"] for one in page["items"]]
                cursor = page.get("next")
                if cursor is None:
                    return found

    found = asyncio.run(leaf())
    assert len(found) == len(set(found)) == hub_story.ORDERS + hub_story.RATINGS + 2


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("trace", {"trace_id": "../../hub"}, "is not accepted: string should match pattern"),
        ("trace", {"trace_id": "0" * 32}, "no trace 000"),
        ("trace", {"trace_id": ["0" * 32]}, "a text"),
        ("search_traces", {"limit": 10**9}, "limit=1000000000 is not accepted"),
        ("search_traces", {"limit": True}, "a whole number"),
        ("search_traces", {"text": "\x00'; DROP TABLE spans"}, "text="),
        ("search_traces", {"text": "x" * 5000}, "text="),
        ("search_traces", {"from": "yesterday"}, "from=yesterday is not accepted"),
        ("search_traces", {"cursor": "AAAA"}, "cursor"),
        ("search_traces", {"attributes": [{"a": 1}]}, "a list"),
        ("search_traces", {"command": "profiling"}, "has no argument 'command'"),
        ("endpoint", {"operation": "1/../../agents"}, "operation"),
        ("endpoint", {"operation": "9" * 19}, "no operation"),
        ("slow_queries", {"sort": "1; DELETE"}, "sort="),
        ("compare", {"before": "nonsense", "after": "start"}, "nonsense"),
    ],
)
def test_hostile_arguments_are_refused_with_words_that_help(
    hub: ServedHub, name: str, arguments: dict[str, Any], said: str
) -> None:
    async def call() -> tuple[bool | None, str]:
        async with assistant(hub) as client:
            result = await client.call_tool(name, arguments)
            assert isinstance(result, mcp_types.CallToolResult)
            (content,) = result.content
            assert isinstance(content, mcp_types.TextContent)
            return result.is_error, content.text

    wrong, text = asyncio.run(call())
    assert wrong
    assert said in text
    assert "Traceback" not in text


def test_what_the_protocol_does_not_know_is_an_error_of_json_rpc(hub: ServedHub) -> None:
    async def call() -> None:
        async with assistant(hub) as client:
            with pytest.raises(MCPError, match="there is no tool 'shell'"):
                await client.call_tool("shell", {})

    asyncio.run(call())
    assert _error(hub, {**PAYLOAD, "method": "resources/list"})[1] == protocol.METHOD_NOT_FOUND
    assert _error(hub, [PAYLOAD])[:2] == (400, protocol.INVALID_REQUEST)
    assert _error(hub, {**PAYLOAD, "params": []})[:2] == (400, protocol.INVALID_REQUEST)
    assert _error(hub, {**PAYLOAD, "id": None})[:2] == (400, protocol.INVALID_REQUEST)
    assert _error(hub, b"{")[:2] == (400, protocol.PARSE_ERROR)
    status, code, data = _error(hub, PAYLOAD, {"MCP-Protocol-Version": "1999-01-01"})
    assert (status, code) == (400, protocol.UNSUPPORTED_VERSION)
    assert "2026-07-28" in data["supported"]
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
    assert _error(hub, PAYLOAD, modern)[:2] == (400, protocol.HEADER_MISMATCH)


def test_notifications_are_taken_and_other_methods_of_http_are_not(hub: ServedHub) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    taken = hub.client.post("/mcp", json=note, headers=hub.bearer("viewer"))
    assert (taken.status_code, taken.content) == (202, b"")
    for method in ("GET", "DELETE"):  # no stream from the server, no session to end
        assert hub.client.request(method, "/mcp", headers=hub.bearer("viewer")).status_code == 405


def test_only_who_shows_a_token_may_ask_and_no_other_servers_page(hub: ServedHub) -> None:
    assert hub.client.post("/mcp", json=PAYLOAD).status_code == 401
    assert hub.client.post("/mcp", json=PAYLOAD, headers={"Authorization": "Bearer viewer.0"}).status_code == 401
    assert hub.client.post("/mcp", json=PAYLOAD, headers=hub.bearer("agent")).status_code == 403
    assert hub.client.post("/mcp", json=PAYLOAD, headers=hub.bearer("viewer")).status_code == 200
    foreign = {**hub.bearer("viewer"), "Origin": "https://evil.example"}
    assert hub.client.post("/mcp", json=PAYLOAD, headers=foreign).status_code == 403
    elsewhere = {**hub.bearer("viewer"), "Host": "evil.example"}
    assert hub.client.post("/mcp", json=PAYLOAD, headers=elsewhere).status_code == 403
    own = {**hub.bearer("viewer"), "Origin": hub.url}
    assert hub.client.post("/mcp", json=PAYLOAD, headers=own).status_code == 200

    async def connect() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer nobody"}) as http,
            Client(streamable_http_client(f"{hub.url}/mcp", http_client=http)),
        ):
            pass

    with pytest.raises(Exception, match=r".") as failure:
        asyncio.run(connect())
    assert "AssertionError" not in repr(failure.value)


def test_an_answer_has_a_bounded_size_and_says_what_it_leaves_out() -> None:
    items = [{"text": "x" * 1000, "number": number} for number in range(500)]
    text = calling.cut(calling.fitted({"items": items, "next": "abc"}))
    assert len(text) <= calling.MOST
    told = json.loads(text)
    assert len(told["items"]) + told["items_left_out"] == 500
    assert told["items"][0]["number"] == 0
    long = calling.cut("line\n" * 100_000)
    assert len(long) < calling.MOST + 200
    assert "more characters" in long


def test_no_tool_asks_an_address_that_changes_something(hub: ServedHub) -> None:
    paths = hub.client.get("/openapi.json", headers=hub.bearer("viewer")).json()["paths"]
    for tool in tools.TOOLS:
        known = {one["name"] for one in paths[f"/api/v1/performance/{tool.path}"]["get"].get("parameters", ())}
        asked = {tool.renamed.get(name, name) for name in tool.arguments if name not in tool.own}
        assert asked | set(tool.fixed) <= known, tool.name


def test_the_settings_that_the_page_shows_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr("perfagent.cli.mcp.Bridge.run", lambda bridge: started.append(bridge.asked) or 0)
    shown = [json.loads(block)["mcpServers"]["perfagent"] for block in blocks("docs/how-to/mcp.md", "json")]
    commands = [one for one in shown if "command" in one]
    for one in commands:
        assert one["command"] == "perfagent"
        assert cli.main(one["args"]) == 0
    assert [asked.url for asked in started] == ["", "https://hub.example"]
    (address,) = [one["url"] for one in shown if "url" in one]
    assert address.endswith(routes.PATH)


def test_every_tool_is_on_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/mcp.md").read_text()
    assert [tool.name for tool in tools.TOOLS if f"`{tool.name}`" not in page] == []


@pytest.mark.slow
def test_the_command_gives_an_assistant_the_same_tools(hub: ServedHub, tmp_path: Path) -> None:
    env = clean_environment({
        "PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("viewer"),
        "PERFAGENT_HUB_DIR": str(tmp_path),
    })  # fmt: skip
    command = StdioServerParameters(command="perfagent", args=["mcp"], env=env)

    async def look(mode: str) -> tuple[set[str], str]:
        async with Client(stdio_client(command), mode=mode) as client:
            listed = await client.list_tools()
            answers = await asyncio.gather(*(json_of(client, "slow_endpoints") for _ in range(8)))
            assert {len(answer["items"]) for answer in answers} == {len(answers[0]["items"])}
            return {tool.name for tool in listed.tools}, str(answers[0])

    there = {tool.name for tool in tools.TOOLS}
    for mode in ("auto", "legacy"):
        names, text = asyncio.run(look(mode))
        assert names == there
        assert "GET /orders" in text


@pytest.mark.slow
def test_the_command_tells_an_assistant_that_no_hub_runs(tmp_path: Path) -> None:
    env = clean_environment({"PERFAGENT_HUB_DIR": str(tmp_path)})

    async def connect() -> None:
        async with Client(stdio_client(StdioServerParameters(command="perfagent", args=["mcp"], env=env))):
            pass

    with pytest.raises(Exception, match=r".") as failure:
        asyncio.run(connect())
    assert "no hub runs" in str(_innermost(failure.value))


def _innermost(error: BaseException) -> BaseException:
    while within := getattr(error, "exceptions", ()):  # of an exception group
        error = within[0]
    return error


def _error(hub: ServedHub, message: object, headers: dict[str, str] | None = None) -> tuple[int, int, Any]:
    """Status, code and data of a message that must be refused."""
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    response = hub.client.post("/mcp", content=content, headers={**hub.bearer("viewer"), **(headers or {})})
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"], error.get("data")
