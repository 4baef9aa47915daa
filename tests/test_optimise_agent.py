"""Optimisation rules with real agents in real programs and a real hub, also one that is killed."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.access import Access, secret
from tests.hubs import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram
    from tests.hubs import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PACE = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "300", "PERFAGENT_HUB_OPEN": "never"}
PATIENCE = 150.0  # s; a busy machine, and an agent that does not listen for a minute after an answer failed
GROWS = """
import time
from perfagent.cache import Cache

cache = Cache("pages", type="memory", ttl=3600, size=100_000)
number = 0
for number in range(300):
    cache.set(number, b"x" * 500_000)  # large ones are given back to the system at once
print("ready", flush=True)
deadline = time.monotonic() + 400
while time.monotonic() < deadline:
    time.sleep(0.05)
"""
QUIET = """
import time
print("ready", flush=True)
time.sleep(400)
"""


def rule(name: str, actions: str, mode: str = "act", more: str = "") -> str:
    return (
        f'[[optimisation]]\nname = "{name}"\nwhen = "max(process.memory.usage) > 1MB"\nactions = [{actions}]\n'
        f'mode = "{mode}"\ncooldown = "1m"\nmeasure = "5s"\npriority = 100\n{more}'
    )


def eventually(find: Callable[[], Any], told: Callable[[], object] = str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {told()}"
        time.sleep(0.3)
    return found


def actions(home: Home) -> list[dict[str, Any]]:
    """What the rules of the test did, the newest first."""
    return [
        one for one in home.get("optimisations/actions", timeout=60)["items"] if one["rule"].startswith("of-the-test")
    ]


def in_state(home: Home, *states: str) -> Callable[[], Any]:
    return lambda: next((one for one in actions(home) if one["state"] in states), None)


def ratio(home: Home) -> float:
    """The share of traces that the program keeps now, as its agent reports it."""
    (agent,) = [one for one in home.get("agents", timeout=60)["items"] if one["alive"] and one["commands"]]
    path = f"{home.hub.address}{PREFIX}/agents/{agent['instance']}/commands"
    headers = {"Authorization": f"Bearer {Access(secret(str(home.folder))).token('operator')}",
               "Content-Type": "application/json"}  # fmt: skip
    asked = urllib.request.Request(path, json.dumps({"command": "report"}).encode(), headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        identity = json.load(answer)["data"]["id"]

    def answered() -> Any:
        found = home.get(f"agents/{agent['instance']}/commands", timeout=60)["items"]
        return next((one for one in found if one["id"] == identity and one["state"] == "done"), None)

    return float(eventually(answered)["result"]["sampling"]["ratio"])


def readings(home: Home) -> float:
    """How many readings of the program's memory the hub has."""
    if home.found is None:
        return 0
    found = home.get("metrics/query?name=process.memory.usage&stat=count&service=tested", timeout=60)
    return sum(value or 0 for one in found["series"] for value in one["values"]) if found else 0


def test_memory_that_a_cache_holds_is_given_back_and_the_effect_is_measured(
    home: Home, run_program: RunProgram
) -> None:
    run_program("perfagent", "run", "python", "-c", GROWS, env=home.env(**PACE)).wait_for_output("ready")
    enough = readings(home) + 35
    eventually(lambda: readings(home) >= enough, lambda: home.log)  # all before the action are of the full cache
    text = rule("of-the-test", '"clear_caches"').replace("> 1MB", "> 160MB").replace('"5s"', '"10s"')
    (home.folder / "new.toml").write_text(text)
    (home.folder / "new.toml").rename(home.folder / "perfagent.toml")
    done = eventually(in_state(home, "done", "failed"), lambda: (actions(home), home.log))
    (process,) = done["processes"]
    assert process["state"] == "done"
    assert process["result"]["entries"] == 300
    assert done["effect"] == "helped", done
    assert done["after"] < done["before"] - 100e6


def test_advice_is_all_that_a_hub_gives_unless_it_is_told_to_act(home: Home, run_program: RunProgram) -> None:
    home.folder.mkdir(parents=True)
    (home.folder / "perfagent.toml").write_text(rule("of-the-test", '"clear_caches"').replace('mode = "act"\n', ""))
    run_program("perfagent", "run", "python", "-c", QUIET, env=home.env(**PACE)).wait_for_output("ready")
    told = eventually(in_state(home, "advised", "acting", "acted", "done"), lambda: home.log)
    assert told["state"] == "advised"
    assert told["processes"] == []
    (agent,) = home.get("agents", timeout=60)["items"]
    assert (agent["pending"], agent["last"]) == (0, None)


def test_what_a_killed_hub_has_changed_the_next_hub_puts_back(home: Home, run_program: RunProgram) -> None:
    home.folder.mkdir(parents=True)
    text = rule("of-the-test", '"lower_sampling"', more='undo_after = "1m"\n').replace(
        'measure = "5s"', 'measure = "1h"'
    )
    (home.folder / "perfagent.toml").write_text(text)
    env = home.env(**PACE, PERFAGENT_HUB_PORT=str(_free()))
    run_program("perfagent", "hub", "--background", env=env).check()
    run_program("perfagent", "run", "python", "-c", QUIET, env=env).wait_for_output("ready")
    taken = eventually(in_state(home, "acted"), lambda: (actions(home), home.log))
    assert taken["processes"][0]["result"] == {"before": 1.0, "now": 0.1}
    assert ratio(home) == 0.1
    home.kill()
    run_program("perfagent", "hub", "--background", env=env).check()
    undone = eventually(in_state(home, "undone"), lambda: (actions(home), home.log))
    assert undone["id"] == taken["id"]
    assert undone["reason"] == "its 1 minutes were over"
    assert ratio(home) == 1.0


def _free() -> int:
    from tools.stack.process import take_port

    return take_port(0)
