"""What the page about notifications shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.declared import Declared
from perfagent.hub.notify import declaration, facts, sending
from perfagent.hub.notify.channel import HAPPENINGS, Channel
from perfagent.settings import Settings
from tests.notify_story import write
from tests.program import clean_environment
from tests.test_docs import ROOT, blocks
from tests.test_notify_process import Running

if TYPE_CHECKING:
    from tests.hubs import Home

PAGE = "docs/how-to/notify.md"
ENVIRON = {
    "PERFAGENT_SMTP_PASSWORD": "p",
    "PERFAGENT_SLACK_PATH": "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "PERFAGENT_TEAMS_WEBHOOK": "https://prod-00.westus.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64"
    "/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0",
    "PERFAGENT_PAGERDUTY_KEY": "0123456789abcdef0123456789abcdef",
    "PERFAGENT_HOOK_TOKEN": "t",
    "PERFAGENT_GOTIFY_TOKEN": "AbCdEf123456789",
}
"""What stands for the variables of the page."""


def declared(folder: Path) -> list[Channel]:
    """The channels of all examples, which must be right."""
    quick, *tables = blocks(PAGE, "toml")
    write(folder / "perfagent.toml", quick + "\n".join(tables))
    settings = Settings({}, str(folder))
    found, problems = declaration.read(Declared([str(folder)]).tables("channel"), settings.hub_channels, ENVIRON)
    assert problems == []
    return found


def test_every_example_is_a_channel_that_apprise_knows(tmp_path: Path) -> None:
    found = declared(tmp_path)
    assert {one.kind for one in found} == set(declaration.KINDS)
    assert [sending.check(one) for one in found] == [""] * len(found)
    assert [one.name for one in found if one.origin == "PERFAGENT_ALERT_CHANNELS"] == ["mailto", "file"]


def test_the_tables_of_keys_and_fields_are_those_of_the_code() -> None:
    parts = (ROOT / PAGE).read_text().split("## A text of your own")
    rows, fields = (dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", part, re.MULTILINE)) for part in parts)
    assert fields == facts.FIELDS
    keys = set(declaration.COMMON) - {"name", "kind", "url"}
    assert keys <= rows.keys()
    default: dict[str, Any] = {
        name: getattr(Channel("c", "file", "", {}), name) for name in ("severity", "rate_per_hour", "quiet_minutes")
    }
    assert rows["severity"].startswith(f"`{default['severity']}` |")
    rates = default["rate_per_hour"], declaration.RATES["pagerduty"]
    assert rows["rate_per_hour"].startswith(f"{rates[0]}; PagerDuty: {rates[1]} |")
    assert rows["quiet_minutes"].startswith(f"{default['quiet_minutes']:g} |")
    assert {word for word in HAPPENINGS if f"`{word}`" in rows["happenings"]} == set(HAPPENINGS)


@pytest.mark.slow
def test_the_commands_of_the_page_work(home: Home, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    write(home.folder / "perfagent.toml", f'[[channel]]\nname = "ops"\nkind = "file"\npath = "{told}"\n')
    (commands,) = blocks(PAGE, "sh")
    with Running(home):
        shown = subprocess.run(
            ["bash", "-euc", commands], env=clean_environment(home.env()), cwd=tmp_path,
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, ""), shown
    assert "ops has taken the message" in shown.stdout
    assert "A test of the channel ops" in shown.stdout
    assert len(told.read_text().splitlines()) == 1
