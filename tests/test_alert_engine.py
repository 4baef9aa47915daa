"""The state machine of alerts, with a clock that the test sets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perfagent.hub.alert import engine as engines
from perfagent.hub.alert import escalation
from perfagent.hub.alert.book import alert_of, case_of, content
from perfagent.hub.alert.engine import Engine
from perfagent.hub.alert.violation import SEVERITIES, Violation

if TYPE_CHECKING:
    import pytest

    from perfagent.hub.alert.alert import Alert
    from perfagent.hub.alert.event import Event

MINUTE = 60.0
NOW = 1_789_000_000.0


def violation(
    rule: str = "error_rate_percent", service: str = "shop", severity: str = "warning", ago: float = 0, **more: Any
) -> Violation:
    """A violation that began `ago` seconds before NOW."""
    return Violation(
        "threshold",
        rule,
        service,
        severity,
        more.pop("title", rule),
        more.pop("text", rule),
        NOW - ago,
        **more,  # type: ignore[arg-type]
    )


def look(engine: Engine, after: float, *found: Violation, watcher: str = "w") -> list[str]:
    """What people are told at a look so many seconds after NOW."""
    return [event.happening for event in engine.take(NOW + after, {watcher: found})]


def only(engine: Engine) -> Alert:
    """The one alert that there is."""
    (alert,) = engine.alerts.values()
    return alert


# One alert's life


def test_what_is_wrong_fires_once_however_often_it_is_seen() -> None:
    engine = Engine()
    assert look(engine, 0, violation()) == ["fired"]
    assert [look(engine, second, violation(value=second)) for second in range(10, 100, 10)] == [[]] * 9
    assert (only(engine).state, only(engine).violation.value) == ("firing", 90)


def test_what_is_over_is_told_when_it_cannot_come_back_as_the_same_alert() -> None:
    engine = Engine()
    look(engine, 0, violation())
    over = violation(until=NOW + 60)
    assert look(engine, 70, over) == []
    assert only(engine).state == "resolved"
    assert look(engine, 60 + 14 * MINUTE, over) == []
    assert look(engine, 60 + 15 * MINUTE, over) == ["resolved"]
    assert not engine.waiting


def test_without_a_cooldown_what_is_over_is_told_at_once() -> None:
    engine = Engine()
    look(engine, 0, violation(cooldown_minutes=0))
    assert look(engine, 30, violation(cooldown_minutes=0, until=NOW + 20)) == ["resolved"]
    assert look(engine, 40, violation(cooldown_minutes=0, until=NOW + 20), violation(ago=-30, cooldown_minutes=0)) == [
        "fired"
    ]
    assert len(engine.alerts) == 2


def test_what_returns_within_its_cooldown_is_the_same_alert_and_tells_nobody() -> None:
    engine = Engine()
    look(engine, 0, violation())
    look(engine, 70, violation(until=NOW + 60))
    assert look(engine, 5 * MINUTE, violation(until=NOW + 60), violation(ago=-200)) == []
    assert (only(engine).state, only(engine).violation.since, only(engine).returned) == ("firing", NOW, 1)
    # The two stretches are seen again and again, and are still one alert that has returned once.
    assert look(engine, 6 * MINUTE, violation(until=NOW + 60), violation(ago=-200)) == []
    assert (only(engine).state, only(engine).returned) == ("firing", 1)


def test_what_comes_and_goes_must_be_quiet_for_longer_each_time() -> None:
    engine = Engine()
    now, told = 0.0, []
    for _ in range(8):  # 5 minutes on, 20 minutes off: longer than the cooldown of 15
        begin = now
        told += look(engine, now, violation(ago=-begin))
        now += 5 * MINUTE
        for _ in range(20):
            told += look(engine, now, violation(ago=-begin, until=NOW + begin + 5 * MINUTE))
            now += MINUTE
    assert told[:2] == ["fired", "resolved"]  # nobody can know yet that it will return
    assert len(told) == 2 * 8, "with a gap longer than the cooldown each is an alert of its own"
    engine, now, told = Engine(), 0.0, []
    for off in (10, 25, 50, 100, 200):  # minutes; each within the cooldown doubled by the returns before
        begin = now
        told += look(engine, now, violation(ago=-begin))
        now += 5 * MINUTE
        for _ in range(off):
            told += look(engine, now, violation(ago=-begin, until=NOW + begin + 5 * MINUTE))
            now += MINUTE
    assert told == ["fired"]
    assert only(engine).quiet == 240 * MINUTE


def test_what_was_over_long_before_it_was_seen_is_history_and_tells_nobody() -> None:
    engine = Engine()
    assert look(engine, 0, violation(ago=7200, until=NOW - 3600)) == []
    assert (only(engine).state, engine.waiting) == ("resolved", False)
    assert look(engine, 10, violation(ago=7200, until=NOW - 3600)) == []
    assert len(engine.alerts) == 1


def test_what_was_over_a_moment_before_it_was_seen_is_told() -> None:
    engine = Engine()
    assert look(engine, 0, violation(ago=120, until=NOW - 30)) == ["fired"]


def test_late_data_move_the_begin_and_the_end_of_the_same_alert() -> None:
    engine = Engine()
    look(engine, 0, violation(ago=60))
    look(engine, 10, violation(ago=600))
    assert only(engine).violation.since == NOW - 600
    look(engine, 20, violation(ago=60))  # a look that sees less of the past
    assert only(engine).violation.since == NOW - 600
    look(engine, 30, violation(ago=60, until=NOW + 20))
    look(engine, 40, violation(ago=60, until=NOW + 35))
    assert only(engine).until == NOW + 35


def test_what_gets_worse_is_told_and_what_gets_better_is_not() -> None:
    engine = Engine()
    look(engine, 0, violation(worst=6.0, limit=5.0))
    assert look(engine, 10, violation(severity="critical", worst=12.0, limit=10.0)) == ["worsened"]
    assert look(engine, 20, violation(ago=-15, worst=7.0, limit=5.0)) == []
    assert (only(engine).severity, only(engine).violation.worst) == ("critical", 12.0)


def test_the_worst_of_a_short_look_at_a_long_violation_is_that_of_all_of_it() -> None:
    engine = Engine()
    look(engine, 0, violation(ago=600, worst=40.0, limit=50.0, text="at worst 40"))  # less is worse
    look(engine, 10, violation(ago=60, worst=45.0, limit=50.0, text="at worst 45"))
    assert (only(engine).violation.worst, only(engine).violation.text) == (40.0, "at worst 40")


def test_an_alert_that_its_watcher_says_nothing_of_any_more_is_over_and_one_of_a_blind_watcher_lasts() -> None:
    engine = Engine()
    look(engine, 0, violation(), watcher="one")
    look(engine, 0, violation("slow_query_ms"), watcher="other")
    engine.take(NOW + 10, {"one": []})
    assert sorted(alert.violation.rule for alert in engine.active.values()) == ["slow_query_ms"]


def test_violations_beyond_what_can_be_active_at_once_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MOST_ACTIVE", 10)
    engine = Engine()
    look(engine, 0, *(violation(subject=f"/{one}") for one in range(15)))
    assert (len(engine.active), engine.left_out) == (10, 5)


def test_the_history_is_bounded_and_what_lasts_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "KEPT", 50)
    engine = Engine()
    lasting = violation("slow_query_ms", "other", ago=1e6)
    for number in range(200):
        begin = number * 3600.0
        look(engine, begin, lasting, violation(ago=-begin, cooldown_minutes=0))
        look(engine, begin + 60, lasting, violation(ago=-begin, cooldown_minutes=0, until=NOW + begin + 30))
    assert len(engine.alerts) <= 51
    assert [alert.violation.rule for alert in engine.active.values()] == ["slow_query_ms"]


# What people do


def test_an_alert_is_acknowledged_dismissed_and_reopened() -> None:
    engine = Engine()
    look(engine, 0, violation())
    identity = only(engine).id
    for action, state in (("acknowledge", "acknowledged"), ("dismiss", "dismissed"), ("reopen", "firing")):
        events = engine.act(NOW + 5, identity, action, "operator", "I look")
        assert events is not None
        assert (only(engine).state, only(engine).by, events[0].note) == (state, "operator", "I look")
    assert engine.act(NOW + 5, "0" * 16, "acknowledge", "operator") is None


def test_an_acknowledged_alert_stays_so_and_a_dismissed_one_fires_again_when_it_gets_worse() -> None:
    for action, state in (("acknowledge", "acknowledged"), ("dismiss", "firing")):
        engine = Engine()
        look(engine, 0, violation())
        engine.act(NOW + 5, only(engine).id, action, "operator")
        assert look(engine, 10, violation()) == []
        assert look(engine, 20, violation(severity="critical")) == ["worsened"]
        assert only(engine).state == state


def test_a_dismissed_alert_ends_without_a_word() -> None:
    engine = Engine()
    look(engine, 0, violation())
    engine.act(NOW + 5, only(engine).id, "dismiss", "operator")
    assert look(engine, 3600) == []
    assert look(engine, 7200) == []
    assert not engine.waiting


def test_what_a_person_declared_over_fires_anew_only_where_it_still_holds_after_its_cooldown() -> None:
    engine = Engine()
    look(engine, 0, violation())
    events = engine.act(NOW + 60, only(engine).id, "resolve", "operator", "rolled back")
    assert events is not None
    assert [event.happening for event in events] == ["resolved"]
    assert look(engine, 70, violation()) == []
    assert only(engine).state == "resolved"
    assert look(engine, 60 + 15 * MINUTE, violation()) == ["fired"]
    assert sorted(alert.violation.since for alert in engine.alerts.values()) == [NOW, NOW + 60]
    assert look(engine, 70 + 15 * MINUTE, violation()) == []


def test_an_action_on_an_incident_is_one_on_all_of_its_alerts() -> None:
    engine = Engine()
    look(engine, 0, violation(), violation("slow_query_ms"))
    (case,) = engine.cases.known.values()
    events = engine.act(NOW + 5, case.id, "acknowledge", "operator")
    assert events is not None
    assert [event.happening for event in events] == ["acknowledged"]
    assert {alert.state for alert in engine.alerts.values()} == {"acknowledged"}


# What nobody does


def test_what_nobody_takes_care_of_is_escalated_once() -> None:
    engine = Engine()
    look(engine, 0, violation())
    assert look(engine, 119 * MINUTE, violation()) == []
    assert look(engine, 120 * MINUTE, violation()) == ["escalated"]
    assert (only(engine).severity, only(engine).state) == ("high", "escalated")
    assert [look(engine, minute * MINUTE, violation()) for minute in range(121, 600, 20)] == [[]] * 24
    engine = Engine()
    look(engine, 0, violation(severity="critical"))
    assert look(engine, 30 * MINUTE, violation(severity="critical")) == ["escalated"]
    assert look(engine, 90 * MINUTE, violation(severity="critical")) == []


def test_what_somebody_took_care_of_is_not_escalated() -> None:
    engine = Engine()
    look(engine, 0, violation(severity="critical"))
    engine.act(NOW + 5, only(engine).id, "acknowledge", "operator")
    assert look(engine, 60 * MINUTE, violation(severity="critical")) == []


def test_escalations_are_declared_step_by_step_and_what_is_off_is_told() -> None:
    told: list[str] = []
    steps = [
        {"after_minutes": 10, "from": "warning", "to": "high"},
        {"after_minutes": 5, "from": "high", "to": "critical"},
    ]
    off = [
        {"after_minutes": 0, "from": "warning"},
        {"after_minutes": 5, "from": "loud"},
        {"after_minutes": 5, "from": "high", "to": "low"},
        {"after": 5},
    ]
    engine = Engine()
    engine.escalations = escalation.parse([(one, "perfagent.toml") for one in [*steps, *off]], told.append)
    assert [len(told), len(engine.escalations)] == [4, 2]
    assert "after_minutes=0 is no number above 0" in told[0]
    assert "from='loud' is no severity; there are: low" in told[1]
    assert "to='low' is less severe than from='high'" in told[2]
    assert "after=5 is no key" in told[3]
    look(engine, 0, violation())
    assert look(engine, 10 * MINUTE, violation()) == ["escalated"]
    assert look(engine, 15 * MINUTE, violation()) == ["escalated"]
    assert only(engine).severity == "critical"
    assert escalation.parse([], told.append) == escalation.DEFAULTS


# What is kept quiet


def test_what_is_muted_is_kept_and_told_when_it_still_fires_after_that() -> None:
    engine = Engine()
    engine.mute = lambda now, violation: "maintenance nightly" if now < NOW + 3600 else ""
    assert look(engine, 0, violation(), violation("slow_query_ms")) == []
    assert {alert.muted for alert in engine.alerts.values()} == {"maintenance nightly"}
    assert look(engine, 1800, violation(severity="critical")) == []
    assert look(engine, 3600, violation(severity="critical")) == ["fired"]
    assert [event.happening for event in engine.take(NOW + 3610, {})] == []


def test_what_was_over_before_its_silence_ended_is_never_told() -> None:
    engine = Engine()
    engine.mute = lambda now, violation: "silence x" if now < NOW + 3600 else ""
    look(engine, 0, violation())
    assert look(engine, 60, violation(until=NOW + 50)) == []
    assert look(engine, 3600, violation(until=NOW + 50)) == []
    assert not engine.waiting


def test_an_alert_that_people_know_of_is_told_to_be_over_in_a_silence_too() -> None:
    engine = Engine()
    assert look(engine, 0, violation()) == ["fired"]
    engine.mute = lambda now, violation: "silence x"
    assert look(engine, 120 * MINUTE, violation()) == []
    assert look(engine, 121 * MINUTE, violation(until=NOW + 120 * MINUTE)) == []
    assert look(engine, 140 * MINUTE) == ["resolved"]


# What belongs together


def test_what_begins_at_about_the_same_time_in_one_service_is_one_incident_whose_cause_comes_first() -> None:
    engine = Engine()
    assert look(engine, 0, violation(severity="critical", title="Failing requests")) == ["fired"]
    assert look(engine, 60, violation(severity="critical", title="Failing requests"),
                violation("slow_query_ms", ago=-50, title="A very slow query")) == []  # fmt: skip
    (case,) = engine.cases.known.values()
    incident = engine.cases.incident(case)
    assert (incident.title, incident.severity) == ("A very slow query in shop", "critical")
    assert [one.rule for one in incident.violations] == ["slow_query_ms", "error_rate_percent"]
    assert incident.cause.startswith("A very slow query in shop came with failing requests in shop")


def test_what_begins_long_after_an_incident_is_another_one() -> None:
    engine = Engine()
    look(engine, 0, violation())
    assert look(engine, 1200, violation(), violation("cpu_usage_percent", ago=-1190)) == ["fired"]
    assert len(engine.cases.known) == 2


def test_services_that_have_nothing_to_do_with_each_other_are_two_incidents_but_for_a_shared_trace() -> None:
    engine = Engine()
    assert look(engine, 0, violation(), violation(service="pay")) == ["fired", "fired"]
    engine = Engine()
    shared = ("4bf92f3577b34da6a3ce929d0e0e4736",)
    assert look(engine, 0, violation(traces=shared), violation(service="pay", traces=shared)) == ["fired"]


def test_a_service_that_joins_an_incident_is_told_of_once_unless_it_would_wake_nobody_alone() -> None:
    engine = Engine()
    engine.cases.related = lambda one, other: True
    machine = violation("cpu_usage_percent", service="system", severity="critical")
    unusual = violation("unusual_response_time", service="bank", severity="medium")
    failing = violation(service="shop")
    assert look(engine, 0, machine) == ["fired"]
    assert look(engine, 10, machine, unusual) == []
    (event,) = engine.take(NOW + 20, {"w": [machine, unusual, failing]})
    assert (event.happening, event.incident.severity) == ("worsened", "critical")
    assert {"system", "shop"} <= set(event.incident.services)
    assert look(engine, 30, machine, unusual, failing) == []


def test_an_alert_that_joins_two_new_incidents_makes_them_one() -> None:
    engine = Engine()
    engine.cases.related = lambda one, other: "middle" in (one.service, other.service) or one.service == other.service
    told = engine.take(NOW, {"w": [violation(service="front"), violation(service="deep"), violation(service="middle")]})
    assert [event.happening for event in told] == ["fired"]
    assert set(told[0].incident.services) == {"front", "deep", "middle"}


def test_an_incident_is_over_when_the_last_of_its_alerts_is() -> None:
    engine = Engine()
    look(engine, 0, violation(), violation("slow_query_ms"))
    assert look(engine, 1800, violation()) == []
    assert look(engine, 3600, violation()) == []
    assert look(engine, 3610) == []
    assert look(engine, 7200) == ["resolved"]


def test_what_is_kept_quiet_makes_nothing_more_severe_for_those_who_are_told() -> None:
    engine = Engine()
    engine.mute = lambda now, one: "silence x" if one.rule == "cpu_usage_percent" else ""
    both = [violation("cpu_usage_percent", severity="critical"), violation()]
    (fired,) = engine.take(NOW, {"w": both})
    assert (fired.happening, fired.incident.severity) == ("fired", "warning")
    (worse,) = engine.take(NOW + 60, {"w": [both[0], violation(severity="high")]})
    assert (worse.happening, worse.incident.severity) == ("worsened", "high")
    (over,) = engine.take(NOW + 120, {"w": []}) + engine.take(NOW + 7200, {"w": []})
    assert (over.happening, over.incident.severity) == ("resolved", "high")


def test_what_is_declared_over_and_comes_again_in_the_same_moment_is_another_alert() -> None:
    engine = Engine()
    look(engine, 0, violation(cooldown_minutes=0))
    first = only(engine)
    engine.act(NOW, first.id, "resolve", "operator")
    assert look(engine, 0, violation(cooldown_minutes=0)) == ["fired"]
    assert len({alert.id for alert in engine.alerts.values()}) == 2


def test_a_flood_is_put_in_order_once_and_not_at_each_of_its_alerts() -> None:
    engine = Engine()
    explain, times = engine.cases.explain, []
    engine.cases.explain = lambda found: times.append(0) or explain(found)  # type: ignore[func-returns-value]
    assert look(engine, 0, *(violation(subject=f"/{number}") for number in range(300))) == ["fired"]
    assert len(times) <= 3


# Whatever happens


class Machine(RuleBasedStateMachine):
    """A world in which three things may be wrong, looked at, acted on, silenced; and a hub that is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()
        self.engine.mute = self.mute
        self.now = NOW
        self.muted: set[str] = set()
        self.stretches: dict[str, list[Violation]] = {}
        self.events: list[Event] = []

    def mute(self, now: float, one: Violation) -> str:
        return "silence" if one.rule in self.muted else ""

    names = st.sampled_from(("a", "b", "c"))

    @rule(name=names, severity=st.sampled_from(("warning", "critical")), cooldown=st.sampled_from((0, 5, 15)))
    def begins(self, name: str, severity: str, cooldown: float) -> None:
        known = self.stretches.setdefault(name, [])
        if not known or known[-1].until is not None:
            begin = violation(name, severity=severity, cooldown_minutes=cooldown)
            known.append(replace(begin, since=self.now))

    @rule(name=names)
    def ends(self, name: str) -> None:
        known = self.stretches.get(name, [])
        if known and known[-1].until is None:
            known[-1] = replace(known[-1], until=self.now)

    @rule(name=names)
    def gets_worse(self, name: str) -> None:
        known = self.stretches.get(name, [])
        if known and known[-1].until is None:
            known[-1] = replace(known[-1], severity="critical")

    @rule(seconds=st.sampled_from((10.0, 60.0, 400.0, 1000.0, 3000.0, 20_000.0)))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds

    @rule(back=st.sampled_from((60.0, 4000.0, 100_000.0)))
    def looks(self, back: float) -> None:
        found = [
            replace(one, since=max(one.since, self.now - back))
            for known in self.stretches.values()
            for one in known
            if one.until is None or one.until >= self.now - back
        ]
        self.tell(self.engine.take(self.now, {"w": found}))
        active = {alert.violation.rule for alert in self.engine.active.values()}
        lasting = {name for name, known in self.stretches.items() if known and known[-1].until is None}
        assert active <= lasting
        quiet = {alert.violation.rule for alert in self.engine.alerts.values() if alert.closed}
        assert lasting <= active | quiet

    @rule()
    def is_blind(self) -> None:
        before = set(self.engine.active)
        self.tell(self.engine.take(self.now, {}))
        assert set(self.engine.active) == before

    @precondition(lambda self: self.engine.active)
    @rule(
        action=st.sampled_from(("acknowledge", "dismiss", "escalate", "reopen", "resolve")),
        whole=st.booleans(),
        data=st.data(),
    )
    def somebody_acts(self, action: str, whole: bool, data: st.DataObject) -> None:
        alert = self.engine.active[data.draw(st.sampled_from(sorted(self.engine.active)))]
        events = self.engine.act(self.now, alert.incident if whole else alert.id, action, "operator")
        assert events is not None
        self.tell(events)

    @rule(name=names)
    def is_silenced(self, name: str) -> None:
        self.muted ^= {name}

    @rule()
    def is_killed(self) -> None:
        """What is written is all that is left."""
        before = self.engine
        self.engine = Engine()
        self.engine.mute = self.mute
        self.engine.cases.remember(case_of(content(one)) for one in before.cases.known.values())
        self.engine.remember(alert_of(content(one)) for one in before.alerts.values())
        assert set(self.engine.active) == set(before.active)
        assert set(self.engine.cases.open) == set(before.cases.open)

    def tell(self, events: list[Event]) -> None:
        self.events += events

    @invariant()
    def no_two_active_alerts_are_about_the_same(self) -> None:
        identities = [alert.violation.identity for alert in self.engine.active.values()]
        assert len(identities) == len(set(identities))

    @invariant()
    def every_alert_is_active_or_resolved_and_in_one_incident(self) -> None:
        for alert in self.engine.alerts.values():
            assert alert.active == (alert.id in self.engine.active)
            assert (alert.state == "resolved") == (alert.until is not None)
            assert alert.id in self.engine.cases.of(alert).alerts
        held = [one for case in self.engine.cases.known.values() for one in case.alerts]
        assert sorted(held) == sorted(self.engine.alerts)

    @invariant()
    def nothing_is_told_twice(self) -> None:
        ids = [event.id for event in self.events]
        assert len(ids) == len(set(ids))
        told: dict[str, str] = {}
        for event in self.events:
            before = told.get(event.incident.id, "")
            if event.happening == "fired":
                assert not before, "what people know is not told again"
                told[event.incident.id] = event.incident.severity
            elif event.happening != "escalated" or not event.by:  # whoever escalates what is quiet wants it told
                assert before, "of what nobody was told nothing more is told"
            if event.happening == "worsened":
                assert SEVERITIES.index(event.incident.severity) > SEVERITIES.index(before)  # type: ignore[arg-type]
            if event.happening in ("worsened", "escalated"):
                told[event.incident.id] = event.incident.severity
            if event.happening == "resolved":
                told[event.incident.id] = ""

    def teardown(self) -> None:
        """When nothing is wrong any more, and nobody does anything, everything comes to its end."""
        for name in self.stretches:
            self.ends(name)
        self.looks(100_000.0)
        self.now += 5 * 3600
        self.looks(60.0)
        assert not self.engine.waiting
        last = {event.incident.id: event.happening for event in self.events}
        assert set(last.values()) <= {"resolved", "dismissed"}


TestWhateverHappens = Machine.TestCase
TestWhateverHappens.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
