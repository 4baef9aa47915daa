"""pika: spans of messages published, processed by callbacks and loops, and asked for; nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from perfagent.instruments.messages import destination
from tests.program import Program
from tests.queues import Run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
APP = "tests/apps/pika_calls.py"
WAYS = ("publishing", "consuming", "asynchronous")


@pytest.fixture(scope="module")
def run(rabbitmq: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one way, made once."""
    made: dict[str, Run] = {}

    def of(which: str) -> Run:
        if which not in made:
            made[which] = Run(APP, which, tmp_path_factory.mktemp(which), RABBITMQ=rabbitmq)
        return made[which]

    return of


def test_destinations_are_named_by_the_conventions_and_those_of_one_client_alike() -> None:
    assert destination("shop", "orders.new") == "shop:orders.new"
    assert destination("", "orders") == destination("", "orders", "orders") == "orders"
    assert destination("shop", "orders.new", "orders") == "shop:orders.new:orders"
    assert destination("", "amq.gen-LhQz1gv3GhDOv8PIDabOXA") == "(anonymous)"
    assert destination("", "amq_0a1b2c", "amq_0a1b2c") == "(anonymous)"
    assert destination("", "9f8e7d6c-5b4a-4938-a716-051423324150") == "(anonymous)"
    assert destination("", "0123456789abcdef") == "0123456789abcdef"


@pytest.mark.slow
@pytest.mark.parametrize("which", WAYS)
def test_the_program_sees_what_it_sees_without_us(run: Callable[[str], Run], which: str, tmp_path: Path) -> None:
    measured = run(which)
    env = {**measured.env, "RUN": f"bare{measured.name}{os.urandom(4).hex()}"}  # a second try finds no messages
    program = Program(("python", APP, which), tmp_path, env, ROOT)
    bare = program.check(60)
    assert measured.stdout.replace(measured.name, "RUN") == bare.replace(env["RUN"], "RUN")
    assert measured.stderr == program.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("which", WAYS)
def test_no_body_header_or_password_leaves(run: Callable[[str], Run], which: str) -> None:
    exported = run(which).exported()
    assert b"secret" not in exported
    assert b"guest" not in exported


@pytest.mark.slow
def test_a_message_published_is_a_producers_span(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    span = publishing.named(f"publish {publishing.name}-shop:orders.new")[0]
    assert (span.kind, span.scope.name) == ("PRODUCER", "perfagent.pika")
    assert span.attributes == {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.system": "rabbitmq",
        "messaging.destination.name": f"{publishing.name}-shop:orders.new",
        "messaging.rabbitmq.destination.routing_key": "orders.new",
        "server.address": "127.0.0.1",
        "server.port": int(publishing.env["RABBITMQ"].rstrip("/").rpartition(":")[2]),
    }
    assert len(publishing.named("publish (anonymous)")) == 1
    counted = publishing.receiver.total(
        "messaging.client.sent.messages", messaging__destination__name=f"{publishing.name}-sent"
    )
    assert counted.value == 3


@pytest.mark.slow
def test_a_message_that_carries_a_context_keeps_it_and_is_linked_to(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    (forwarded,) = [span for span in publishing.named(f"publish {publishing.name}-sent") if span.links]
    (link,) = forwarded.links
    assert (forwarded.kind, link.trace_id) == ("CLIENT", "0af7651916cd43dd8448eb211c80319c")


@pytest.mark.slow
def test_what_fails_is_told_by_its_type(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    failed = [span.attributes["error.type"] for span in publishing.spans if span.status.code == "ERROR"]
    assert failed == ["AttributeError", "pika.exceptions.UnroutableError", "pika.exceptions.ChannelWrongStateError"]


@pytest.mark.slow
def test_a_message_that_is_asked_for_links_to_its_producer_and_leaves_no_context(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    got = [span for span in publishing.spans if span.name.startswith("get ")]
    sent = [s for s in publishing.spans if s.kind == "PRODUCER" and s.status.code == "UNSET"]
    assert [span.name for span in got] == [
        f"get {publishing.name}-sent",
        f"get {publishing.name}-sent",
        f"get {publishing.name}-shop:orders.new:{publishing.name}-sent",
        f"get {publishing.name}-sent",
    ]
    assert {span.kind for span in got} == {"CLIENT"}
    assert [span.links[0].span_id for span in got[:3]] == [span.span_id for span in sent[:3]]
    marked = [s for s in publishing.spans if s.attributes.get("db.query.text") == "select ? as after_get"]
    assert [span.parent_id for span in marked] == [""] * 4
    counted = publishing.receiver.total(
        "messaging.client.consumed.messages", messaging__destination__name=f"{publishing.name}-sent"
    )
    assert counted.value == 3


@pytest.mark.slow
def test_a_callback_is_a_span_below_the_producers(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    sent = consuming.named(f"publish {consuming.name}-called")
    processed = consuming.named(f"process {consuming.name}-called")
    assert [(s.trace_id, s.parent_id) for s in processed] == [(s.trace_id, s.span_id) for s in sent]
    assert [[link.span_id for link in s.links] for s in processed] == [[s.span_id] for s in sent]
    assert {(s.kind, s.attributes["messaging.operation.type"]) for s in processed} == {("CONSUMER", "process")}
    assert [consuming.query(f"called_{number}").parent_id for number in (1, 2, 3)] == [s.span_id for s in processed]


@pytest.mark.slow
def test_a_callback_that_raises_fails_without_what_it_quotes(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    (processed,) = consuming.named(f"process {consuming.name}-angry")
    assert (processed.status.code, processed.attributes["error.type"]) == ("ERROR", "LookupError")


@pytest.mark.slow
def test_a_loops_body_is_a_span_below_the_producers(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    sent = consuming.named(f"publish {consuming.name}-looped")
    processed = consuming.named(f"process {consuming.name}-looped")
    assert [s.parent_id for s in processed[:2]] == [s.span_id for s in sent[:2]]
    assert [consuming.query(f"looped_{number}").parent_id for number in (0, 1)] == [s.span_id for s in processed[:2]]
    (ambient,) = consuming.named("ambient")
    assert processed[2].parent_id == ambient.span_id
    assert [link.span_id for link in processed[2].links] == [sent[2].span_id]
    assert consuming.query("in_ambient").parent_id == processed[2].span_id
    assert consuming.query("idle").parent_id == ambient.span_id


@pytest.mark.slow
def test_no_context_outlives_its_message(run: Callable[[str], Run]) -> None:
    consuming, asynchronous = run("consuming"), run("asynchronous")
    assert [consuming.query(f"after_{mark}").parent_id for mark in ("called", "angry", "loop")] == [""] * 3
    assert asynchronous.query("after_async").parent_id == ""


@pytest.mark.slow
def test_the_adapters_with_callbacks_are_measured_alike(run: Callable[[str], Run]) -> None:
    asynchronous = run("asynchronous")
    sent = asynchronous.named(f"publish {asynchronous.name}-async")
    processed = asynchronous.named(f"process {asynchronous.name}-async")
    assert [s.parent_id for s in processed] == [s.span_id for s in sent]
    assert [asynchronous.query(mark).parent_id for mark in ("got", "consumed")] == [s.span_id for s in processed]


@pytest.mark.slow
def test_the_hub_knows_producers_and_consumers(run: Callable[[str], Run]) -> None:
    kinds = {"CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
    told = {
        classify(kinds[span.kind], span.name, span.attributes, "")
        for span in run("asynchronous").spans
        if "messaging.system" in span.attributes
    }
    queue = f"{run('asynchronous').name}-async"
    assert told == {("producer", f"publish {queue}", "rabbitmq", ""), ("consumer", f"process {queue}", "rabbitmq", "")}
