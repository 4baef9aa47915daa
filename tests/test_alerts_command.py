"""`perfagent alerts`: what a person reads, what a script gets, and the exit statuses."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from perfagent.cli import main
from perfagent.hub.alert import escalation, maintenance
from tests.hub import ServedHub, resource, span, traces
from tests.program import clean_environment
from tests.test_docs import blocks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.slow


class Answered(NamedTuple):
    status: int
    out: str
    err: str


class Told:
    """A hub whose shop fails, and the command that asks it."""

    def __init__(self, hub: ServedHub, capfd: pytest.CaptureFixture[str]) -> None:
        self.hub, self._capfd = hub, capfd
        self._token = hub.access.token("operator")

    def __call__(self, *words: str) -> Answered:
        self._capfd.readouterr()
        where = ["--url", self.hub.url, "--token", self._token] if "--help" not in words else []
        try:
            status = main(["alerts", *words, *where])
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = self._capfd.readouterr()
        return Answered(status, out, err)

    def fail(self) -> str:
        """Makes an alert; returns its id."""
        spans = [
            span(minute * 100 + one, ago=60 * minute + 5, status=500 if one < 5 else 200)
            for minute in range(1, 7)
            for one in range(20)
        ]
        self.hub.send("traces", traces(resource("shop"), *spans))
        return str(self.hub.alerts()[0]["id"])


@pytest.fixture
def alerts(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setenv("PERFAGENT_HUB_DIR", str(tmp_path / "nobody"))
    monkeypatch.setenv("COLUMNS", "200")
    with ServedHub(tmp_path / "hub") as hub:
        yield Told(hub, capfd)


def test_the_exit_status_tells_whether_something_is_active(alerts: Told) -> None:
    assert alerts() == (0, "No active alert.\n", "")
    assert alerts("incidents").status == 0
    identity = alerts.fail()
    listed = alerts()
    assert listed.status == 1
    assert [identity[:8], "critical", "firing"] == listed.out.splitlines()[1].split()[:3]
    assert "Failing requests: at worst 25 % in shop, the limit is 10 %" in listed.out
    told = json.loads(alerts("--output", "json").out)
    assert (told["active"], [one["id"] for one in told["items"]]) == (1, [identity])
    assert alerts("--service", "other").status == 0
    assert alerts("--severity", "low").status == 0
    assert alerts("incidents").status == 1


def test_an_alert_is_acted_on_by_its_first_digits_and_an_incident_tells_all(alerts: Told) -> None:
    identity = alerts.fail()
    assert alerts("ack", identity[:6], "--note", "I look").out == f"{identity} is acknowledged\n"
    assert "operator I look" in alerts().out
    for action, state in (("escalate", "escalated"), ("dismiss", "dismissed"), ("reopen", "firing")):
        assert f"is {state}" in alerts(action, identity).out
    incident = json.loads(alerts("incidents", "--output", "json").out)["items"][0]["id"]
    shown = alerts("incidents", incident[:8])
    assert (shown.status, "Failing requests in shop" in shown.out) == (1, True)
    for part in ("next step:", "Acknowledged: Failing requests in shop", "operator I look", "People are told: fired"):
        assert part in shown.out
    assert "is resolved" in alerts("resolve", incident[:8]).out
    assert alerts().status == 0
    assert "resolved" in alerts("--all").out
    assert alerts("incidents", incident[:8]).status == 0
    assert json.loads(alerts("incidents", incident, "--output", "json").out)["state"] == "resolved"


def test_silences_are_begun_listed_and_ended(alerts: Told) -> None:
    identity = alerts.fail()
    assert " is on until " in alerts("silence", identity, "--for", "30m").out
    assert "firing, muted" in alerts().out
    assert alerts("silence", "--match", "service=sh*", "--match", "rule=error_*", "--note", "night").status == 0
    found = json.loads(alerts("silences", "--output", "json").out)["items"]
    assert found[0]["matchers"] == {"service": "sh*", "rule": "error_*"}
    assert "service=sh* rule=error_*" in alerts("silences").out
    for one in found:
        assert "has ended" in alerts("unsilence", one["id"][:8]).out
    assert alerts("silences").out == "No silence is on.\n"
    assert "muted" not in alerts().out


def test_maintenance_is_begun_listed_and_ended(alerts: Told) -> None:
    assert "No maintenance window" in alerts("maintenance").out
    begun = alerts("maintenance", "begin", "upgrade", "--service", "shop,pay*", "--for", "2h", "--note", "new disks")
    assert begun.status == 0
    listed = alerts("maintenance").out
    for part in ("upgrade", "shop, pay*", "new disks", "on"):
        assert part in listed
    (window,) = json.loads(alerts("maintenance", "--output", "json").out)["items"]
    assert window["end"] - window["begin"] == 7200
    assert alerts("maintenance", "end", "upgrade").status == 0
    assert "over" in alerts("maintenance").out
    ended = alerts("maintenance", "end", "upgrade")
    assert (ended.status, "is on or to come" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["ack"], "ack wants the ID of an alert"),
        (["silence"], "silence wants either the ID of an alert, or --match"),
        (["silence", "--match", "host=x"], "is not FIELD=TEXT with kind, rule, service"),
        (["silence", "abc", "--for", "soon"], "'soon' is no time such as 30m"),
        (["list", "abc"], "list takes no 'abc'"),
        (["maintenance", "start", "x"], "maintenance takes nothing, `begin NAME` or `end NAME`"),
        (["list", "--match", "service=x"], "--match is for silence"),
        (["ack", "abc", "--for", "1h"], "--for is for silence and maintenance begin"),
        (["ack", "ffffffff"], "no alert or incident begins with 'ffffffff'"),
        (["ack", "0000000000000000"], "no alert 0000000000000000"),
    ],
)
def test_wrong_words_say_what_is_accepted_and_exit_with_2(alerts: Told, words: list[str], wrong: str) -> None:
    answered = alerts(*words)
    assert answered.status == 2
    assert wrong in " ".join(answered.err.split())


def test_the_commands_of_the_how_to_do_what_they_say(alerts: Told) -> None:
    identity = alerts.fail()
    incident = alerts.hub.get("alerts")["items"][0]["incident"]
    for block in blocks("docs/how-to/alerts.md", "sh"):
        for line in block.splitlines():
            if line.startswith("perfagent alerts"):
                words = shlex.split(line, comments=True)[2:]
                words = [word.replace("5f2b9c1d", identity[:8]).replace("9c1d0e0e", incident[:8]) for word in words]
                answered = alerts(*words)
                assert answered.status in (0, 1), (line, answered)
                assert answered.out


def test_the_tables_of_the_how_to_are_accepted() -> None:
    document = tomllib.loads("\n".join(blocks("docs/how-to/alerts.md", "toml")))
    problems: list[str] = []
    windows = maintenance.declared([(one, "x") for one in document["maintenance"]], problems.append)
    steps = escalation.parse([(one, "x") for one in document["escalation"]], problems.append)
    assert (sorted(windows), len(steps), problems) == (["backup", "move"], 2, [])


def test_without_a_hub_the_exit_status_is_3(tmp_path: Path) -> None:
    env = clean_environment({"PERFAGENT_HUB_DIR": str(tmp_path)})
    done = subprocess.run(["perfagent", "alerts"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "no hub runs" in done.stderr) == (3, True)


def test_a_hub_without_the_token_refuses_and_a_viewer_may_not_act(alerts: Told) -> None:
    identity = alerts.fail()
    alerts._token = alerts.hub.access.token("viewer")
    assert alerts().status == 1
    refused = alerts("ack", identity)
    assert (refused.status, "needs the role operator" in refused.err) == (2, True)
