"""confluent-kafka: spans of messages sent, processed and received, of types of C; nothing else changes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from tests.program import Program
from tests.queues import Run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
APP = "tests/apps/confluent_calls.py"
WAYS = ("sending", "kinds", "polling", "awaiting")
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
    assert not re.sub(r"(?m)^%.*\n", "", measured.stderr)  # librdkafka says what it likes
    env = {**measured.env, "RUN": f"bare{measured.name}{os.urandom(4).hex()}"}  # a second try finds no messages
    bare = Program(("python", APP, which), tmp_path, env, ROOT).check(60)
    assert measured.stdout.replace(measured.name, "RUN") == bare.replace(env["RUN"], "RUN")


@pytest.mark.parametrize("which", WAYS)
def test_no_key_value_or_header_leaves(run: Callable[[str], Run], which: str) -> None:
    assert b"secret" not in run(which).exported()


def test_a_message_sent_is_a_producers_span_until_the_broker_has_it(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    topic = f"{sending.name}-sent"
    span = sending.named(f"send {topic}")[0]
    assert (span.kind, span.scope.name) == ("PRODUCER", "perfagent.confluent_kafka")
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
    tombstones = [s for s in sending.spans if s.attributes.get("messaging.kafka.message.tombstone")]
    assert next(s.attributes.get("messaging.kafka.offset") for s in tombstones if s.kind == "PRODUCER") == 4


def test_every_message_has_one_span_whoever_hears_of_it(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    sent = [s for s in sending.named(f"send {sending.name}-sent") if s.status.code == "UNSET"]
    by_client = [(s.attributes["messaging.client.id"], s.attributes.get("messaging.kafka.offset")) for s in sent]
    # one producer tells of failures only, another one's program never asks
    assert by_client == [*(("writer", offset) for offset in range(7)), ("quiet", None), ("careless", None)]
    counted = sending.receiver.total(
        "messaging.client.sent.messages", messaging__destination__name=f"{sending.name}-sent"
    )
    assert counted.value == 9


def test_a_message_that_carries_a_context_keeps_it_and_is_linked_to(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    (forwarded,) = [span for span in sending.named(f"send {sending.name}-sent") if span.links]
    assert forwarded.kind == "CLIENT"  # the conventions': another span than this one has created the message
    (link,) = forwarded.links
    assert (link.trace_id, link.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    (processed,) = sending.processed(5)
    assert (processed.trace_id, processed.parent_id) == (link.trace_id, link.span_id)


def test_what_fails_is_told_by_its_type_at_once_and_by_the_broker(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    failed = [span for span in sending.spans if span.kind == "PRODUCER" and span.status.code == "ERROR"]
    types = [span.attributes["error.type"] for span in failed]
    assert types == ["TypeError"] * 5 + ["MSG_SIZE_TOO_LARGE", "TypeError", "MSG_SIZE_TOO_LARGE"]
    assert failed[-1].name == f"send {sending.name}-small"


def test_a_polls_message_is_worked_on_until_the_next_is_asked_for(run: Callable[[str], Run]) -> None:
    polling = run("polling")
    sent = {s.attributes["messaging.kafka.offset"]: s for s in polling.named(f"send {polling.name}-polled")}
    group = f"{polling.name}-polled-readers"
    for offset in range(3):
        (span,) = [s for s in polling.processed(offset) if s.attributes["messaging.consumer.group.name"] == group]
        assert span.name == f"process {polling.name}-polled"
        assert (span.trace_id, span.parent_id) == (sent[offset].trace_id, sent[offset].span_id)
        assert [link.span_id for link in span.links] == [sent[offset].span_id]
        query = polling.query(f"body_{offset}")
        assert query.parent_id == span.span_id
        assert span.start <= query.start <= query.end <= span.end


def test_no_context_outlives_its_consumer(run: Callable[[str], Run]) -> None:
    polling = run("polling")
    for mark in ("before", "after_close", "after_letting_go", "after_batch"):
        assert polling.query(mark).parent_id == "", mark


def test_in_another_span_the_message_belongs_there_and_links_to_its_producer(run: Callable[[str], Run]) -> None:
    polling = run("polling")
    (ambient,) = polling.named("ambient")
    (span,) = [s for s in polling.spans if s.kind == "CONSUMER" and s.parent_id == ambient.span_id]
    assert len(span.links) == 1
    assert polling.query("in_ambient").parent_id == span.span_id


def test_in_a_request_a_message_is_received_for_nobody_knows_how_long_it_is_worked_on(
    run: Callable[[str], Run],
) -> None:
    polling = run("polling")
    (request,) = polling.named("request")
    assert polling.query("in_request").parent_id == request.span_id
    (received,) = [s for s in polling.spans if s.kind == "CLIENT" and s.parent_id == request.span_id and s.links]
    assert received.attributes["messaging.batch.message_count"] == 1


def test_a_batch_is_one_span_that_links_to_all_it_received(run: Callable[[str], Run]) -> None:
    polling = run("polling")
    received = [s for s in polling.named(f"poll {polling.name}-polled") if not s.parent_id]
    assert sum(s.attributes["messaging.batch.message_count"] for s in received) == 4
    sent = {span.span_id for span in polling.named(f"send {polling.name}-polled")}
    linked = [link.span_id for s in received for link in s.links]
    assert len(linked) == 4
    assert set(linked) <= sent


def test_classes_of_the_library_and_of_the_program_are_measured_once(run: Callable[[str], Run]) -> None:
    kinds = run("kinds")
    (above,) = kinds.named("kinds")
    sent = kinds.named(f"send {kinds.name}-kinds")
    assert [(s.kind, s.parent_id) for s in sent] == [("PRODUCER", above.span_id)] * 2 + [("PRODUCER", "")]
    assert sent[2].attributes["messaging.batch.message_count"] == 2
    processed = kinds.named(f"process {kinds.name}-kinds")
    assert [s.parent_id for s in processed] == [s.span_id for s in sent[:2]]
    assert [s.parent_id for s in kinds.spans if s.attributes.get("db.query.text") == "select ? as deserialized"] == [
        s.span_id for s in processed
    ]


def test_what_is_awaited_belongs_to_the_task_that_awaits_it(run: Callable[[str], Run]) -> None:
    awaiting = run("awaiting")
    sent = awaiting.named(f"send {awaiting.name}-awaited")
    processed = awaiting.named(f"process {awaiting.name}-awaited")
    assert [s.parent_id for s in processed] == [s.span_id for s in sent[:2]]
    assert [awaiting.query(f"awaited_{number}").parent_id for number in range(2)] == [s.span_id for s in processed]
    assert awaiting.query("after_consume").parent_id == ""
    (received,) = awaiting.named(f"poll {awaiting.name}-awaited")
    assert [link.span_id for link in received.links] == [sent[2].span_id]
    assert sent[3].attributes["messaging.batch.message_count"] == 1


def test_the_hub_knows_producers_consumers_and_polls(run: Callable[[str], Run]) -> None:
    kinds = {"CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
    told = {
        (span.kind, span.name.split()[0]): classify(kinds[span.kind], span.name, span.attributes, "")[:2]
        for span in run("polling").spans
        if "messaging.system" in span.attributes
    }
    topic = f"{run('polling').name}-polled"
    assert told == {
        ("PRODUCER", "send"): ("producer", f"send {topic}"),
        ("CONSUMER", "process"): ("consumer", f"process {topic}"),
        ("CLIENT", "poll"): ("rpc", f"poll {topic}"),
    }
