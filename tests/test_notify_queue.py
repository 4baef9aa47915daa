"""What waits for channels: tried again, in order, folded where it is too much, and told once through any end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.notify import outbox
from perfagent.hub.notify.line import Attempt, Line
from perfagent.hub.notify.outbox import Delivery
from perfagent.hub.notify.pace import Pace, Timing, after_failures
from tests.hub import ServedHub
from tests.notify_story import QUICK, declare, deliveries, event, settled
from tests.receivers import Answer, Webhook, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.alert.violation import Severity
    from tests.hub import ServeHub


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as receiver:
        yield receiver


def hook(webhook: Webhook, name: str = "hook", **keys: object) -> str:
    """A table for a webhook."""
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f'[[channel]]\nname = "{name}"\nkind = "webhook"\nurl = "{webhook.url}/{name}"\n{more}'


def test_what_a_receiver_refuses_is_tried_again_until_it_takes_it(hub: ServedHub, webhook: Webhook) -> None:
    webhook.answers = [Answer(500, b"out of order"), Answer(503), Answer(429)]
    webhook.answer = Answer(500)
    declare(hub, hook(webhook))
    hub.hub.notifier.take([event()])
    until(lambda: deliveries(hub)[0]["attempts"] >= 3)
    assert "error=" in deliveries(hub)[0]["error"]
    webhook.answer = Answer(204)
    (logged,) = settled(hub)
    assert (logged["state"], logged["error"]) == ("delivered", "")
    assert logged["attempts"] >= 4
    assert len(webhook.answered) == 1
    assert logged["latency_seconds"] == pytest.approx(logged["ended"] - logged["happened"])
    assert len({one.body for one in webhook.requests}) == 1


def test_the_reason_is_told_with_what_the_receiver_says(hub: ServedHub, webhook: Webhook) -> None:
    webhook.answer = Answer(400, b"invalid_payload: field x")
    declare(hub, hook(webhook))
    hub.hub.notifier.take([event()])
    until(lambda: deliveries(hub)[0]["error"])
    assert "error=400" in deliveries(hub)[0]["error"]
    assert "invalid_payload: field x" in deliveries(hub)[0]["error"]
    (channel,) = hub.get("channels")["items"]
    assert channel["health"] == "failing"
    assert channel["waiting"] == 1
    assert "invalid_payload" in channel["error"]
    webhook.answer = Answer()
    settled(hub)
    (channel,) = hub.get("channels")["items"]
    assert (channel["health"], channel["waiting"], channel["error"]) == ("healthy", 0, "")


def test_a_receiver_that_hangs_holds_up_no_other(hub: ServedHub, webhook: Webhook) -> None:
    with Webhook() as hanging:
        hanging.answer = Answer(hangs=True)
        declare(hub, hook(hanging, "hangs") + hook(webhook))
        hub.hub.notifier.take([event(number=number) for number in range(3)])
        settled(hub, 3, channel="hook")
        assert len(webhook.answered) == 3
        assert {one["state"] for one in deliveries(hub, channel="hangs")} == {"waiting"}


@pytest.mark.slow
def test_an_answer_without_end_counts_as_none(hub: ServedHub, webhook: Webhook) -> None:
    webhook.answer = Answer(drips=0.1)
    declare(hub, hook(webhook))
    hub.hub.notifier.timing = Timing(0.05, 0.1, 0.1, 0.3, deadline=1.0)
    hub.hub.notifier.take([event()])
    until(lambda: "no answer within 1 s" in deliveries(hub)[0]["error"], lambda: str(deliveries(hub)))
    until(lambda: deliveries(hub)[0]["attempts"] >= 3)
    line = hub.hub.notifier.lines["hook"]
    until(lambda: line.lingering == 3, lambda: str(line))
    tried = len(webhook.requests)
    assert tried <= 4  # as many as may linger, and no thread more
    webhook.answer = Answer()
    webhook.release.set()
    assert settled(hub)[0]["state"] == "delivered"


def test_what_cannot_be_delivered_is_given_up_and_the_reason_kept(serve_hub: ServeHub, webhook: Webhook) -> None:
    hub = serve_hub(PERFAGENT_ALERT_RETRY="0.0001")
    webhook.answer = Answer(500)
    declare(hub, hook(webhook))
    hub.hub.notifier.take([event()])
    (logged,) = settled(hub)
    assert logged["state"] == "failed"
    assert logged["attempts"] >= 1
    assert "error=500" in logged["error"]
    assert logged["latency_seconds"] is None
    hub.hub.notifier.take([event("resolved")])  # of something that the channel was never told of
    assert len(deliveries(hub)) == 1


def test_messages_of_one_incident_keep_their_order_and_others_overtake(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook))
    webhook.answers = [Answer(500)] * 2
    hub.hub.notifier.take([event(number=1), event("worsened", number=1), event("resolved", number=1), event(number=2)])
    settled(hub, 4)
    told = [(one.json["incident"]["id"][-1], one.json["happening"]) for one in webhook.answered]
    assert sorted(told) == [("1", "fired"), ("1", "resolved"), ("1", "worsened"), ("2", "fired")]
    assert [what for number, what in told if number == "1"] == ["fired", "worsened", "resolved"]


def test_an_event_that_comes_again_is_told_once(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook) + hook(webhook, "other"))
    told = event()
    for _ in range(3):
        hub.hub.notifier.take([told, told])
    settled(hub, 2)
    hub.hub.notifier.take([told])
    assert len(deliveries(hub)) == 2
    assert sorted(one.path for one in webhook.answered) == ["/hook", "/other"]


def test_the_same_again_is_quiet_for_a_while(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook, quiet_minutes=5))
    hub.hub.notifier.take([event(), event("escalated")])
    hub.hub.notifier.take([event("escalated")])
    hub.hub.notifier.take([event("resolved"), event("reopened"), event("resolved")])
    settled(hub, 6)
    states = [(one["happening"], one["state"]) for one in reversed(deliveries(hub))]
    assert states == [
        ("fired", "delivered"),
        ("escalated", "delivered"),
        ("escalated", "quiet"),
        ("resolved", "delivered"),
        ("reopened", "delivered"),
        ("resolved", "delivered"),
    ]


def test_what_gets_more_severe_is_never_quiet(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook, quiet_minutes=60))
    severities: tuple[Severity, ...] = ("warning", "high", "critical", "critical", "high")
    hub.hub.notifier.take([event("worsened", severity=one) for one in severities])
    settled(hub, 5)
    states = [(one["severity"], one["state"]) for one in reversed(deliveries(hub))]
    delivered = [("warning", "delivered"), ("high", "delivered"), ("critical", "delivered")]
    assert sorted(states) == sorted([*delivered, ("critical", "quiet"), ("high", "quiet")])


def test_a_clock_that_is_set_back_by_a_day_holds_up_no_message(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook))
    webhook.answers = [Answer(500)]
    notifier = hub.hub.notifier
    notifier.take([event(number=1)])
    settled(hub, 1)
    tomorrow = time.time() + 86_400
    line = notifier.lines["hook"]
    with notifier._change:  # as a failure of tomorrow leaves it, and a rate that was used up
        line.paused_until = tomorrow
        for _ in range(100):
            line.pace.note(tomorrow, 2)
    assert line.pace.next_single(time.time()) > tomorrow
    notifier.take([event(number=2)])
    until(lambda: line.paused_until < tomorrow, lambda: str(line))
    assert line.pace.next_single(time.time()) <= time.time() + 3600
    assert line.pace.next_digest(time.time(), 0.0, 30.0) <= time.time() + 3600


def test_a_clock_that_is_set_back_holds_up_no_retry_and_no_deadline() -> None:
    timing, now = Timing(), 1_789_000_000.0
    one = Delivery("e", "hook", "i", "fired", "high", "", now, now, "", due=now + 86_400)
    line = Line(Pace(20), waiting=[one], attempt=Attempt([one], now + 86_400), paused_until=now + 86_400)
    line.keep_time(now, timing)
    assert line.attempt is not None
    assert (one.due, line.attempt.began, line.paused_until) == (now + 600, now, now + 60)


def test_a_channel_hears_of_its_services_its_severity_and_its_happenings_alone(
    hub: ServedHub, webhook: Webhook
) -> None:
    declare(
        hub,
        hook(webhook, "carts", services=["cart-*", "shop"], severity="high")
        + hook(webhook, "chiefs", happenings=["escalated"])
        + hook(webhook, "desk", happenings=["fired", "acknowledged"], severity="low")
        + hook(webhook, "off", enabled=False),
    )
    hub.hub.notifier.take(
        [
            event(number=1, services=("cart-eu",), severity="high"),
            event(number=2, services=("cart-eu",), severity="warning"),
            event(number=3, services=("payments",), severity="critical"),
            event("escalated", number=3, services=("payments",)),
            event("acknowledged", number=3, services=("payments",), severity="low"),
            event("acknowledged", number=4, severity="low"),
        ]
    )
    settled(hub, 6)
    told = sorted((one["channel"], one["incident"][-1], one["happening"]) for one in deliveries(hub))
    assert told == [
        ("carts", "1", "fired"),
        ("chiefs", "3", "escalated"),
        ("desk", "1", "fired"),
        ("desk", "2", "fired"),
        ("desk", "3", "acknowledged"),
        ("desk", "3", "fired"),
    ]


def test_what_exceeds_the_rate_is_told_in_one_message(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook, rate_per_hour=5))
    hub.hub.notifier.take([event(number=number) for number in range(16)])
    settled(hub, 16)
    assert len(webhook.answered) == 5
    *singles, digest = [one.json for one in webhook.answered]
    assert {one["happening"] for one in singles} == {"fired"}
    assert digest["happening"] == "digest"
    assert digest["title"] == "12 further incidents: 12 critical"
    assert len(digest["events"]) == 12
    told = [one["incident"]["id"] for one in [*singles, *digest["events"]]]
    assert sorted(told) == [f"{number:016x}" for number in range(16)]
    assert "/#/incidents/000000000000000f" in digest["message"]
    states = [one["state"] for one in deliveries(hub)]
    assert (states.count("delivered"), states.count("folded")) == (4, 12)
    hub.hub.notifier.take([event(number=99)])  # the hour's five are used up
    assert deliveries(hub)[0]["state"] == "waiting"
    (channel,) = hub.get("channels")["items"]
    assert (channel["sent_last_hour"], channel["rate_per_hour"]) == (5, 5)


def test_in_no_hour_there_are_more_messages_than_the_rate_and_nothing_waits_long() -> None:
    for rate in (1, 2, 5, 20, 60):
        pace = Pace(rate)
        sent: list[float] = []
        held: list[float] = []
        waits: list[float] = []
        for second in range(0, 3 * 3600, 10):  # something happens every ten seconds
            now = float(second)
            held.append(now)
            single = pace.next_single(now)
            if single <= now and len(held) == 1:
                number = 1
            elif min(single, pace.next_digest(now, held[0], 30)) <= now:
                number = len(held)
            else:
                continue
            pace.note(now, number)
            sent.append(now)
            waits += [now - one for one in held]
            held.clear()
        most = max(sum(begin <= one < begin + 3600 for one in sent) for begin in sent)
        assert most <= rate
        if rate >= 20:
            assert max(waits) <= 3600 / (rate // 5) + 30


def test_attempts_come_later_and_later_and_never_all_at_once() -> None:
    times = [[after_failures(number, 2.0, 600.0) for _ in range(200)] for number in range(1, 15)]
    for number, found in enumerate(times):
        whole = min(2.0 * 2**number, 600.0)
        assert whole / 2 <= min(found) < max(found) <= whole
        assert len(set(found)) > 100
    assert after_failures(10_000, 2.0, 600.0) <= 600.0


def test_a_hub_that_starts_again_delivers_what_waited_and_knows_its_rate(tmp_path: Path, webhook: Webhook) -> None:
    folder = tmp_path / "hub"
    webhook.answers = [Answer(200), Answer(200), *[Answer(500)] * 50]
    told = [event(number=number) for number in range(4)]
    with ServedHub(folder) as hub:
        declare(hub, hook(webhook, rate_per_hour=5))
        hub.hub.notifier.take(told)
        until(lambda: len(webhook.answered) == 2)
        until(lambda: sum(one["attempts"] > 0 for one in deliveries(hub)) >= 3)
    webhook.answers = []
    with ServedHub(folder) as hub:
        hub.hub.notifier.timing = QUICK
        hub.hub.notifier.take(told)  # as the engine does, which does not know what has been taken
        settled(hub, 4)
        assert hub.get("channels")["items"][0]["sent_last_hour"] == 4
        assert {one["state"] for one in deliveries(hub)} == {"delivered"}
    assert sorted(one.json["incident"]["id"][-1] for one in webhook.answered) == ["0", "1", "2", "3"]


def test_what_waits_for_a_channel_that_is_gone_is_given_up(serve_hub: ServeHub, webhook: Webhook) -> None:
    hub = serve_hub(PERFAGENT_ALERT_RETRY="0.0003")
    webhook.answer = Answer(hangs=True)
    declare(hub, hook(webhook))
    hub.hub.notifier.take([event()])
    webhook.wait(1)
    declare(hub, "")
    webhook.release.set()
    hub.hub.notifier.read()
    (logged,) = settled(hub)
    assert logged["state"] == "failed"
    assert logged["error"]
    assert hub.get("channels")["items"] == []


def test_a_declaration_that_changes_serves_from_the_next_message_on(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook, "one"))
    hub.hub.notifier.take([event(number=1)])
    settled(hub, 1)
    declare(hub, hook(webhook, "two"))
    hub.hub.notifier.take([event(number=2)])
    settled(hub, 2)
    assert [(one.path, one.json["incident"]["id"][-1]) for one in webhook.answered] == [("/one", "1"), ("/two", "2")]


def test_the_log_keeps_the_newest_and_all_that_waits(
    hub: ServedHub, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "KEPT", 30)
    monkeypatch.setattr(outbox, "TRIM_EVERY", 10)
    with Webhook() as failing:
        failing.answer = Answer(500)
        declare(
            hub, hook(failing, "failing", services=["first"]) + hook(webhook, happenings=["fired"], quiet_minutes=5)
        )
        hub.hub.notifier.take([event(number=1, services=("first",))])
        for number in range(2, 12):
            hub.hub.notifier.take([event(number=number) for _ in range(10)])
        settled(hub, 1)
        kept = until(lambda: len(found) <= 45 and found if (found := deliveries(hub)) else None)
        assert any(one["channel"] == "failing" and one["state"] == "waiting" for one in kept)
        assert {one["incident"] for one in kept if one["channel"] == "hook"} <= {f"{n:016x}" for n in range(5, 12)}


def test_the_log_is_read_page_by_page_and_by_filter(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook, "one") + hook(webhook, "two"))
    hub.hub.notifier.take([event(number=number) for number in range(5)])
    settled(hub, 10)
    whole = deliveries(hub)
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = hub.get("deliveries", limit=3, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == whole
    assert len(deliveries(hub, channel="one")) == 5
    assert len(deliveries(hub, incident=f"{3:016x}")) == 2
    assert deliveries(hub, state="failed") == []
    assert hub.refusal("deliveries", state="lost") == (400, "wrong_type", "state")


def test_prometheus_is_told_of_messages(hub: ServedHub, webhook: Webhook) -> None:
    declare(hub, hook(webhook))
    webhook.answers = [Answer(500)]
    hub.hub.notifier.take([event(), event("escalated"), event("escalated")])
    settled(hub, 3)
    text = hub.client.get("/metrics", headers=hub.bearer("viewer")).text
    figures = dict(
        line.removeprefix("perfagent_notifications_").replace('{channel="hook"}', "").split()
        for line in text.splitlines()
        if line.startswith("perfagent_notifications_")
    )
    assert (figures["attempted_total"], figures["delivered_total"]) == ("3.0", "2.0")
    assert (figures["quiet_total"], figures["failed_total"], figures["waiting"]) == ("1.0", "0.0", "0.0")
    assert figures["latency_seconds_count"] == "2.0"
    assert float(figures["latency_seconds_sum"]) > 0
