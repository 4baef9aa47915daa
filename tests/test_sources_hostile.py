"""Sources and what may come in their way: secrets that cannot be read, programs that never end, tables that are off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.sources import addresses, options
from perfagent.hub.sources.custom import Command
from perfagent.hub.sources.source import Plan, SourceError
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
