"""Dramatiq: messages that are sent and messages that actors work on, over a real Redis and a real RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfagent.hub.receive.operations import classify
from tests.otlp import Receiver
from tests.queues import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASES = {"redis": 8, "rabbitmq": 9}  # of the Redis that tells what the actors have done
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=DATABASES)
def queue(request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    address = redis_url.rsplit("/", 1)[0]
    broker = f"{address}/10" if request.param == "redis" else request.getfixturevalue("rabbitmq")
    env = {"BROKER": broker, "STORE": f"{address}/{DATABASES[request.param]}"}
    command = ("dramatiq", "tests.apps.dramatiq_app", "--processes", "1", "--threads", "2")
    with Receiver() as receiver:
        directory = tmp_path_factory.mktemp("dramatiq")
        app = "tests/apps/dramatiq_app.py"
        queue = Queue(receiver, directory, command, app, **env)
        try:
            queue.printed = queue.send("")
            yield queue
        finally:
            queue.worker.stop()
        assert "perfagent:" not in queue.worker.stderr, queue.worker.stderr


def test_the_program_sees_what_it_sees_without_us(queue: Queue) -> None:
    assert queue.printed.splitlines()[0] == "{} (1, 1) {}"


def test_a_message_is_a_child_of_what_sent_it_and_parent_of_its_queries(queue: Queue) -> None:
    (caller,) = queue.spans("caller add")
    (sent,) = queue.below(caller, "send add")
    (run,) = queue.below(sent, "process add")
    assert (sent.kind, run.kind, run.trace_id) == ("PRODUCER", "CONSUMER", caller.trace_id)
    assert [link.span_id for link in run.links] == [sent.span_id]
    for span in (sent, run):
        told = span.attributes
        assert (told["messaging.system"], told["dramatiq.actor_name"]) == ("dramatiq", "add")
        assert (told["messaging.destination.name"], told["server.address"]) == ("default", "127.0.0.1")
    (query,) = queue.below(run, "SELECT")
    assert query.attributes["db.query.text"] == "select ? + ?"


def test_an_actor_that_raises_fails_without_what_its_message_quotes(queue: Queue) -> None:
    (run,) = queue.spans("process boom")
    assert (run.status.code, run.attributes["error.type"]) == ("ERROR", "LookupError")
    (event,) = run.events
    assert "4111" not in str(event.attributes)


@pytest.mark.parametrize(("word", "codes"), [("again", ["ERROR", "ERROR", "UNSET"]), ("politely", ["UNSET", "UNSET"])])
def test_each_try_of_a_message_is_sent_by_the_one_before(queue: Queue, word: str, codes: list[str]) -> None:
    (above,) = queue.spans(f"caller {word}")
    for code in codes:
        (sent,) = queue.below(above, f"send {word}")
        (above,) = queue.below(sent, f"process {word}")
        assert above.status.code == code


def test_a_message_that_an_actor_sends_is_below_its_own(queue: Queue) -> None:
    (run,) = queue.spans("process calling")
    (sent,) = queue.below(run, "send after")
    assert len(queue.below(sent, "process after")) == 1


def test_a_message_that_has_to_wait_is_a_child_of_what_sent_it(queue: Queue) -> None:
    (caller,) = queue.spans("caller later")
    (sent,) = queue.below(caller, "send after")
    assert len(queue.below(sent, "process after")) == 1


def test_messages_that_are_sent_together_have_a_span_each(queue: Queue) -> None:
    (caller,) = queue.spans("caller many")
    sent = queue.below(caller, "send after", 3)
    assert len(sent) == 3
    assert [len(queue.below(span, "process after")) for span in sent] == [1] * 3


def test_every_message_has_one_span_sent_and_one_processed(queue: Queue) -> None:
    queue.spans("process after", 5)
    queue.receiver.wait_until_quiet(0.5)
    kinds = [span.kind for span in queue.receiver.spans if "messaging.system" in span.attributes]
    assert (kinds.count("PRODUCER"), kinds.count("CONSUMER")) == (14, 14)
    assert {span.scope.name for span in queue.receiver.spans if span.kind in ("PRODUCER", "CONSUMER")} == {
        "perfagent.dramatiq"
    }


def test_only_the_programs_own_commands_are_seen(queue: Queue) -> None:
    (run,) = queue.spans("process calling")
    assert len(queue.below(run, "INCRBY")) == 1
    assert queue.orphans() == set()


def test_the_hub_tells_messages_apart_by_their_actors(queue: Queue) -> None:
    found = {
        classify(kind, span.name, span.attributes, "")
        for kind, name in ((4, "send boom"), (5, "process boom"))
        for span in queue.spans(name)
    }
    assert found == {("producer", "send boom", "dramatiq", ""), ("consumer", "process boom", "dramatiq", "")}
