"""Secrets stay where they are in all that a hub and the commands tell of what looks deeper.

Each place must first tell what stands beside the secrets (the statement without its literals, the function that has
them, the class of what leaks), so one that tells nothing fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import duckdb
import httpx2
import mcp_types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from perfagent import cli
from perfagent.hub.access import Access, secret
from tests import canaries as secrets
from tests.browser import Visit
from tests.canaries import check, files
from tests.hubs import Home
from tests.patience import PATIENCE
from tests.program import Program
from tests.test_canaries_depth import DEPTH, check_comments
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
FINDINGS = {
    "blocked_loop", "duplicate_queries", "endless_retries", "lost_task", "memory_growth", "missing_timeout",
    "n_plus_one", "over_fetch", "session_per_call", "transaction_across_call", "unclosed",
}  # fmt: skip
SLOW = "select current_query(), count(*) from generate_series(?, ?) as n where n::text <> ? and n::text <> %s"
MANY = "select * from many where note = ? and note <> ?"
LEAK, LEAKING = "__main__.kept", "__main__.Account"
SHAPES = ("session:{}", "user:{} {}", "{}:{}")
BESIDE = ("__main__.by_secret[…]", LEAK, MANY, " blocks", " habits", " holds", " lost", " rows", "GET /repeats/{name}")
STACKS = ("busy", "leak", "blocks")
REST = {
    "insights": BESIDE,
    "recommendations": (LEAK, "GET /repeats/{name}", "canary_depth.py"),
    "overview": ("GET /blocks/{name}", LEAK),
    "dashboard": ("GET /blocks/{name}",),
    "reports?type=performance": ("GET /blocks/{name}",),
    "reports?type=queries": (SLOW, MANY),
    "logs": ("Task exception was never retrieved", LEAK, "perfagent.query.plan", "select id from many where note = ?"),
    "metrics": ("db.client.operation.duration",),
    "traces?min_ms=200": ('"GET"', "tested"),
    "caches": ("__main__.remembered",),
    "caches/economics": (*SHAPES, "canary_depth.py:"),
    "deprecations": ("canary_depth.py", "caches"),
    "services": ("tested",),
    "profiles": ("GET /blocks/{name}", "Thread-N (busy)", "tasks.<locals>.waits"),
    "profiles/tree?type=wall": STACKS,
    "profiles/tree?type=cpu": ("busy",),
    "profiles/functions?type=wall": STACKS,
    "profiles/lines?type=cpu": ("canary_depth.py",),
    "endpoints/{endpoint}": ("GET /repeats/{name}", MANY),
    "queries/{query}": (SLOW, "Function Scan", "Filter: (((n.n)::text <> ?::text) AND ((n.n)::text <> $1))"),
    "traces/{trace}": ("GET /repeats/{name}", MANY),
    "processes/{process}": ("tested",),
    "processes/{process}/memory": (LEAK, LEAKING, "leak"),
}
TOOLS = {
    "findings": BESIDE,
    "services": ("tested",),
    "slow_endpoints": ("GET /blocks/{name}",),
    "endpoint": ("GET /repeats/{name}", MANY),
    "search_traces": ("HGET",),
    "trace": ("GET /repeats/{name}", MANY),
    "slow_queries": (SLOW, MANY),
    "query": (SLOW, "Function Scan"),
    "hot_lines": ("canary_depth.py",),
    "flame_graph": ("busy",),
    "logs": ("Task exception was never retrieved",),
}
COMMANDS = {
    "memory --service tested": (LEAK, LEAKING),
    "dashboard": ("GET /blocks/{name}", "generate_series(?, ?)", LEAK),
    "dashboard --output json": BESIDE[:3],
    "traces --limit 200": (" HGET ",),
    "deprecations --output json": ("canary_depth.py",),
    "report --type performance --format html": ("GET /blocks/{name}",),
    "report --type queries --format csv": (MANY,),
    "budget check --service tested --output json": ("GET /repeats/{name}",),
    "flame --service tested": STACKS[:2],
    "flame --service tested --lines --type cpu": ("canary_depth.py",),
    **dict.fromkeys((f"flame --output {kind}" for kind in ("json", "speedscope", "collapsed", "svg", "html")), STACKS),
    **dict.fromkeys((f"flame --output {kind} --file profile.{kind}" for kind in ("otlp", "pprof")), STACKS),
}
VIEWS = {
    "overview": (LEAK, "GET /blocks/{name}"),
    "endpoints": ("GET /blocks/{name}",),
    "endpoints/{endpoint}": ("GET /repeats/{name}", MANY),
    "queries": (MANY,),
    "queries/{query}": ("Function Scan", "slow"),
    "traces": ("HGET",),
    "traces/{trace}": ("GET /repeats/{name}", "many"),
    "caches": ("session:{}", "__main__.remembered"),
    "processes": ("tested",),
    "processes/{process}": (LEAK, LEAKING),
    "profiles": ("busy", "blocks"),
    "logs": ("Task exception was never retrieved",),
    "deprecations": ("canary_depth.py",),
}


class Told(NamedTuple):
    """A hub that knows the program, which has ended since."""

    home: Home
    program: Program
    memory: str
    """What `perfagent memory` said while it ran."""
    names: dict[str, str]
    """Of an endpoint, a statement, a trace and a process that it shows."""

    def ask(self, path: str) -> str:
        """An answer of the hub's, as a text with its own characters."""
        ranged = path.partition("/")[0] != "traces"  # one trace is asked for as it is
        within = f"{path}{'&' if '?' in path else '?'}from=-20m" if ranged or "?" in path else path
        return json.dumps(self.home.get(within, timeout=PATIENCE), ensure_ascii=False)

    def token(self) -> str:
        return Access(secret(str(self.home.folder))).token("viewer")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("depth")
    home = Home(folder / "hub")
    programs: list[Program] = []

    def run(*command: str, env: Any = None, cwd: Path | None = None) -> Program:
        programs.append(Program(command, tmp_path_factory.mktemp("program"), env, cwd))
        return programs[-1]

    try:
        run("perfagent", "hub", "--background", env=home.env()).check()  # so that nothing waits for its boot
        env = home.env(OTEL_BSP_SCHEDULE_DELAY="100", OTEL_METRIC_EXPORT_INTERVAL="1000", **DEPTH)
        servers = {"postgres": postgres_url, "redis": redis_url}
        program = secrets.start(cast("RunProgram", run), folder, "canary_depth", servers, env)
        names = found(home)
        memory = run(
            "perfagent", "memory", "--service", "tested", "--type", "Account", env=home.env(COLUMNS="400")
        ).check()
        (folder / "release").touch()
        assert program.wait() == 0, program.stderr
        yield Told(home, program, memory, names)
    finally:
        for one in programs:
            one.stop()
        home.kill()


def found(home: Home) -> dict[str, str]:
    """Waits until the hub has found all that there is to find, and returns what tells where."""
    deadline = time.monotonic() + 2 * PATIENCE  # what leaks must grow steadily for a while
    while True:
        kinds = {one["kind"] for one in home.get("insights?from=-20m", timeout=PATIENCE)["items"]}
        (process,) = home.get("processes", timeout=PATIENCE)["items"]
        leaks = home.get(f"processes/{process['instance']}/memory", timeout=PATIENCE)["leaks"]
        worth = home.get("caches/economics", timeout=PATIENCE)["items"]
        missing = FINDINGS - kinds
        shapes = {shape["shape"] for one in worth for shape in one["shapes"]}
        if not missing and shapes >= set(SHAPES) and {one["holder"] for one in leaks} >= set(BESIDE[:2]):
            break
        assert time.monotonic() < deadline, (missing, leaks, shapes, home.log)
        time.sleep(0.2)
    statements = {one["text"]: one["operation"] for one in home.get("queries")["items"]}
    endpoints = {one["name"]: one["operation"] for one in home.get("endpoints")["items"]}
    endpoint = endpoints["GET /repeats/{name}"]
    return {
        "process": process["instance"],
        "query": statements[SLOW],
        "endpoint": endpoint,
        "trace": home.get(f"traces?operation={endpoint}")["items"][0]["trace_id"],
    }


def telling(what: str, content: str | bytes, beside: tuple[str, ...]) -> bytes:
    """A content as bytes; asserts that it tells what stands beside the secrets."""
    raw = content.encode() if isinstance(content, str) else content
    text = raw.decode(errors="replace")
    absent = [one for one in beside if one not in text]
    assert not absent, f"{what} does not tell {absent}: {text[:3000]}"
    return raw


def test_answers_of_the_hub_tell_what_stands_beside_a_secret(told: Told) -> None:
    for path, beside in REST.items():
        check("answers of the hub", [telling(path, told.ask(path.format(**told.names)), beside)])


def test_assistants_are_told_no_secret(told: Told) -> None:
    needed = {"endpoint": {"operation": told.names["endpoint"]}, "query": {"operation": told.names["query"]},
              "trace": {"trace_id": told.names["trace"]}}  # fmt: skip

    async def ask_all() -> dict[str, str]:
        answers = {}
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {told.token()}"}, timeout=PATIENCE) as http,
            Client(streamable_http_client(f"{told.home.hub.address}/mcp", http_client=http)) as client,
        ):
            for tool in (await client.list_tools()).tools:
                result = await client.call_tool(tool.name, needed.get(tool.name, {}))
                assert isinstance(result, mcp_types.CallToolResult)
                (content,) = result.content
                assert isinstance(content, mcp_types.TextContent)
                assert not result.is_error or tool.name == "compare", content.text  # there is one start alone
                answers[tool.name] = content.text
        return answers

    answers = asyncio.run(ask_all())
    assert set(answers) >= set(TOOLS)
    check("answers to assistants", [telling(name, text, TOOLS.get(name, ())) for name, text in answers.items()])


def test_commands_tell_what_stands_beside_a_secret(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")  # for tables that shorten nothing
    (tmp_path / "perfagent.toml").write_text('[budgets.endpoints]\n"GET /*" = { queries = 5 }\n')
    for words, beside in COMMANDS.items():
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        with contextlib.redirect_stdout(out):
            status = cli.main([*words.split(), "--url", told.home.hub.address, "--token", told.token()])
        printed = out.buffer.getvalue()
        assert status in (0, 1), (words, printed)
        file = tmp_path / words.rpartition(" ")[2]
        written = file.read_bytes() if "--file" in words else b""
        written = gzip.decompress(written) if written.startswith(b"\x1f\x8b") else written  # pprof's
        check("what commands say and write", [telling(words, written or printed, beside), printed])


def test_what_holds_objects_is_told_by_names_of_the_programs_alone(told: Told) -> None:
    check("what holds objects", [telling("perfagent memory --type", told.memory, (".kept", LEAKING, "[…]"))])
    check_comments(told.program)
    check("standard error of what looks deeper", [told.program.stderr.encode() + b" "])


def test_tests_that_are_over_their_budget_are_told_without_secrets(run_program: RunProgram, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    env = {"PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(ROOT)}
    tests = ("-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(ROOT),
             str(ROOT / "tests/apps/canary_budgeted.py"))  # fmt: skip
    over = run_program(
        "perfagent", "budget", "--output", "github", "--report", "used.json", sys.executable, *tests,
        "--junitxml=junit.xml", env=env, cwd=tmp_path,
    )  # fmt: skip
    assert over.wait() == 1, over.stdout + over.stderr
    line = "select note from lines where note = ?"
    told = {
        "annotations": (over.stdout, ("::error file=", "canary_budgeted.py", line, "GET /bills/<name>")),
        "summary": (summary.read_bytes(), (line, "GET /bills/<name>")),
        "report": ((tmp_path / "used.json").read_bytes(), ("test_a_bill", line, "GET /bills/<name>")),
        "properties": ((tmp_path / "junit.xml").read_bytes(), ("test_a_bill", "queries")),
    }
    check("budgets of tests", [telling(what, *content) for what, content in told.items()] + [over.stderr.encode()])


def test_pages_show_no_secret(told: Told, browser: Browser) -> None:
    class Address(NamedTuple):
        url: str
        access: Access

    hub = Address(told.home.hub.address, Access(secret(str(told.home.folder))))
    with Visit(browser, cast("ServedHub", hub)) as visit:
        for route, beside in VIEWS.items():
            visit.open(route.format(**told.names), re.sub(r".*{(.+)}", r"\1", route))
            deadline = time.monotonic() + PATIENCE
            while not all(one in visit.text() for one in beside) and time.monotonic() < deadline:
                visit.page.wait_for_timeout(50)
            check("the page", [telling(route, visit.text(), beside), visit.page.content().encode()])


def test_an_export_of_the_hub_and_its_files_hold_no_secret(told: Told, run_program: RunProgram, tmp_path: Path) -> None:
    run_program("perfagent", "hub", "export", str(tmp_path / "all"), env=told.home.env()).check()
    rows = []
    for path in (tmp_path / "all").glob("*.parquet"):
        rows += duckdb.sql(f"select * from read_parquet('{path}')").fetchall()
    told_of = (LEAK, LEAKING, SLOW, MANY, "perfagent.cache.shape", "Function Scan", "busy", "tasks.<locals>.waits")
    check("rows of an export", [telling("perfagent hub export", "\n".join(map(str, rows)), told_of)])
    check("files of the hub and of its export", [*files(told.home.folder), *files(tmp_path)])
