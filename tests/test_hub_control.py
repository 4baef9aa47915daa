"""A hub commands the processes that report to it; they obey their own user's hub, or one that has their key, alone."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.access import Access, secret
from perfagent.hub.control.commands import EXPIRY, MOST_WAITING, Commands, Full
from perfagent.runtime import control
from tests.agent import agent_env
from tests.hub import ServedHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.hubs import Home
    from tests.otlp import Receiver
    from tests.program import Program

pytestmark = pytest.mark.slow

PROGRAM = """
import functools, logging, sqlite3, sys, time

@functools.lru_cache
def price(number):
    return number

log = logging.getLogger("shop")
log.setLevel(logging.DEBUG)
connection = sqlite3.connect(":memory:")
end = time.monotonic() + float(sys.argv[1])
print("ready", flush=True)
while time.monotonic() < end:
    connection.execute("select 1")
    price(7)
    log.info("sold")
    time.sleep(0.01)
print(sorted(name for name in sys.modules if name.startswith("perfagent.") and "control" in name), flush=True)
"""
PACE = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500", "PERFAGENT_STRICT": "true"}
COMMANDS = [
    "sampling_ratio", "log_level", "profiling", "profiler", "clear_cache", "invalidate_tags", "cache_ttl",
    "references", "report", "collect_garbage",
]  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(hub: ServedHub, instance: str, **body: Any) -> tuple[int, Any]:
    response = hub.ask(f"agents/{instance}/commands", "operator", "POST", json=body)
    return response.status_code, response.json()


def wait_for_agent(hub: ServedHub) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        items = hub.get("agents")["items"]
        if items:
            return dict(items[0])
        time.sleep(0.1)
    raise AssertionError("no agent reported")


def outcome(hub: ServedHub, instance: str, number: int, timeout: float = 15) -> dict[str, dict[str, Any]]:
    """The commands of a process by name, as soon as so many of them are over."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        items = hub.get(f"agents/{instance}/commands")["items"]
        if sum(item["state"] in ("done", "failed") for item in items) >= number:
            break
        time.sleep(0.1)
    return {item["command"]: item for item in items}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedHub]:
    with ServedHub(tmp_path / "hub", PERFAGENT_CONTROL_KEY="opensesame") as hub:
        yield hub


def elsewhere(hub: ServedHub, run_program: RunProgram, tmp_path: Path, seconds: float = 30, **env: str) -> Program:
    """A program that reports to a hub which is not in its user's folder."""
    (tmp_path / "app.py").write_text(PROGRAM)
    program = run_program(
        "perfagent", "run", "python", str(tmp_path / "app.py"), str(seconds),
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": hub.url, "PERFAGENT_HUB_DIR": str(tmp_path / "mine"), **PACE, **env},
    )  # fmt: skip
    program.wait_for_output("ready")
    return program


def test_commands_are_handed_out_once_and_answered_by_who_fetched_them() -> None:
    commands = Commands()
    asked = commands.ask("one", "profiling", True)
    assert commands.waiting(["one", "two"]) == 1
    assert commands.fetch("two") == []
    assert commands.fetch("one") == [asked]
    assert asked.state == "fetched"
    assert commands.waiting(["one"]) == 0
    assert commands.fetch("one") == []
    assert commands.answer("two", [{"id": asked.id, "ok": True}]) == []
    assert commands.answer("one", [{"id": asked.id, "ok": True, "result": 5}]) == [asked]
    assert commands.answer("one", [{"id": asked.id, "ok": False}]) == []
    assert (asked.state, asked.result) == ("done", 5)
    assert commands.of("one") == [asked]


def test_commands_that_nobody_fetches_or_answers_fail_after_a_while() -> None:
    clock = Clock()
    commands = Commands(clock)
    left, fetched = commands.ask("left", "report"), commands.ask("fetched", "report")
    clock.now += EXPIRY - 1
    commands.fetch("fetched")
    clock.now += 2
    assert commands.waiting(["left", "fetched"]) == 0
    assert commands.of("left")[0].state == "failed"
    assert "fetched it" in left.result
    assert fetched.state == "fetched"
    clock.now += EXPIRY
    assert commands.pending("fetched") == 0
    assert "answered" in fetched.result


def test_the_queue_of_a_process_is_bounded() -> None:
    commands = Commands()
    for _ in range(MOST_WAITING):
        commands.ask("one", "report")
    with pytest.raises(Full, match="wait for one already"):
        commands.ask("one", "report")
    commands.ask("two", "report")


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("reboot", None), ("sampling_ratio", 1.5), ("sampling_ratio", True), ("sampling_ratio", "1"), ("profiling", 1),
        ("profiling", None), ("log_level", "loud"), ("clear_cache", ""), ("clear_cache", 5), ("report", "all"),
        ("invalidate_tags", []),
    ],
)  # fmt: skip
def test_neither_the_hub_nor_the_agent_takes_what_is_not_on_the_list(command: str, value: object) -> None:
    with pytest.raises(ValueError, match=command):
        Commands().ask("one", command, value)
    if command != "report":  # the agent does not look at a value that it does not need

        class NoPipeline:
            settings = None

        result = control._done(NoPipeline(), {"id": "1", "command": command, "value": value})  # type: ignore[arg-type]
        assert result["ok"] is False
        assert isinstance(result["result"], str)


def document(access: Access, instance: str = "me", age: float = 0, **more: Any) -> tuple[bytes, str]:
    content = {
        "instance": instance,
        "issued": time.time() - age,
        "commands": [{"id": "x", "command": "report"}],
        **more,
    }
    body = json.dumps(content).encode()
    return body, access.sign(body)


@pytest.fixture
def access() -> Access:
    control._seen.clear()
    return Access(b"a secret of thirty-two bytes....")


def test_a_document_of_the_hub_is_believed_and_each_command_in_it_once(access: Access) -> None:
    body, signature = document(access)
    assert [command["id"] for command in control.commands(body, f"0123, {signature}", access, "me")] == ["x"]
    assert control.commands(body, signature, access, "me") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instance": "another"}, "another process"),
        ({"age": 400}, "400 s old"),
        ({"age": -400}, "-400 s old"),
        ({"issued": "NaN"}, "old"),
        ({"issued": "yesterday"}, "no control document"),
        ({"commands": [{"command": "report"}]}, "no control document"),
        ({"commands": 5}, "no control document"),
        ({"commands": [{"id": str(n)} for n in range(17)]}, "another process"),
    ],
)
def test_a_document_that_is_stale_or_for_somebody_else_is_not(
    access: Access, changes: dict[str, Any], reason: str
) -> None:
    body, signature = document(access, **changes)
    with pytest.raises(control.Refusal, match=reason):
        control.commands(body, signature, access, "me")


@pytest.mark.parametrize("signature", ["", "é", "0" * 64])
def test_a_document_of_nobody_knows_whom_is_not(access: Access, signature: str) -> None:
    with pytest.raises(control.Refusal, match="signature"):
        control.commands(document(access)[0], signature, access, "me")
    body, good = document(access)
    with pytest.raises(control.Refusal, match="signature"):
        control.commands(body + b" ", good, access, "me")


def test_a_program_does_what_its_users_hub_asks_and_tells_what_came_of_it(
    home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    program = run_program(
        "perfagent", "run", "python", str(tmp_path / "app.py"), "40",
        env={**home.env(), **PACE, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=verysecret"},
    )  # fmt: skip
    program.wait_for_output("ready")
    hub = Asking(home)
    instance = hub.agent()["instance"]
    for command, value in (
        ("sampling_ratio", 0.25), ("log_level", "info"), ("profiling", True), ("clear_cache", "__main__.price"),
        ("collect_garbage", None), ("report", None),
    ):  # fmt: skip
        assert hub.post(instance, command, value)["id"]
    results = hub.outcome(instance, 6)
    of_our_caches, of_others = {"invalidate_tags", "cache_ttl"}, {"profiler", "references"}
    asked = {*COMMANDS} - of_our_caches - of_others  # test_flame_command and test_leaks_hub ask for these
    assert {name: one["state"] for name, one in results.items()} == dict.fromkeys(asked, "done")
    assert results["sampling_ratio"]["result"] == {"before": 1.0, "now": 0.25}
    assert results["clear_cache"]["result"] == {"caches": 1, "entries": 1}
    told = results["report"]["result"]
    assert told["sampling"]["ratio"] == 0.25
    assert told["instruments"]["sqlite3"] == "on"
    assert told["packages"]["duckdb"]
    assert "verysecret" not in json.dumps(results)
    hub.post(instance, "sampling_ratio", None)
    hub.post(instance, "clear_cache", "no.such")
    hub.post(instance, "invalidate_tags", ["prices"])
    hub.post(instance, "cache_ttl", {"factors": {"": 4.0}})
    results = hub.outcome(instance, 10)
    assert results["sampling_ratio"]["result"]["now"] == 1.0
    assert {results[name]["state"] for name in ("clear_cache", *of_our_caches)} == {"failed"}
    assert "no cache with tags" in results["invalidate_tags"]["result"]
    assert "no cache of perfagent's" in results["cache_ttl"]["result"]
    actions = [entry["action"] for entry in home.get("audit", "admin")["items"]]
    assert (actions.count("command.asked"), actions.count("command.answered")) == (10, 10)
    home.kill()


class Asking:
    """Commands for the programs of a hub that is a process of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def agent(self) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while not (items := self.home.get("agents")["items"]):
            assert time.monotonic() < deadline, self.home.log
            time.sleep(0.1)
        return dict(items[0])

    def post(self, instance: str, command: str, value: object) -> Any:
        token = Access(secret(str(self.home.folder))).token("operator")
        request = urllib.request.Request(
            f"{self.home.hub.address}/api/v1/performance/agents/{instance}/commands",
            json.dumps({"command": command, "value": value}).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def outcome(self, instance: str, number: int) -> dict[str, dict[str, Any]]:
        deadline = time.monotonic() + 60
        while True:
            items = self.home.get(f"agents/{instance}/commands")["items"]
            if sum(item["state"] in ("done", "failed") for item in items) >= number:
                return {item["command"]: item for item in reversed(items)}
            assert time.monotonic() < deadline, items
            time.sleep(0.1)


def test_a_hub_elsewhere_is_obeyed_with_the_key_and_learns_nothing_else(
    served: ServedHub, run_program: RunProgram, tmp_path: Path
) -> None:
    program = elsewhere(served, run_program, tmp_path, PERFAGENT_CONTROL="on", PERFAGENT_CONTROL_KEY="opensesame")
    agent = wait_for_agent(served)
    assert (agent["commands"], agent["alive"], agent["last"]) == (COMMANDS, True, None)
    status, answer = ask(served, agent["instance"], command="report")
    assert (status, len(answer["data"]["id"])) == (202, 32)
    report = outcome(served, agent["instance"], 1)["report"]
    assert report["state"] == "done"
    assert "opensesame" not in json.dumps(report)
    assert hasattr(program, "pid")


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PERFAGENT_CONTROL": "off", "PERFAGENT_CONTROL_KEY": "opensesame"},
        {"PERFAGENT_CONTROL": "on"},
        {"PERFAGENT_CONTROL": "on", "PERFAGENT_CONTROL_KEY": "guessed"},
    ],
    ids=["auto", "off", "on without a key", "on with another key"],
)
def test_a_hub_elsewhere_is_not_obeyed_otherwise(
    served: ServedHub, run_program: RunProgram, tmp_path: Path, env: dict[str, str]
) -> None:
    elsewhere(served, run_program, tmp_path, **env)
    instance = wait_for_agent(served)["instance"]
    ask(served, instance, command="sampling_ratio", value=0)
    time.sleep(1.5)
    assert [item["state"] for item in served.get(f"agents/{instance}/commands")["items"]] == ["waiting"]


def test_nobody_is_asked_where_nothing_waits(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    command = ("perfagent", "run", "python", str(tmp_path / "app.py"), "1")
    shown = run_program(*command, env=agent_env(receiver)).check()
    assert shown.splitlines()[-1] == "[]"
    assert {request.method for request in receiver.requests} == {"POST"}


def test_a_stranger_that_says_that_commands_wait_is_not_even_asked_for_them(
    run_program: RunProgram, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.command)
            self.send_response(200)
            self.send_header("Perfagent-Control", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            asked.append(self.command)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "app.py").write_text(PROGRAM)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}", **PACE}
    env["PERFAGENT_HUB_DIR"] = str(tmp_path / "mine")
    program = run_program("perfagent", "run", "python", str(tmp_path / "app.py"), "1", env=env)
    program.check()
    server.shutdown()
    server.server_close()
    assert set(asked) == {"POST"}
    assert program.stderr == ""


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer agent.0000"}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ("viewer", 403),
        ("admin", 403),
        ("agent", 200),
        ("agent with key", 200),
    ],
)
def test_only_an_agent_fetches_commands(served: ServedHub, header: Any, status: int) -> None:
    if header == "agent with key":
        header = {"Authorization": f"Bearer {Access(b'opensesame').token('agent')}"}
    elif isinstance(header, str):
        header = served.bearer(header)
    response = served.client.get("/v1/control/some-instance", headers=header)
    assert response.status_code == status, response.text
    if status == 200:
        signatures = response.headers["Perfagent-Signature"].split(", ")
        assert signatures == [served.access.sign(response.content), Access(b"opensesame").sign(response.content)]
        assert response.json()["commands"] == []
    else:
        assert response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_a_foreign_page_cannot_fetch_commands(served: ServedHub, name: str) -> None:
    headers = {**served.bearer("agent"), name: "http://evil.example" if name == "Origin" else "evil.example"}
    assert served.client.get("/v1/control/some-instance", headers=headers).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"results": 5}', b'{"results": [5]}', b"\xff"])
def test_results_that_are_none_are_refused_with_what_is_accepted(served: ServedHub, body: bytes) -> None:
    response = served.client.post("/v1/control/one", content=body, headers=served.bearer("agent"))
    assert response.status_code == 400
    assert '"results"' in response.json()["error"]["message"]


def test_results_are_bounded(served: ServedHub) -> None:
    asked = served.hub.commands.ask("one", "report")
    served.hub.commands.fetch("one")
    body = {"results": [{"id": asked.id, "ok": True, "result": "x" * 70_000}]}
    answer = served.client.post("/v1/control/one", json=body, headers=served.bearer("agent"))
    assert answer.json() == {"answered": 1}
    assert (asked.state, asked.result) == ("failed", "the result is larger than 65536 bytes")
    large = served.client.post("/v1/control/one", content=b"x" * 1_100_000, headers=served.bearer("agent"))
    assert large.status_code == 413


def sent_by(served: ServedHub, instance: str, **attributes: str) -> None:
    """A span of a process."""
    resource = {"service.name": "shop", "service.instance.id": instance, **attributes}
    now = time.time_ns()
    span = {
        "traceId": "1" * 32, "spanId": "2" * 16, "name": "GET /", "kind": 2,
        "startTimeUnixNano": str(now - 1000), "endTimeUnixNano": str(now),
    }  # fmt: skip
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
    served.send("traces", {"resourceSpans": [{"resource": {"attributes": pairs}, "scopeSpans": [{"spans": [span]}]}]})


def test_who_may_ask_whom_for_what(served: ServedHub) -> None:
    sent_by(served, "ours", **{"telemetry.sdk.name": "perfagent"})
    sent_by(served, "a/b", **{"telemetry.sdk.name": "opentelemetry"})
    commandable = {item["instance"]: bool(item["commands"]) for item in served.get("agents")["items"]}
    assert commandable == {"ours": True, "a/b": False}
    assert ask(served, "ours", command="report")[0] == 202
    assert ask(served, "a/b", command="report")[0] == 409
    assert ask(served, "nobody", command="report")[0] == 404
    assert served.ask("agents/nobody/commands").status_code == 404
    assert served.ask("agents/ours/commands", "viewer", "POST", json={"command": "report"}).status_code == 403
    for body in ({"command": "reboot"}, {"command": "sampling_ratio", "value": 2}, {"command": "profiling"}, {}):
        status, answer = ask(served, "ours", **body)
        assert (status, answer["status"]) == (400, "error")
    for _ in range(MOST_WAITING - 1):
        assert ask(served, "ours", command="report")[0] == 202
    assert ask(served, "ours", command="report")[0] == 429
    (agent,) = [item for item in served.get("agents")["items"] if item["instance"] == "ours"]
    assert (agent["pending"], agent["last"]["state"]) == (MOST_WAITING, "waiting")
    first = served.get("agents/ours/commands", limit=10)
    assert len(first["items"]) == 10
    rest = served.get("agents/ours/commands", limit=10, cursor=first["next"])
    assert len(rest["items"]) == MOST_WAITING - 10


def test_an_answer_to_telemetry_says_how_many_commands_wait_for_its_senders(served: ServedHub) -> None:
    sent_by(served, "ours", **{"telemetry.sdk.name": "perfagent"})
    ask(served, "ours", command="report")
    ask(served, "ours", command="collect_garbage")

    def answered(instance: str) -> str | None:
        resource = {"attributes": [{"key": "service.instance.id", "value": {"stringValue": instance}}]}
        gauge = {"name": "level", "gauge": {"dataPoints": [{"timeUnixNano": str(time.time_ns()), "asInt": "1"}]}}
        body = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [gauge]}]}]}
        response = served.client.post("/v1/metrics", json=body, headers=served.bearer("agent"))
        assert response.status_code == 200, response.text
        return response.headers.get("Perfagent-Control")

    assert (answered("ours"), answered("another")) == ("2", None)
    served.client.get("/v1/control/ours", headers=served.bearer("agent"))
    assert answered("ours") is None
