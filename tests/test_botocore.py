"""boto3: one span a call. AWS cannot be had here: the real client talks over a socket to a small server of its
protocols (S3's REST and XML, DynamoDB's and SQS' JSON, SNS' query), which answers what these tests ask for.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from perfagent.hub.receive.operations import classify
from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = str(Path(__file__).parent / "apps" / "aws_calls.py")
CANARY = b"canary-4711"
ENVIRONMENT = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/no"}


class Aws(BaseHTTPRequestHandler):
    """As much of AWS as the program asks for; `server.seen` keeps what came."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        if self.path.startswith("/birds/missing"):
            self._answer(404, "<Error><Code>NoSuchKey</Code><Message>no 'missing'</Message></Error>", "xml")
        elif self.path.startswith("/birds/"):
            self._answer(200, "seed", "octet-stream")
        else:
            self.server.tries += 1
            if self.server.tries < 3:
                self._answer(503, "<Error><Code>SlowDown</Code></Error>", "xml")
            else:
                self._answer(200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", "xml")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        target = self.headers.get("X-Amz-Target", "").partition(".")[2]
        if not target:
            form = parse_qs(body)
            self.server.seen.append(("Publish", form))
            inner = "<PublishResult><MessageId>m-3</MessageId></PublishResult>"
            self._answer(200, f"<PublishResponse>{inner}</PublishResponse>", "xml")
            return
        given = json.loads(body)
        self.server.seen.append((target, given))
        self._answer(200, json.dumps(getattr(self, f"_{target}")(given)), "x-amz-json-1.0")

    def _GetItem(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"Item": {"name": {"S": "polly"}}}

    def _SendMessage(self, given: dict[str, Any]) -> dict[str, Any]:
        self.server.queue.append(given)
        return {"MessageId": "m-1"}

    def _SendMessageBatch(self, given: dict[str, Any]) -> dict[str, Any]:
        self.server.queue.extend(given["Entries"])
        return {"Successful": [{"Id": entry["Id"], "MessageId": "m-2"} for entry in given["Entries"]], "Failed": []}

    def _ReceiveMessage(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "Messages": [
                {"Body": message["MessageBody"], "MessageAttributes": message.get("MessageAttributes", {})}
                for message in self.server.queue
            ]
        }

    def _answer(self, status: int, body: str, kind: str) -> None:
        self.server.headers_seen.append({name.lower() for name in self.headers})
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"application/{kind}"), ("Content-Length", str(len(body))), ("x-amzn-RequestId", "r-1"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        pass


class Run:
    """One run of the program under the agent."""

    def __init__(self, word: str, directory: Path, address: str, under: tuple[str, ...] = ("perfagent", "run")) -> None:
        with Receiver() as self.receiver:
            env = agent_env(self.receiver, AWS_SERVER=address, **ENVIRONMENT)
            program = Program((*under, sys.executable, APP, word), directory, env)
            try:
                self.stdout = program.check(60)
            finally:
                program.stop()
            self.stderr = program.stderr
            self.receiver.wait_until_quiet(0.1)
        self.spans = sorted(self.receiver.spans, key=lambda span: span.start)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    server.seen, server.queue, server.headers_seen, server.tries = [], [], [], 0
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def run(aws: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of one word, made once."""
    made: dict[str, Run] = {}

    def of(word: str) -> Run:
        if word not in made:
            made[word] = Run(word, tmp_path_factory.mktemp("aws"), f"http://127.0.0.1:{aws.server_port}")
        return made[word]

    return of


def test_each_call_is_one_span_and_no_request_shows_below_it(run: Callable[[str], Run]) -> None:
    found = run("services")
    assert found.stdout.splitlines() == ["b'seed'", "NoSuchKey NoSuchKey", "polly", "polly"]
    names = ["S3.GetObject", "S3.GetObject", "DynamoDB.GetItem", "DynamoDB.GetItem"]
    assert [span.name for span in found.spans] == names
    assert {span.kind for span in found.spans} == {"CLIENT"}
    for span in found.spans:
        told = span.attributes
        assert told["rpc.system.name"] == "aws-api"
        assert told["rpc.method"] == span.name.replace(".", "/")
        assert (told["cloud.region"], told["server.address"]) == ("eu-central-1", "127.0.0.1")
        assert told["aws.request_id"] == "r-1"
    item = found.spans[2].attributes
    assert (item["db.system.name"], item["db.operation.name"]) == ("aws.dynamodb", "GetItem")
    assert item["db.collection.name"] == "parrots"
    assert found.spans[0].attributes["aws.s3.bucket"] == "birds"


def test_an_error_is_told_by_the_code_that_aws_answers(run: Callable[[str], Run]) -> None:
    missing = run("services").spans[1]
    assert missing.status.code == "ERROR"
    assert (missing.attributes["error.type"], missing.attributes["http.response.status_code"]) == ("NoSuchKey", 404)
    (event,) = missing.events
    assert "missing" not in event.attributes["exception.message"]


def test_what_is_tried_again_is_one_span_with_the_number_of_tries(run: Callable[[str], Run]) -> None:
    found = run("retries")
    (span,) = found.spans
    assert (span.name, span.attributes["http.request.resend_count"]) == ("S3.ListBuckets", 2)
    assert span.status.code == "UNSET"
    assert found.receiver.total("rpc.client.call.duration", rpc__method="S3/ListBuckets").count == 1


def test_a_server_that_cannot_be_reached_is_an_error_of_the_exceptions_type(tmp_path: Path) -> None:
    found = Run("outage", tmp_path, f"http://127.0.0.1:{find_free_port()}")
    (span,) = found.spans
    assert span.attributes["error.type"] == "botocore.exceptions.EndpointConnectionError"


def test_messages_carry_the_context_where_they_have_room_for_it(run: Callable[[str], Run], aws: Any) -> None:
    found = run("messages")
    assert found.stdout.splitlines()[0] == "m-1 dict_keys(['mine'])", "the program's own parameters stay as they are"
    single, full, batch = [given for target, given in aws.seen if target.startswith("Send")]
    sent = found.named("send orders")
    assert [span.kind for span in sent] == ["PRODUCER"] * 3
    assert single["MessageAttributes"]["traceparent"]["StringValue"] == f"00-{sent[0].trace_id}-{sent[0].span_id}-01"
    assert "mine" in single["MessageAttributes"]
    assert len(full["MessageAttributes"]) == 10
    assert "traceparent" not in full["MessageAttributes"]
    for entry in batch["Entries"]:
        assert sent[2].span_id in entry["MessageAttributes"]["traceparent"]["StringValue"]
    (published,) = [form for target, form in aws.seen if target == "Publish"]
    (news,) = found.named("send news")
    assert any(news.span_id in value[0] for value in published.values())


def test_messages_are_told_by_the_conventions_of_messaging(run: Callable[[str], Run]) -> None:
    found = run("messages")
    single, _full, batch = found.named("send orders")
    told = single.attributes
    assert (told["messaging.system"], told["messaging.operation.type"]) == ("aws_sqs", "send")
    assert (told["messaging.destination.name"], told["aws.sqs.queue.url"].rpartition("/")[2]) == ("orders", "orders")
    assert batch.attributes["messaging.batch.message_count"] == 2
    (news,) = found.named("send news")
    assert news.attributes["messaging.system"] == "aws.sns"
    total = found.receiver.total("messaging.client.sent.messages", messaging__destination__name="orders")
    assert total.value == 4
    assert classify(4, single.name, single.attributes, "") == ("producer", "send orders", "aws_sqs", "")


def test_what_is_received_links_to_where_it_was_sent(run: Callable[[str], Run]) -> None:
    found = run("messages")
    single, _full, batch = found.named("send orders")
    (received,) = found.named("receive orders")
    assert received.kind == "CLIENT"
    assert [link.span_id for link in received.links] == [single.span_id, batch.span_id, batch.span_id]
    assert received.attributes["messaging.batch.message_count"] == 4
    assert found.receiver.total("messaging.client.consumed.messages").value == 4


def test_no_key_no_body_and_no_attribute_leaves(run: Callable[[str], Run], aws: Any) -> None:
    for word in ("services", "messages"):
        for request in run(word).receiver.requests:
            body = gzip.decompress(request.body) if request.body[:2] == b"\x1f\x8b" else request.body
            assert CANARY not in body
    assert not any("traceparent" in names for names in aws.headers_seen), "what AWS has signed is not changed"


def test_the_program_prints_the_same_without_the_agent(run: Callable[[str], Run], aws: Any, tmp_path: Path) -> None:
    bare = Run("services", tmp_path, f"http://127.0.0.1:{aws.server_port}", ())
    assert bare.stdout == run("services").stdout
    assert run("services").stderr == bare.stderr
