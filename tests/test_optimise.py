"""Optimisation rules: what is read, who is asked for what and when, what came of it, and how it is put back."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from perfagent.cache import clearing
from perfagent.hub.control.commands import Commands
from perfagent.hub.optimise import journal, webhook
from perfagent.hub.optimise.actions import ACTIONS
from perfagent.hub.optimise.effect import judge
from perfagent.hub.optimise.optimiser import MOST_AN_HOUR, Optimiser
from perfagent.hub.optimise.rule import BUILT_IN, BadOptimisation, read
from perfagent.runtime import control
from tests.hub import counter, gauge, metrics, resource, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfagent.hub.optimise.journal import Taken
    from tests.conftest import RunProgram
    from tests.hub import ServedHub, ServeHub

MINUTE = 60
MEMORY, LIMIT = "process.memory.usage", "process.memory.limit"
TABLE = {
    "name": "trim",
    "when": "max(process.memory.usage) > 50MB",
    "actions": ["collect_garbage"],
    "services": ["shop"],
}


class Rig:
    """A hub whose rules are looked at when the test says so, at a time that it says.

    Args:
        served: the hub.
    """

    def __init__(self, served: ServedHub) -> None:
        self.served, self.hub = served, served.hub
        self.hub.optimiser.stop()
        self.now = time.time()
        self.begin()

    def begin(self) -> None:
        """What a hub of the same folder begins with: nothing but what is stored."""
        self.hub.commands = Commands()
        self.optimiser = Optimiser(self.hub, lambda: self.now)
        self.hub.optimiser = self.optimiser

    def look(self, after: float = 0.0) -> list[Taken]:
        """Looks, so many seconds later; returns all that was advised and done, the newest first."""
        self.now += after
        self.optimiser.look()
        return self.optimiser.journal.list(100)

    def asked(self, instance: str = "shop-1") -> list[tuple[str, Any]]:
        """What a process fetches."""
        self._fetched = self.hub.commands.fetch(instance)
        return [(one.command, one.value) for one in self._fetched]

    def answer(self, *results: Any, ok: bool = True, instance: str = "shop-1") -> None:
        """What it says of what it has fetched."""
        pairs = zip(self._fetched, results, strict=True)
        self.hub.commands.answer(instance, [{"id": one.id, "ok": ok, "result": result} for one, result in pairs])

    def memory(self, megabytes: float, *agos: float, service: str = "shop") -> None:
        """Readings of a process that lives and whose limit is 100 MB, before the moment that the test is at."""
        found = [gauge("process.uptime", 9.0, "s")]
        for ago in agos or (5.0, 65.0, 125.0):
            late = time.time() - self.now + ago
            found += [gauge(MEMORY, megabytes * 1e6, "By", ago=late), gauge(LIMIT, 100e6, "By", ago=late)]
        self.served.send("metrics", metrics(resource(service, telemetry__sdk__name="perfagent"), *found))


@pytest.fixture
def rig(serve_hub: ServeHub) -> Rig:
    """A hub that acts."""
    return Rig(serve_hub(PERFAGENT_OPTIMISE="act"))


# Rules


def test_the_four_rules_and_the_one_of_a_busy_machine_are_built_in() -> None:
    told = {one.name: (one.when, one.actions, one.cooldown_minutes) for one in BUILT_IN.values()}
    assert told["high-memory"] == (
        "name == 'memory_usage_percent' and value > 80", ("collect_garbage", "clear_caches"), 5,
    )  # fmt: skip
    assert told["slow-responses"] == ("name == 'response_time_p95_ms' and value > 1000", ("profiling",), 10)
    assert told["slow-queries"] == (
        "more than 5 statements of 500 ms or more in 5 minutes", ("index_advice",), 15,
    )  # fmt: skip
    assert told["cache-misses"][1:] == (("longer_ttl", "cache_advice"), 20)
    assert told["busy-machine"][1] == ("collect_garbage", "lower_sampling")
    assert all(one.mode is None for one in BUILT_IN.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "name is missing"),
        ({"when": "max(process.memory.usage) >"}, "trim"),
        ({"actions": ["reboot"]}, "actions=['reboot'] is not accepted: give a list of collect_garbage, clear_caches"),
        ({"actions": []}, "actions=[] is not accepted"),
        ({"mode": "always"}, "mode='always' is not accepted: give one of advise, act, off"),
        ({"cooldown": "10"}, "cooldown='10' is not accepted: give a time from 1m to 7d"),
        ({"undo_after": "5s"}, "undo_after='5s' is not accepted: give a time from 1m to 1d"),
        ({"priority": 101}, "priority=101 is not accepted: give a whole number from 0 to 100"),
        ({"actions": ["webhook"]}, "url is missing: give an address"),
        ({"actions": ["webhook"], "url": "file:///etc/passwd"}, "url=… is not accepted"),
        ({"actions": ["invalidate_tags"]}, "tags is missing"),
        ({"then": "x"}, "'then' is no key of an optimisation; there are: name, when"),
    ],
)
def test_a_rule_that_is_off_is_refused_with_what_is_accepted(changes: dict[str, Any], said: str) -> None:
    table = {key: value for key, value in {**TABLE, **changes}.items() if value is not None}
    with pytest.raises(BadOptimisation) as refused:
        read(table, "perfagent.toml", "optimisation 1")
    assert said in str(refused.value)


# Advice and acts


def test_by_default_the_hub_advises_and_asks_nobody_for_anything(serve_hub: ServeHub) -> None:
    rig = Rig(serve_hub())
    assert rig.served.get("optimisations")["mode"] == "advise"
    rig.memory(92)
    (told,) = rig.look()
    assert (told.rule, told.service, told.action, told.state) == ("high-memory", "shop", "collect_garbage", "advised")
    assert told.value == pytest.approx(92)
    assert "Memory nearly used up: 92 % in shop, the limit is 80 %" in told.text
    assert "`perfagent optimise mode act --rule high-memory`" in told.text
    assert rig.asked() == []
    rig.now += 10 * MINUTE
    rig.memory(92)
    assert len(rig.look()) == 1  # the same advice is not given again within the hour


def test_a_rule_that_does_not_hold_does_nothing(rig: Rig) -> None:
    rig.memory(60)
    assert rig.look() == []
    assert rig.asked() == []


def test_off_is_off_for_rules_with_a_mode_of_their_own_too(serve_hub: ServeHub) -> None:
    rig = Rig(serve_hub(PERFAGENT_OPTIMISE="off"))
    changed = rig.served.ask("optimisations", "admin", "PUT", json={"items": [{"name": "high-memory", "mode": "act"}]})
    assert changed.status_code == 200
    rig.memory(92)
    assert rig.look() == []


def test_garbage_comes_first_and_caches_where_that_did_not_help_and_the_effect_is_measured(rig: Rig) -> None:
    rig.now -= 30 * MINUTE
    for ago in range(10, 120, 10):
        rig.memory(92 + ago % 3 / 10, ago)
    (first,) = rig.look()
    assert (first.action, first.state) == ("collect_garbage", "acting")
    assert rig.asked() == [("collect_garbage", None)]
    rig.answer({"unreachable": 3, "seconds": 0.01})
    for ago in range(10, 120, 10):
        rig.memory(92 + ago % 3 / 10, -15 - ago)
    (first,) = rig.look(1)
    assert first.state == "acted"
    (first,) = rig.look(133)
    assert (first.state, first.effect) == ("done", "no_effect")
    rig.now += 5 * MINUTE
    rig.memory(92)
    second, first = rig.look()
    assert second.action == "clear_caches"
    for ago in range(10, 120, 10):
        rig.memory(92 + ago % 3 / 10, ago)
        rig.memory(55 + ago % 3 / 10, -15 - ago)
    assert rig.asked() == [("clear_cache", None)]
    rig.answer({"caches": 2, "entries": 900})
    rig.look(1)
    second = rig.look(133)[0]
    assert (second.state, second.effect) == ("done", "helped")
    assert (second.before, second.after) == (pytest.approx(92.1e6, rel=0.01), pytest.approx(55.1e6, rel=0.01))
    assert second.p is not None
    assert second.p < 0.001
    audited = [one["action"] for one in rig.served.get("audit", "admin", hours=2)["items"]]
    assert audited == ["optimise.measured", "optimise.act"] * 2


def test_the_cooldown_and_the_action_under_way_keep_the_next_one_waiting(rig: Rig) -> None:
    rig.memory(92)
    assert len(rig.look()) == 1
    assert rig.asked() == [("collect_garbage", None)]
    rig.now += 4 * MINUTE
    rig.memory(92)
    assert len(rig.look()) == 1
    assert rig.asked() == []


def test_no_more_than_a_few_actions_an_hour_whatever_the_rules_say(rig: Rig) -> None:
    for number in range(MOST_AN_HOUR + 3):
        rig.memory(92, service=f"shop{number}")
    assert len(rig.look()) == MOST_AN_HOUR
    assert len(rig.look(10)) == MOST_AN_HOUR


def test_nothing_is_done_in_a_maintenance_window(serve_hub: ServeHub, tmp_path: Path) -> None:
    (tmp_path / "hub0").mkdir()
    (tmp_path / "hub0" / "perfagent.toml").write_text(
        '[[maintenance]]\nname = "move"\nservices = ["shop"]\n'
        "begin = 2020-01-01T00:00:00Z\nend = 2999-01-01T00:00:00Z\n"
    )
    rig = Rig(serve_hub(PERFAGENT_OPTIMISE="act"))
    rig.hub.alerts.look()
    rig.memory(92)
    rig.memory(92, service="other")
    assert [one.service for one in rig.look()] == ["other"]


@pytest.fixture
def sampling(serve_hub: ServeHub, tmp_path: Path) -> Rig:
    """A hub that acts by one rule, which lowers sampling."""
    (tmp_path / "hub0").mkdir()
    (tmp_path / "hub0" / "perfagent.toml").write_text(
        '[[optimisation]]\nname = "trim"\nwhen = "max(process.memory.usage) > 50MB"\nactions = ["lower_sampling"]\n'
        'mode = "act"\nmeasure = "60s"\nundo_after = "10m"\npriority = 100\n'
    )
    return Rig(serve_hub())


def acted(rig: Rig, ratio: float = 1.0) -> Taken:
    """What the rule does; the process has answered."""
    rig.memory(60)
    (taken,) = [one for one in rig.look() if one.rule == "trim"]
    assert taken.state == "acting"
    assert rig.asked() == [("sampling_ratio", 0.1)]
    rig.answer({"before": ratio, "now": 0.1})
    return next(one for one in rig.look(1) if one.rule == "trim")


def trim(rig: Rig) -> Taken:
    return next(one for one in rig.optimiser.journal.list(100) if one.rule == "trim")


def test_what_can_be_put_back_is_put_back_as_it_was_when_its_time_is_over(sampling: Rig) -> None:
    assert acted(sampling, 0.5).state == "acted"
    sampling.look(9 * MINUTE)
    assert sampling.asked() == []
    sampling.look(2 * MINUTE)
    assert sampling.asked() == [("sampling_ratio", 0.5)]
    assert trim(sampling).state == "undoing"
    sampling.answer({"before": 0.1, "now": 0.5})
    sampling.look(1)
    assert (trim(sampling).state, trim(sampling).reason) == ("undone", "its 10 minutes were over")


def test_what_must_be_put_back_is_put_back_by_the_hub_that_comes_after_a_kill(sampling: Rig) -> None:
    acted(sampling, 0.5)
    sampling.begin()
    sampling.look(11 * MINUTE)
    assert sampling.asked() == [("sampling_ratio", 0.5)]
    sampling.answer({"before": 0.1, "now": 0.5})
    sampling.look(1)
    assert trim(sampling).state == "undone"


def test_a_kill_before_the_answer_puts_back_what_the_process_was_started_with(sampling: Rig) -> None:
    sampling.memory(60)
    sampling.look()
    assert sampling.asked() == [("sampling_ratio", 0.1)]
    sampling.begin()
    sampling.look(1)
    assert trim(sampling).parts[0].state == "lost"
    sampling.look(11 * MINUTE)
    assert sampling.asked() == [("sampling_ratio", None)]


def test_what_does_not_help_is_put_back_and_what_harms_puts_the_rule_on_hold(sampling: Rig) -> None:
    sampling.now -= 10 * MINUTE
    for ago in range(5, 60, 5):
        sampling.memory(60 + ago % 3 / 10, ago)
    acted(sampling)
    for ago in range(5, 60, 5):
        sampling.memory(80 + ago % 3 / 10, -7 - ago)
    sampling.look(67)
    taken = trim(sampling)
    assert (taken.effect, taken.state, taken.reason) == ("harmed", "undoing", "it made things worse")
    assert sampling.asked() == [("sampling_ratio", 1.0)]
    (rule,) = [one for one in sampling.served.get("optimisations")["items"] if one["name"] == "trim"]
    assert rule["holds"][0]["service"] == "shop"
    sampling.answer({"before": 0.1, "now": 1.0})
    sampling.now += 2 * 60 * MINUTE
    sampling.memory(80)
    sampling.look()
    assert [one.rule for one in sampling.optimiser.journal.list(9)].count("trim") == 1
    released = {"items": [{"name": "trim", "release": True}]}
    data = sampling.served.ask("optimisations", "admin", "PUT", json=released).json()["data"]
    assert next(one for one in data["items"] if one["name"] == "trim")["holds"] == []


def test_a_person_puts_an_action_back_and_not_twice(sampling: Rig) -> None:
    taken = acted(sampling)
    path = f"optimisations/actions/{taken.id}/undo"
    assert sampling.served.ask(path, "viewer", "POST").status_code == 403
    answer = sampling.served.ask(path, "operator", "POST")
    assert answer.status_code == 200
    assert answer.json()["data"]["state"] == "undoing"
    sampling.look(1)
    assert sampling.asked() == [("sampling_ratio", 1.0)]
    sampling.answer({"before": 0.1, "now": 1.0})
    sampling.look(1)
    refused = sampling.served.ask(path, "operator", "POST")
    assert refused.status_code == 409
    assert "this action is undone" in refused.json()["error"]["message"]
    assert sampling.served.refusal("optimisations/actions/0123456789abcdef/undo")[0] == 405
    missing = sampling.served.ask("optimisations/actions/0123456789abcdef/undo", "operator", "POST")
    assert missing.status_code == 404


def test_a_process_that_cannot_do_it_fails_the_action_and_the_next_one_is_tried(serve_hub: ServeHub) -> None:
    rig = Rig(serve_hub(PERFAGENT_OPTIMISE="act"))
    who = resource("shop", telemetry__sdk__name="perfagent")
    rig.now -= 30 * MINUTE
    late = time.time() - rig.now

    def misses() -> None:
        for minute in range(5):  # "for 3m" takes four that are over
            told = {"cache__name": "prices", "ago": time.time() - rig.now + minute * MINUTE}
            found = [
                counter("perfagent_cache_hits_total", 20, **told),
                counter("perfagent_cache_misses_total", 180, **told),
            ]
            rig.served.send("metrics", metrics(who, *found, gauge("process.uptime", late, "s")))

    misses()
    (first,) = rig.look()
    assert (first.rule, first.action) == ("cache-misses", "longer_ttl")
    assert rig.asked() == [("cache_ttl", {"factors": {"": 4.0}})]
    rig.answer("this process has no cache of perfagent's", ok=False)
    (first,) = rig.look(1)
    assert (first.state, first.reason) == ("failed", "this process has no cache of perfagent's")
    rig.now += 21 * MINUTE
    misses()
    second = rig.look()[0]
    assert (second.action, second.state) == ("cache_advice", "advised")
    assert "prices: 10% of " in second.text


def test_slow_queries_become_advice_with_the_command_and_the_statement(rig: Rig) -> None:
    told = {"db__system__name": "postgresql", "db__query__text": "SELECT * FROM orders WHERE customer = ?"}
    who = resource("shop", telemetry__sdk__name="perfagent")
    slow = [span(n, "SELECT orders", kind=3, ms=800, trace=1, parent=99, **told) for n in range(1, 8)]
    rig.served.send("traces", traces(who, span(99, trace=1), *slow))
    (told_of,) = rig.look()
    assert (told_of.rule, told_of.action, told_of.state) == ("slow-queries", "index_advice", "advised")
    assert "7 statements of 500 ms or more in 5 minutes in shop" in told_of.text
    assert "SELECT * FROM orders WHERE customer = ?" in told_of.text
    assert "perfagent index analyze" in told_of.text
    assert rig.asked() == []


def test_a_busy_machine_collects_garbage_and_gathers_no_more_evidence(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.memory(10)
    assert rig.look() == []
    monkeypatch.setattr(type(rig.hub), "zone", property(lambda _: "red"))
    (found,) = rig.look()
    assert (found.rule, found.action) == ("busy-machine", "collect_garbage")


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what a webhook is told; hangs, refuses or takes it, as the test says."""

    heard: ClassVar[list[dict[str, Any]]] = []
    answers: ClassVar[list[int]] = []
    hangs = threading.Event()

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.hangs.wait(30)
        self.send_response(self.answers.pop(0))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook(serve_hub: ServeHub, tmp_path: Path) -> Iterator[Rig]:
    """A hub with a rule that tells an address whose path, user and query are secret."""
    Hook.heard, Hook.answers, Hook.hangs = [], [200, 500], threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "hub0").mkdir()
        (tmp_path / "hub0" / "perfagent.toml").write_text(
            '[[optimisation]]\nname = "hook"\nwhen = "max(process.memory.usage) > 50MB"\nactions = ["webhook"]\n'
            f'url = "http://me:s3cret1@127.0.0.1:{server.server_address[1]}/s3cret2?by=s3cret3"\n'
            'mode = "act"\ncooldown = "1m"\n'
        )
        yield Rig(serve_hub())
        Hook.hangs.set()
        server.shutdown()


def called(rig: Rig, state: str) -> Taken:
    """What came of the newest call, once it is in a state."""
    deadline = time.monotonic() + 60
    while (found := next(one for one in rig.look() if one.rule == "hook")).state != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_a_webhook_is_told_and_its_failure_is_told_too(hook: Rig) -> None:
    Hook.hangs.set()
    hook.memory(60)
    called(hook, "done")
    assert Hook.heard[0]["rule"] == "hook"
    assert Hook.heard[0]["value"] == pytest.approx(60e6)
    hook.now += 61
    hook.memory(60)
    assert called(hook, "failed").reason == "127.0.0.1 answered 500"


def test_the_secrets_of_a_webhook_are_shown_to_nobody(hook: Rig) -> None:
    Hook.hangs.set()
    hook.memory(60)
    taken = called(hook, "done")
    assert "The hub has told http://127.0.0.1:" in taken.text
    for path in ("optimisations", "optimisations/actions", "audit"):
        assert "s3cret" not in hook.served.ask(path, "admin").text
    assert "s3cret" not in json.dumps(Hook.heard)


def test_a_webhook_that_hangs_holds_up_nothing_and_is_given_up(hook: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.memory(60)
    assert called(hook, "acting").ended is None
    monkeypatch.setattr(webhook, "monotonic", lambda: time.monotonic() + 60)
    assert called(hook, "failed").reason == "127.0.0.1 could not be told: no answer within 10 s"


def test_a_webhook_under_way_when_the_hub_is_killed_is_told_of_as_failed(hook: Rig) -> None:
    hook.memory(60)
    called(hook, "acting")
    hook.begin()
    assert called(hook, "failed").reason == "the hub ended before the answer"


def test_no_more_than_the_newest_actions_are_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT", 3)
    monkeypatch.setattr(journal, "TRIM_EVERY", 1)
    state: Any
    for number, state in enumerate(("acted", "done", "advised", "done", "done", "advised", "advised")):
        one = journal.Taken(f"{number:016x}", 100.0 + number, "trim", "shop", "collect_garbage", state, "")
        rig.optimiser.journal.write(one)
    kept = [(one.time, one.state) for one in rig.optimiser.journal.list(9)]
    assert kept[-1] == (100.0, "acted")  # something is still to be done about it
    assert len(kept) <= 5
    assert kept[0][0] == 106.0


# Effects


@pytest.mark.parametrize(
    ("before", "after", "better", "word"),
    [
        ([100.0, 101, 102, 99, 98, 100.5, 101.5, 99.5], [70.0, 71, 72, 69, 68, 70.5, 71.5, 69.5], "lower", "helped"),
        ([100.0, 101, 102, 99, 98, 100.5, 101.5, 99.5], [70.0, 71, 72, 69, 68, 70.5, 71.5, 69.5], "higher", "harmed"),
        (
            [100.0, 101, 102, 99, 98, 100.5, 101.5, 99.5],
            [98.0, 99, 100, 97, 96, 98.5, 99.6, 97.5],
            "lower",
            "no_effect",
        ),
        ([100.0, 60, 140, 90, 110, 70], [95.0, 60, 130, 85, 105, 66], "lower", "no_effect"),
        ([100.0, 100, 100], [50.0, 50, 50], "lower", "unknown"),
    ],
)
def test_an_effect_needs_a_difference_that_is_felt_and_that_chance_does_not_explain(
    before: list[float], after: list[float], better: str, word: str
) -> None:
    assert judge(before, after, better).effect == word


# The agent's side


def test_a_ttl_is_stretched_for_new_values_and_put_back_by_what_was_answered() -> None:
    from perfagent.cache import Cache

    cache = Cache("stretched", type="memory", ttl=10)
    try:
        found = clearing._stretch({"stretched": 4})
        assert found["before"]["stretched"] == 1.0
        assert found["now"]["stretched"] == 4.0
        began = time.monotonic()
        cache.set("a", 1)
        (entry,) = [one for one in [_entry(cache, "a")] if one]
        assert 39 < entry.expires - began < 41
        clearing._stretch(found["before"])
        cache.set("b", 1)
        assert _entry(cache, "b").expires - began < 11
        with pytest.raises(ValueError, match="no cache is called 'nobody'"):
            clearing._stretch({"nobody": 2})
    finally:
        cache.clear()


def _entry(cache: Any, key: str) -> Any:
    from perfagent.cache.steps import run

    return run(cache._core.find(cache._own, cache._own.key(key)))


@pytest.mark.parametrize("value", [None, {}, {"factors": {}}, {"factors": {"a": 0}}, {"factors": {"a": True}}, 4])
def test_the_hub_and_the_agent_refuse_what_no_ttl_is_multiplied_by(value: object) -> None:
    with pytest.raises(ValueError, match="cache_ttl"):
        Commands().ask("one", "cache_ttl", value)
    result = control._done(None, {"id": "1", "command": "cache_ttl", "value": value})  # type: ignore[arg-type]
    assert result["ok"] is False


# The interface and the command


def test_rules_are_changed_at_run_time_by_admins_and_audited(rig: Rig) -> None:
    body = {"mode": "off", "items": [{"name": "high-memory", "cooldown_minutes": 30, "mode": "act"}]}
    assert rig.served.ask("optimisations", "operator", "PUT", json=body).status_code == 403
    data = rig.served.ask("optimisations", "admin", "PUT", json=body).json()["data"]
    assert data["mode"] == "off"
    rule = next(one for one in data["items"] if one["name"] == "high-memory")
    assert (rule["cooldown_minutes"], rule["mode"]) == (30, "off")
    refused = rig.served.ask("optimisations", "admin", "PUT", json={"items": [{"name": "nobody"}]})
    assert refused.status_code == 404
    actions = [one["action"] for one in rig.served.get("audit", "admin")["items"]]
    assert actions == ["optimisations.set", "optimisations.mode"]
    assert {one["name"] for one in data["actions"]} == set(ACTIONS)


def test_a_table_that_is_off_is_told_and_one_of_a_built_in_name_takes_its_place(
    serve_hub: ServeHub, tmp_path: Path
) -> None:
    (tmp_path / "hub0").mkdir()
    file = tmp_path / "hub0" / "perfagent.toml"
    file.write_text(
        '[[optimisation]]\nname = "high-memory"\nwhen = "max(process.memory.usage) > 1GB"\n'
        'actions = ["collect_garbage"]\n'
        '[[optimisation]]\nname = "odd"\nwhen = "max(process.memory.usage) > 1GB"\nactions = ["reboot"]\n'
    )
    found = serve_hub().get("optimisations")
    rules = {one["name"]: one for one in found["items"]}
    assert (rules["high-memory"]["origin"], rules["high-memory"]["actions"]) == (str(file), ["collect_garbage"])
    assert set(rules) == set(BUILT_IN)
    assert found["problems"][0].startswith(f"{file}: optimisation 2 (odd): actions=['reboot'] is not accepted")


def test_the_command_shows_rules_and_actions_undoes_and_sets_the_mode(sampling: Rig, run_program: RunProgram) -> None:
    taken, hub = acted(sampling), sampling.served
    env = {"PERFAGENT_HUB_URL": hub.url, "PERFAGENT_HUB_TOKEN": hub.access.token("admin"), "COLUMNS": "160"}
    shown = run_program("perfagent", "optimise", env=env).check()
    assert "mode: advise (the hub tells what it would do); zone: " in shown
    assert "trim " in shown
    told = run_program("perfagent", "optimise", "actions", env=env).check()
    assert f"{taken.id}  " in told
    assert "trim in shop: lower_sampling, acted" in told
    listed = json.loads(run_program("perfagent", "optimise", "actions", "--output", "json", env=env).check())
    assert taken.id in [one["id"] for one in listed["actions"]]
    back = run_program("perfagent", "optimise", "undo", taken.id, env=env).check()
    assert "lower_sampling for shop is being put back" in back
    assert "mode: act" in run_program("perfagent", "optimise", "mode", "act", env=env).check()
    program = run_program("perfagent", "optimise", "mode", "always", env=env)
    assert program.wait() == 2
    assert "'always' is no mode; there are: advise, act, off" in program.stderr
