"""Sources and what may come in their way: secrets that cannot be read, programs that never end, tables that are off."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.sources import addresses, options
from perfagent.hub.sources.asking import ask
from perfagent.hub.sources.custom import Command, collected
from perfagent.hub.sources.source import Plan, Point, SourceError
from tests.test_sources import collecting, declared, source, until

if TYPE_CHECKING:
    from tests.hub import ServeHub

pytest_plugins = ["tests.hub"]


def plan(kind: str, address: str = "", timeout: float = 10, **further: object) -> Plan:
    return Plan("one", kind, "high", 15, timeout, address, further)


# Secrets


def test_a_password_with_a_sign_that_ends_a_host_is_told_nowhere(serve_hub: ServeHub, tmp_path: Path) -> None:
    declared(
        tmp_path,
        """
        [[source]]
        name = "rows"
        url = "mysql://monitor:hush#hush@127.0.0.1:9/shop"
        [[source]]
        name = "keys"
        url = "redis://:hush/hush@127.0.0.1:9/0"
        """,
    )
    hub = collecting(serve_hub)
    problems = until(lambda: hub.get("sources")["problems"])
    assert len([one for one in problems if "%23" in one]) == 2, problems
    assert "hush" not in str(problems)
    assert "hush" not in str(hub.get("sources"))
    assert "hush" in addresses.secrets("mysql://monitor:hush#hush@127.0.0.1:9/shop")


def test_a_header_that_no_request_can_have_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_A_FILE", "Bearer s3cret\n")
    assert options.headers(plan("http", headers={"Authorization": "${TOKEN_OF_A_FILE}"})) == {
        "Authorization": "Bearer s3cret"
    }, "a secret that was read from a file ends with a line's end"
    monkeypatch.setenv("TOKEN_OF_A_FILE", "s3cret\nX: y")
    with pytest.raises(SourceError, match="Authorization") as refused:
        options.headers(plan("http", headers={"Authorization": "${TOKEN_OF_A_FILE}"}))
    assert "s3cret" not in str(refused.value)


# Declarations


def test_a_table_without_a_name_is_off_when_it_says_so_and_a_strange_one_hurts_no_other(
    serve_hub: ServeHub, tmp_path: Path
) -> None:
    declared(
        tmp_path,
        """
        [[source]]
        url = "http://127.0.0.1:9/off"
        enabled = false
        [[source]]
        url = "redis://:${NOT_SET}@cache"
        enabled = false
        [[source]]
        name = ["a"]
        kind = "cache"
        enabled = false
        [[source]]
        name = "spare"
        kind = "hub"
        enabled = false
        [[source]]
        name = "on"
        url = "http://127.0.0.1:9/on"
        enabled = "no"
        """,
    )
    hub = collecting(serve_hub)
    until(lambda: source(hub, "system").get("collections"))
    names = {one["name"] for one in hub.get("sources")["items"]}
    assert not names & {"http-127.0.0.1", "spare", "perfagent.hub"}
    problems = hub.get("sources")["problems"]
    assert any("enabled='no'" in one for one in problems), problems
    assert any("name=['a']" in one for one in problems), problems
    assert not any("NOT_SET" in one for one in problems), "what is off needs nothing"


# Commands


def test_a_command_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    script = f"sleep 300 & echo $! > {mark}; wait"
    command = Command(plan("command", timeout=1, command=["/bin/sh", "-c", script]), None)
    began = time.monotonic()
    with pytest.raises(SourceError, match="did not end"):
        command.collect()
    assert time.monotonic() - began < 60, "it was waited for what the command had started"
    child = int(mark.read_text())
    until(lambda: not is_running(child))


def test_a_command_that_never_stops_writing_takes_no_memory(tmp_path: Path) -> None:
    command = Command(plan("command", timeout=30, command=["/bin/sh", "-c", "exec yes"]), None)
    with pytest.raises(SourceError, match="1 MiB"):
        command.collect()
    command = Command(plan("command", timeout=30, command=["/bin/sh", "-c", "yes | head -c 3000000 >&2; exit 3"]), None)
    with pytest.raises(SourceError, match="exited with 3: "):
        command.collect()


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


# What is told by others


def test_an_answer_that_drips_without_end_is_none() -> None:
    ended = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not ended.wait(0.05):
                self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = threading.Thread(
            target=_drip, args=(f"http://127.0.0.1:{server.server_port}/", found := []), daemon=True
        )
        asked.start()
        asked.join(30)
        ended.set()
        server.shutdown()
    assert found == ["TimeoutError"]


def _drip(url: str, found: list[str]) -> None:
    try:
        ask(url, "GET", {}, 0.5)
    except OSError as error:
        found.append(type(error).__name__)


def test_points_of_a_users_own_code_that_are_none_are_told_and_the_others_kept() -> None:
    wrong: Any = [
        Point("well", 1), Point("text", "x"), Point("nan", float("nan")), Point("bad name", 1),
        Point("of", 1, attributes={"shard": 7}), Point("none", None), Point("huge", 10**400),
    ]  # fmt: skip
    found = collected(wrong, {}, ())
    assert [point.name for point in found.points] == ["well"]
    assert len(found.notes) == 6


def test_a_source_that_is_no_longer_declared_or_is_paused_has_seen_nothing(serve_hub: ServeHub, tmp_path: Path) -> None:
    waiting, ended = threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            waiting.set()
            ended.wait(30)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        table = f'[[source]]\nname = "gone"\nurl = "http://127.0.0.1:{server.server_port}/"\ntimeout = 60\n'
        declared(tmp_path, table)
        hub = collecting(serve_hub)
        assert waiting.wait(60)
        old = hub.hub.sources._collecting["gone"]
        declared(tmp_path, "# nothing any more")
        until(lambda: not source(hub, "gone"))
        ended.set()
        until(lambda: old.state.last_collected)
        server.shutdown()
    assert not [one for one in hub.hub.sources.facts() if one.source == "gone"]
    assert "gone" not in hub.hub.sources._seen
