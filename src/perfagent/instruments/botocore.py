"""boto3 and botocore: one client span for each call of an AWS API, however often it is tried.

It ends when the headers of the response have arrived; what is read of a stream comes later. A message sent by SQS or
SNS carries the context in its attributes where there is room for it (ten at most), and a batch that is received links
to where its messages were sent. Of what a call is given, only the names of queues, topics, tables and the like are
recorded. Costs 5 us a call.
"""

from __future__ import annotations

from perfagent.instruments import outgoing
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard, http, metric, propagation, rpc
from perfagent.runtime.context import current
from perfagent.runtime.encoded import MOST
from perfagent.runtime.messaging import Client, Template
from perfagent.runtime.otlp import wire
from perfagent.runtime.rpc import RpcSpan
from perfagent.runtime.span import CLIENT, ERROR, PRODUCER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.span import Scope, Span

NAMED: dict[str, tuple[str, str]] = {
    "DynamoDB": ("TableName", "db.collection.name"),
    "Kinesis": ("StreamName", "aws.kinesis.stream_name"),
    "Lambda": ("FunctionName", "faas.invoked_name"),
    "S3": ("Bucket", "aws.s3.bucket"),
    "SFN": ("stateMachineArn", "aws.step_functions.state_machine.arn"),
    "SNS": ("TopicArn", "aws.sns.topic.arn"),
    "SQS": ("QueueUrl", "aws.sqs.queue.url"),
}
"""For each service, the parameter that says what a call is about, and the attribute that it becomes."""
SENDS = frozenset(
    (("SQS", "SendMessage"), ("SQS", "SendMessageBatch"), ("SNS", "Publish"), ("SNS", "PublishBatch"))
)  # fmt: skip
RECEIVES = ("SQS", "ReceiveMessage")
SYSTEMS = {"SQS": "aws_sqs", "SNS": "aws.sns"}
MOST_ATTRIBUTES = 10  # of a message: the limit of SQS, and of SNS where it delivers to SQS


class Botocore(Instrument):
    """Patches the one method that every call of every service goes through."""

    name = "botocore"
    distribution = "botocore"
    versions = ("1.23", "2")
    records = "a client span a call of an AWS API with service, operation, region, request id; context in SQS and SNS"

    def patch(self, module: ModuleType) -> None:
        scope = self.scope

        def calling(make_call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(client: Any, operation_name: str, api_params: Any) -> Any:
                span, given = _open(scope, client, operation_name, api_params)
                if span is None:
                    return make_call(client, operation_name, api_params)
                token, silence = current.set(span), outgoing.left_out.set(True)
                try:
                    answer = make_call(client, operation_name, given)
                except BaseException as error:
                    _failed(span, error)
                    raise
                else:
                    _answered(span, answer)
                    return answer
                finally:
                    outgoing.left_out.reset(silence)
                    current.reset(token)
                    span.finish()

            return wrapper

        self.replace(module.BaseClient, "_make_api_call", calling)


class AwsSpan(RpcSpan):
    """One call of an AWS API.

    Args:
        scope: the instrument.
        parent: the span that calls, or None.
        service: as AWS names it, such as "DynamoDB".
        operation: such as "GetItem".
        endpoint: the address that the client was made for.
        region: of the client, or None.
        about: the value of the service's parameter in `NAMED`, or "".
    """

    __slots__ = ("about", "answer", "messages", "region", "service")
    system = "aws-api"

    def __init__(
        self, scope: Scope, parent: Span | RemoteContext | None, service: str, operation: str, endpoint: str,
        region: str | None, about: str,
    ) -> None:  # fmt: skip
        kind = PRODUCER if (service, operation) in SENDS else CLIENT
        super().__init__(scope, kind, parent, operation, endpoint)
        self.service = service
        self.region = region
        self.about = about
        self.messages = 0
        self.answer: dict[str, Any] | None = None  # what botocore calls ResponseMetadata

    def measure(self) -> None:
        """Adds the call, and the messages that it sent or received, to their metrics."""
        template = self._template()
        seconds = (self.ended - self.started) / 1e9
        template.duration.record(seconds)
        messages = self._messaging()
        if messages is not None:
            messages.duration.record(seconds)
            messages.messages.record(self.messages)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            template.duration.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        own: dict[str, object] = {}
        answer = self.answer
        if answer is not None:
            fields = {
                "aws.request_id": answer.get("RequestId"),
                "aws.extended_request_id": answer.get("HostId"),
                "http.response.status_code": answer.get("HTTPStatusCode"),
                "http.request.resend_count": answer.get("RetryAttempts"),
            }
            own = {name: value for name, value in fields.items() if value}
        if self.messages and (str(self.method).endswith("Batch") or self.kind == CLIENT):
            own["messaging.batch.message_count"] = self.messages
        return self.encode_around(self._template().body + wire.attributes(9, own))

    def _template(self) -> rpc.Template:
        key = (self.service, self.method, self.target, self.region, self.about, self.failure, self.name)
        return _templates.get(key) or self._make_template(key)

    def _make_template(self, key: tuple[object, ...]) -> rpc.Template:
        shared: dict[str, object] = {"rpc.system.name": self.system, "rpc.method": f"{self.service}/{self.method!s}"}
        address, port = _address(self.target)
        if address:
            shared |= {"server.address": address, "server.port": port}
        if self.failure:
            shared["error.type"] = self.failure
        own = shared | self._particular()
        name = self.name or f"{self.service}.{self.method!s}"
        if "messaging.destination.name" in own:
            name = self.name or f"{own['messaging.operation.name']} {own['messaging.destination.name']}"
        body = wire.text(5, name) + b"0" + wire.varint(self.kind) + wire.attributes(9, own)
        if self.failure:
            body += wire.message(15, wire.integer(3, ERROR))
        template = rpc.Template(body, rpc.client_duration.of(shared))
        if len(_templates) >= MOST:
            _templates.clear()
        _templates[key] = template
        return template

    def _particular(self) -> dict[str, object]:
        """The attributes of a service's own conventions."""
        own: dict[str, object] = {"cloud.region": self.region} if self.region else {}
        parameter = NAMED.get(self.service)
        if parameter and self.about:
            own[parameter[1]] = self.about
        if self.service == "DynamoDB":
            own |= {"db.system.name": "aws.dynamodb", "db.operation.name": self.method}
            if self.about:
                own["aws.dynamodb.table_names"] = [self.about]
        elif self._is_messaging():
            verb = "send" if self.kind == PRODUCER else "receive"
            own |= {"messaging.system": SYSTEMS[self.service], "messaging.operation.name": verb}
            own["messaging.operation.type"] = verb
            if self.about:
                own["messaging.destination.name"] = _last(self.about)
        return own

    def _is_messaging(self) -> bool:
        return self.kind == PRODUCER or (self.service, self.method) == RECEIVES

    def _messaging(self) -> Template | None:
        """What messages of the same queue or topic share; None where none was sent or received."""
        if not self.messages or not self._is_messaging():
            return None
        system = SYSTEMS[self.service]
        client = _clients.get((system, self.target))
        if client is None:
            client = Client(system, *_address(self.target))
            if len(_clients) < MOST:
                _clients[system, self.target] = client
        verb = "send" if self.kind == PRODUCER else "receive"
        return client.template(self.kind, verb, verb, _last(self.about), self.failure)


_templates: dict[tuple[object, ...], rpc.Template] = {}
_clients: dict[tuple[object, ...], Client] = {}


def _open(scope: Scope, client: Any, operation: str, given: Any) -> tuple[AwsSpan | None, Any]:
    """The span, and the parameters to call with: those of the program, or a copy with the context in it."""
    try:
        parent = current.get()
        if (parent is not None and parent.kind == CLIENT and not parent.ended) or outgoing.left_out.get():
            return None, given
        meta = client.meta
        service = str(meta.service_model.service_id)
        parameter = NAMED.get(service)
        about = given.get(parameter[0]) if parameter is not None else ""
        about = about if isinstance(about, str) else ""
        span = AwsSpan(scope, parent, service, operation, meta.endpoint_url or "", meta.region_name, about)
        if span.kind == PRODUCER:
            given = _with_context(span, given)
        return span, given
    except Exception:
        guard.failed("botocore")
        return None, given


def _with_context(span: AwsSpan, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters whose messages carry the context."""
    for name in ("Entries", "PublishBatchRequestEntries"):
        if name in given:
            span.messages = len(given[name])
            return {**given, name: [_stamped(span, entry) for entry in given[name]]}
    span.messages = 1
    return _stamped(span, given) if "PhoneNumber" not in given else given


def _stamped(span: AwsSpan, message: dict[str, Any]) -> dict[str, Any]:
    carried: dict[str, str] = {}
    propagation.inject(carried.__setitem__, span)
    attributes = dict(message.get("MessageAttributes") or {})
    for name, value in carried.items():
        if name in attributes or len(attributes) < MOST_ATTRIBUTES:
            attributes[name] = {"DataType": "String", "StringValue": value}
    return {**message, "MessageAttributes": attributes}


def _answered(span: AwsSpan, answer: Any) -> None:
    try:
        span.answer = answer.get("ResponseMetadata")
        if (span.service, span.method) == RECEIVES:
            messages = answer.get("Messages") or ()
            span.messages = len(messages)
            for message in messages:
                attributes = message.get("MessageAttributes") or {}
                origin = propagation.extract(lambda name, found=attributes: (found.get(name) or {}).get("StringValue"))  # type: ignore[misc]
                if origin is not None:
                    span.link(origin)
    except Exception:
        guard.failed("botocore")


def _failed(span: AwsSpan, error: BaseException) -> None:
    """Records an exception; what AWS answers has a code, which tells more than the exception's class."""
    span.fail(error)
    try:
        told = getattr(error, "response", None)
        if isinstance(told, dict):
            span.answer = told.get("ResponseMetadata")
            span.failure = str(told.get("Error", {}).get("Code") or span.failure)[:128]
    except Exception:
        guard.failed("botocore")


def _address(endpoint: bytes | str) -> tuple[str, int]:
    scheme, _, rest = str(endpoint).partition("://")
    name, port = http.split_host(rest.partition("/")[0])
    return name, port or (443 if scheme == "https" else 80)


def _last(name: str) -> str:
    """The name of a queue or topic at the end of its URL or ARN."""
    return name.rpartition("/")[2].rpartition(":")[2]


instrument = Botocore()
