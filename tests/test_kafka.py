"""kafka-python: spans of messages sent, processed and received, and their metrics; nothing else changes."""

from __future__ import annotations

import gzip
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import kafka.errors
import pytest

from perfagent.hub.receive.operations import classify
from perfagent.instruments.kafka_python import KafkaClient, Sending
from perfagent.runtime.span import PRODUCER, Scope
from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
APP = "tests/apps/kafka_calls.py"
WAYS = ("sending", "looping", "closing", "inherited", "polling")
runs = itertools.count()


class Run:
    """One run of the program under the agent; `topic` begins the names of its topics."""

    def __init__(
        self, which: str, broker: str, directory: Path, under: tuple[str, ...] = ("perfagent", "run"), **env: str
    ) -> None:
        self.topic = f"{which}{next(runs)}"
        self.env = {"KAFKA_BROKER": broker, "RUN": self.topic, "PYTHONPATH": str(ROOT), **env}
        with Receiver() as self.receiver:
            command = (*under, "python", str(ROOT / APP), which)
            program = Program(command, directory, agent_env(self.receiver, **self.env), ROOT)
            try:
                self.stdout = program.check()
            finally:
                program.stop()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.2)
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def query(self, mark: str) -> Span:
        (found,) = [span for span in self.spans if span.attributes.get("db.query.text") == f"select ? as {mark}"]
        return found

    def processed(self, offset: int) -> Span:
        (found,) = [
            span
            for span in self.spans
            if span.kind == "CONSUMER" and span.attributes["messaging.kafka.offset"] == offset
        ]
        return found

    def exported(self) -> bytes:
        bodies = [request.body for request in self.receiver.requests]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module")
def run(kafka_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one way, made once."""
    made: dict[str, Run] = {}

    def of(which: str) -> Run:
        if which not in made:
            made[which] = Run(which, kafka_broker, tmp_path_factory.mktemp(which))
        return made[which]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("which", WAYS)
def test_the_program_sees_what_it_sees_without_us(run: Callable[[str], Run], which: str, tmp_path: Path) -> None:
    measured = run(which)
    assert measured.stderr == ""
    env = {**measured.env, "RUN": f"bare{measured.topic}{os.urandom(4).hex()}"}  # a second try finds no messages
    bare = Program(("python", str(ROOT / APP), which), tmp_path, env, ROOT).check(60)
    assert _common(measured.stdout, measured.topic) == _common(bare, env["RUN"])


def _common(printed: str, topic: str) -> list[str]:
    """The lines without the topic's name, and without the size that a message has with our header in it."""
    lines = printed.replace(topic, "TOPIC").splitlines()
    return [line.partition("The message is ")[0] for line in lines]


@pytest.mark.slow
def test_a_message_sent_is_a_producers_span_until_the_broker_has_it(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    topic = f"{sending.topic}-sent"
    span = sending.named(f"send {topic}")[0]
    assert span.kind == "PRODUCER"
    assert span.scope.name == "perfagent.kafka"
    port = sending.env["KAFKA_BROKER"].rpartition(":")[2]
    assert span.attributes == {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.client.id": "writer",
        "server.address": "127.0.0.1",
        "server.port": int(port),
    }
    (tombstone,) = [
        span
        for span in sending.named(f"send {topic}")
        if span.attributes.get("messaging.kafka.message.tombstone") and span.status.code == "UNSET"
    ]
    assert tombstone.attributes["messaging.kafka.offset"] == 4


@pytest.mark.slow
def test_a_message_that_carries_a_context_keeps_it_and_is_linked_to(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    (forwarded,) = [span for span in sending.named(f"send {sending.topic}-sent") if span.links]
    assert forwarded.kind == "CLIENT"  # the conventions': another span than this one has created the message
    (link,) = forwarded.links
    assert (link.trace_id, link.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    processed = sending.processed(5)
    assert (processed.trace_id, processed.parent_id) == (link.trace_id, link.span_id)


@pytest.mark.slow
def test_what_fails_is_told_by_its_type_at_once_and_by_the_broker(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    failed = [span for span in sending.named(f"send {sending.topic}-sent") if span.status.code == "ERROR"]
    types = [span.attributes["error.type"] for span in failed]
    too_large, closed = "kafka.errors.MessageSizeTooLargeError", "kafka.errors.IllegalStateError"
    assert types == ["TypeError", "TypeError", "TypeError", "ValueError", too_large, "TypeError", closed]
    (refused,) = sending.named(f"send {sending.topic}-small")
    assert (refused.status.code, refused.attributes["error.type"]) == ("ERROR", too_large)
    assert refused.events[0].attributes["exception.type"] == too_large


def test_a_future_that_forgets_who_asked_still_tells_how_it_ended() -> None:
    """kafka-python before 2.3, where a future ends between our two calls; no newer one does that."""

    class Forgetful:
        is_done, exception = True, kafka.errors.KafkaTimeoutError()

        def add_callback(self, _called: object) -> None: ...

        def add_errback(self, _called: object) -> None: ...

    span = Sending(Scope("tests"), PRODUCER, None, KafkaClient({}), "orders")
    span.follow(Forgetful())
    assert span.ended
    assert span.failure == "kafka.errors.KafkaTimeoutError"


@pytest.mark.slow
def test_messages_are_counted_once_sent_and_once_given_to_the_program(run: Callable[[str], Run]) -> None:
    sending = run("sending")
    topic = f"{sending.topic}-sent"

    def total(name: str, **more: str) -> float:
        found = sending.receiver.total(name, messaging__destination__name=topic, **more)
        return found.value or found.count

    # 7 went out; 7 more were refused before they could
    assert total("messaging.client.sent.messages") == 7
    assert total("messaging.client.operation.duration", messaging__operation__name="send") == 14
    group = {"messaging__consumer__group__name": f"{topic}-readers"}
    assert total("messaging.client.consumed.messages", **group) == 7
    assert total("messaging.process.duration", **group) == 7
    wait = sending.receiver.total("perfagent.messaging.wait", messaging__destination__name=topic)
    latency = sending.receiver.total("perfagent.messaging.latency", messaging__destination__name=topic)
    process = sending.receiver.total("messaging.process.duration", messaging__destination__name=topic)
    assert wait.count == latency.count == 7
    assert wait.sum > 0
    assert latency.sum == pytest.approx(wait.sum + process.sum)
    small = sending.receiver.total(
        "messaging.client.sent.messages", messaging__destination__name=f"{sending.topic}-small"
    )
    assert small.value == 1  # sent, and refused by the broker


@pytest.mark.slow
@pytest.mark.parametrize("which", WAYS)
def test_no_key_value_or_header_leaves(run: Callable[[str], Run], which: str) -> None:
    assert b"secret" not in run(which).exported()


@pytest.mark.slow
def test_a_loops_body_is_a_span_below_the_producers(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    sent = {s.attributes["messaging.kafka.offset"]: s for s in looping.named(f"send {looping.topic}-looped")}
    for offset in (0, 1, 3, 7, 8):
        span = looping.processed(offset)
        assert span.name == f"process {looping.topic}-looped"
        assert (span.trace_id, span.parent_id) == (sent[offset].trace_id, sent[offset].span_id)
        assert [(link.trace_id, link.span_id) for link in span.links] == [(sent[offset].trace_id, sent[offset].span_id)]
        assert span.attributes["messaging.consumer.group.name"] == f"{looping.topic}-looped-readers"
        assert span.attributes["messaging.operation.type"] == "process"
    for mark, offset in (("body_0", 0), ("body_1", 1), ("generator_3", 3), ("held_7", 7), ("thread_10", 10)):
        query, span = looping.query(mark), looping.processed(offset)
        assert query.parent_id == span.span_id
        assert span.start <= query.start <= query.end <= span.end
    assert looping.processed(0).end <= looping.processed(1).start


@pytest.mark.slow
def test_no_context_outlives_its_loop(run: Callable[[str], Run]) -> None:
    looping, closing = run("looping"), run("closing")
    ends = ("break", "error", "generator", "slice", "ambient", "close")
    for query in [looping.query("before"), *(looping.query(f"after_{end}") for end in ends)]:
        assert query.parent_id == ""
    for mark in ("closed", "after_close", "after_generator"):
        assert closing.query(mark).parent_id == ""


@pytest.mark.slow
def test_in_another_span_the_message_belongs_there_and_links_to_its_producer(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    (ambient,) = looping.named("ambient")
    span = looping.processed(6)
    assert span.parent_id == ambient.span_id
    (sent,) = [s for s in looping.named(f"send {looping.topic}-looped") if s.attributes["messaging.kafka.offset"] == 6]
    assert [link.span_id for link in span.links] == [sent.span_id]
    assert looping.query("ambient_6").parent_id == span.span_id


@pytest.mark.slow
def test_a_consumer_of_the_programs_own_is_measured_once(run: Callable[[str], Run]) -> None:
    inherited = run("inherited")
    assert [span.kind for span in inherited.spans if span.name.startswith(("process", "poll"))] == ["CONSUMER"] * 2
    assert inherited.query("own_1").parent_id == inherited.processed(1).span_id


@pytest.mark.slow
def test_a_poll_is_one_span_that_links_to_all_it_received(run: Callable[[str], Run]) -> None:
    polling = run("polling")
    topic = f"{polling.topic}-polled"
    sent = {span.span_id for span in polling.named(f"send {topic}")}
    received = polling.named(f"poll {topic}")
    assert {link.span_id for span in received for link in span.links} == sent
    assert sum(span.attributes["messaging.batch.message_count"] for span in received) == len(sent) == 5
    assert {span.kind for span in received} == {"CLIENT"}
    assert {span.attributes["messaging.operation.type"] for span in received} == {"receive"}
    counted = polling.receiver.total("messaging.client.consumed.messages", messaging__destination__name=topic)
    assert counted.value == 5
    assert polling.receiver.total("perfagent.messaging.wait", messaging__destination__name=topic).count == 5
    failed = [span for span in polling.named("poll") if span.status.code == "ERROR"]
    assert [span.attributes["error.type"] for span in failed] == ["ValueError"] * 2 + ["kafka.errors.IllegalStateError"]


@pytest.mark.slow
def test_next_by_hand_receives_a_message_and_leaves_no_context(run: Callable[[str], Run]) -> None:
    looping = run("looping")
    (received,) = looping.named(f"poll {looping.topic}-looped")
    assert received.attributes["messaging.batch.message_count"] == 1
    (link,) = received.links
    (sent,) = [s for s in looping.named(f"send {looping.topic}-looped") if s.attributes["messaging.kafka.offset"] == 9]
    assert link.span_id == sent.span_id
    assert looping.query("direct_9").parent_id == ""


@pytest.mark.slow
def test_the_namespace_of_the_ages_is_a_setting(kafka_broker: str, tmp_path: Path) -> None:
    run = Run("inherited", kafka_broker, tmp_path, PERFAGENT_NAMESPACE="shop")
    topic = f"{run.topic}-inherited"
    assert run.receiver.total("shop.messaging.latency", messaging__destination__name=topic).count == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "scope"), [("lean", "perfagent.kafka"), ("sdk", "opentelemetry.instrumentation.kafka")]
)
def test_with_the_contrib_instrumentor_beside_it_one_of_them_measures(
    kafka_broker: str, tmp_path: Path, pipeline: str, scope: str
) -> None:
    chosen = {"OTEL_PYTHON_DISTRO": "perfagent", "OTEL_PYTHON_CONFIGURATOR": "perfagent"}
    under = ("opentelemetry-instrument",)
    run = Run("inherited", kafka_broker, tmp_path, under, **chosen, PERFAGENT_PIPELINE=pipeline)
    messages = [span for span in run.spans if span.kind in ("PRODUCER", "CONSUMER")]
    assert {span.scope.name for span in messages} == {scope}
    assert sorted(span.kind for span in messages) == ["CONSUMER"] * 2 + ["PRODUCER"] * 2


@pytest.mark.slow
def test_the_hub_knows_producers_consumers_and_polls(run: Callable[[str], Run]) -> None:
    kinds = {"CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
    told = {
        (span.kind, span.name.split()[0]): classify(kinds[span.kind], span.name, span.attributes, "")
        for span in run("looping").spans
        if "messaging.system" in span.attributes
    }
    topic = f"{run('looping').topic}-looped"
    assert told == {
        ("PRODUCER", "send"): ("producer", f"send {topic}", "kafka", ""),
        ("CONSUMER", "process"): ("consumer", f"process {topic}", "kafka", ""),
        ("CLIENT", "poll"): ("rpc", f"poll {topic}", "kafka", ""),
    }
