"""aiokafka: spans of messages sent, processed and received in tasks; nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.program import Program
from tests.queues import Run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
APP = "tests/apps/aiokafka_calls.py"
WAYS = ("sending", "looping")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(kafka_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one way, made once."""
    made: dict[str, Run] = {}

    def of(which: str) -> Run:
        if which not in made:
            made[which] = Run(APP, which, tmp_path_factory.mktemp(which), KAFKA_BROKER=kafka_broker)
        return made[which]

    return of


@pytest.mark.parametrize("which", WAYS)
def test_the_program_sees_what_it_sees_without_us(run: Callable[[str], Run], which: str, tmp_path: Path) -> None:
    measured = run(which)
    env = {**measured.env, "RUN": f"bare{measured.name}{os.urandom(4).hex()}"}  # a second try finds no messages
    program = Program(("python", APP, which), tmp_path, env, ROOT)
    bare = program.check(60)
    assert measured.stdout.replace(measured.name, "RUN") == bare.replace(env["RUN"], "RUN")
    assert measured.stderr == program.stderr


@pytest.mark.parametrize("which", WAYS)
def test_no_key_value_or_header_leaves(run: Callable[[str], Run], which: str) -> None:
    assert b"secret" not in run(which).exported()


def test_a_message_sent_is_a_producers_span_until_the_broker_has_it(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    topic = f"{sending.name}-sent"
    span = sending.named(f"send {topic}")[0]
    assert (span.kind, span.scope.name) == ("PRODUCER", "perfagent.aiokafka")
    assert span.attributes == {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.client.id": "writer",
        "server.address": "127.0.0.1",
        "server.port": int(sending.env["KAFKA_BROKER"].rpartition(":")[2]),
    }
    arrived = [s for s in sending.named(f"send {topic}") if s.status.code == "UNSET"]
    assert [s.attributes["messaging.kafka.offset"] for s in arrived] == [0, 1, 2, 3, 4, 5, 6]
    assert arrived[3].attributes["messaging.kafka.message.tombstone"] is True
    assert arrived[6].attributes["messaging.batch.message_count"] == 3
    counted = sending.receiver.total("messaging.client.sent.messages", messaging__destination__name=topic)
    assert counted.value == 9


def test_a_message_that_carries_a_context_keeps_it_and_is_linked_to(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    (forwarded,) = [span for span in sending.named(f"send {sending.name}-sent") if span.links]
    (link,) = forwarded.links
    assert (forwarded.kind, link.trace_id) == ("CLIENT", "0af7651916cd43dd8448eb211c80319c")
    (processed,) = sending.processed(4)
    assert (processed.trace_id, processed.parent_id) == (link.trace_id, link.span_id)


def test_what_fails_is_told_by_its_type_at_once_and_by_the_broker(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    failed = [span for span in sending.spans if span.kind == "PRODUCER" and span.status.code == "ERROR"]
    too_large = "aiokafka.errors.MessageSizeTooLargeError"
    types = [span.attributes["error.type"] for span in failed]
    assert types == ["AssertionError", *["TypeError"] * 3, too_large, too_large]
    assert failed[-1].name == f"send {sending.name}-small"


def test_a_loops_body_is_a_span_below_the_producers_in_other_tasks_too(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    sent = looping.named(f"send {looping.name}-looped")
    for offset in range(3):
        span = looping.processed(offset)[0]
        assert span.name == f"process {looping.name}-looped"
        assert (span.trace_id, span.parent_id) == (sent[offset].trace_id, sent[offset].span_id)
        assert [link.span_id for link in span.links] == [sent[offset].span_id]
        assert span.attributes["messaging.consumer.group.name"] == f"{looping.name}-looped-readers"
        assert looping.query(f"body_{offset}").parent_id == span.span_id
        assert looping.query(f"task_{offset}").parent_id == span.span_id
    waited = looping.receiver.total(
        "perfagent.messaging.wait", messaging__consumer__group__name=f"{looping.name}-looped-readers"
    )
    assert waited.count == 3


def test_no_context_outlives_its_message(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    for mark in ("before", "after_break", "after_stop", "after_batch"):
        assert looping.query(mark).parent_id == "", mark


def test_in_another_span_the_message_belongs_there_and_links_to_its_producer(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    (ambient,) = looping.named("ambient")
    (span,) = [s for s in looping.spans if s.kind == "CONSUMER" and s.parent_id == ambient.span_id]
    assert len(span.links) == 1
    assert looping.query("in_ambient").parent_id == span.span_id


def test_in_a_request_a_message_is_received_for_nobody_knows_how_long_it_is_worked_on(
    run: Callable[[str], Run],
) -> None:
    looping = run("looping")
    (request,) = looping.named("request")
    assert looping.query("in_request").parent_id == request.span_id
    (received,) = [s for s in looping.spans if s.kind == "CLIENT" and s.parent_id == request.span_id and s.links]
    assert received.attributes["messaging.batch.message_count"] == 1


def test_a_batch_is_one_span_that_links_to_all_it_received(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    received = [s for s in looping.named(f"poll {looping.name}-looped") if not s.parent_id]
    assert sum(s.attributes["messaging.batch.message_count"] for s in received) == 6
    assert sum(len(s.links) for s in received) == 6
