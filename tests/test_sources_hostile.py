"""Sources and what may come in their way: secrets that cannot be read, programs that never end, tables that are off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfagent.hub.sources import addresses, options
from perfagent.hub.sources.source import Plan, SourceError
from tests.test_sources import collecting, declared, until

if TYPE_CHECKING:
    from pathlib import Path

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
