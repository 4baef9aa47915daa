"""aio-pika: spans of messages published, processed by callbacks and loops, and asked for; nothing else changes."""

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
APP = "tests/apps/aio_pika_calls.py"
WAYS = ("publishing", "consuming")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(rabbitmq: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one way, made once."""
    made: dict[str, Run] = {}

    def of(which: str) -> Run:
        if which not in made:
            made[which] = Run(APP, which, tmp_path_factory.mktemp(which), RABBITMQ=rabbitmq)
        return made[which]

    return of


@pytest.mark.parametrize("which", WAYS)
def test_the_program_sees_what_it_sees_without_us(run: Callable[[str], Run], which: str, tmp_path: Path) -> None:
    measured = run(which)
    env = {**measured.env, "RUN": f"bare{measured.name}{os.urandom(4).hex()}"}  # a second try finds no messages
    program = Program(("python", APP, which), tmp_path, env, ROOT)
    bare = program.check(60)
    assert measured.stdout.replace(measured.name, "RUN") == bare.replace(env["RUN"], "RUN")
    assert _said(measured.stderr) == _said(program.stderr)


def _said(written: str) -> list[str]:
    """The lines without those of a traceback's frames: that of a callback has one of ours."""
    return [line for line in written.splitlines() if not line.startswith("  ")]


@pytest.mark.parametrize("which", WAYS)
def test_no_body_header_or_password_leaves(run: Callable[[str], Run], which: str) -> None:
    exported = run(which).exported()
    assert b"secret" not in exported
    assert b"guest" not in exported


def test_a_message_published_is_a_producers_span_until_the_broker_has_it(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    span = publishing.named(f"publish {publishing.name}-shop:orders.new")[0]
    assert (span.kind, span.scope.name) == ("PRODUCER", "perfagent.aio-pika")
    assert span.attributes == {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.system": "rabbitmq",
        "messaging.destination.name": f"{publishing.name}-shop:orders.new",
        "messaging.rabbitmq.destination.routing_key": "orders.new",
        "server.address": "127.0.0.1",
        "server.port": int(publishing.env["RABBITMQ"].rstrip("/").rpartition(":")[2]),
    }


def test_a_message_that_carries_a_context_keeps_it_and_is_linked_to(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    (forwarded,) = [span for span in publishing.named(f"publish {publishing.name}-sent") if span.links]
    (link,) = forwarded.links
    assert (forwarded.kind, link.trace_id) == ("CLIENT", "0af7651916cd43dd8448eb211c80319c")


def test_what_fails_is_told_by_its_type(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    failed = [span.attributes["error.type"] for span in publishing.spans if span.status.code == "ERROR"]
    assert failed == ["aiormq.exceptions.PublishError", "ValueError"]


def test_a_message_that_is_asked_for_links_to_its_producer_and_leaves_no_context(run: Callable[[str], Run]) -> None:
    publishing = run("publishing")
    got = [span for span in publishing.spans if span.name.startswith("get ")]
    sent = [s for s in publishing.spans if s.kind == "PRODUCER" and s.status.code == "UNSET"]
    assert [span.links[0].span_id for span in got[:3]] == [span.span_id for span in sent[:3]]
    assert len(got) == 4
    marked = [s for s in publishing.spans if s.attributes.get("db.query.text") == "select ? as after_get"]
    assert [span.parent_id for span in marked] == [""] * 4


@pytest.mark.parametrize(("queue", "marks"), [("called", 2), ("looped", 2), ("plain", 0)])
def test_what_works_on_a_message_is_a_span_below_the_producers(
    run: Callable[[str], Run], queue: str, marks: int
) -> None:
    consuming = run("consuming")
    sent = consuming.named(f"publish {consuming.name}-{queue}")
    processed = consuming.named(f"process {consuming.name}-{queue}")
    assert [(s.trace_id, s.parent_id) for s in processed] == [(s.trace_id, s.span_id) for s in sent]
    assert [[link.span_id for link in s.links] for s in processed] == [[s.span_id] for s in sent]
    found = [consuming.query(f"{queue}_{number}") for number in range(marks)] or [consuming.query(queue)]
    assert [s.parent_id for s in found] == [s.span_id for s in processed]


def test_a_callback_that_raises_fails_without_what_it_quotes(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    fine, failed = consuming.named(f"process {consuming.name}-called")
    assert (fine.status.code, failed.status.code, failed.attributes["error.type"]) == ("UNSET", "ERROR", "LookupError")


def test_in_another_span_the_message_belongs_there_and_links_to_its_producer(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    (ambient,) = consuming.named("ambient")
    (processed,) = consuming.named(f"process {consuming.name}-direct")
    assert processed.parent_id == ambient.span_id
    assert len(processed.links) == 1
    assert consuming.query("direct_0").parent_id == processed.span_id


def test_no_context_outlives_its_message(run: Callable[[str], Run]) -> None:
    consuming = run("consuming")
    assert [consuming.query(f"after_{mark}").parent_id for mark in ("called", "iterator", "ambient")] == [""] * 3
