"""What producers and consumers of confluent-kafka have in common: what spans share, kept from their configuration."""

from __future__ import annotations

from perfagent.instruments.kafka_python import first_server
from perfagent.instruments.messages import among, text
from perfagent.runtime import guard
from perfagent.runtime.messaging import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class KafkaClient(Client):
    """What spans share of one producer or consumer.

    `deliver` is the callback of the whole producer, `silent` whether librdkafka tells of failures only, and `awaited`
    whether somebody else awaits the consumer in a thread.
    """

    __slots__ = ("awaited", "deliver", "silent")

    def __init__(self, config: dict[str, Any]) -> None:
        def of(name: str) -> Any:
            return config.get(name) or config.get(name.replace(".", "_"))

        host, port = first_server(of("bootstrap.servers") or of("metadata.broker.list"))
        super().__init__("kafka", host, port, str(of("client.id") or ""), str(of("group.id") or ""))
        self.deliver = config.get("on_delivery")
        self.silent = str(of("delivery.report.only.error")).lower() in ("true", "1")
        self.awaited = False


def initialise(original: Any, owner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Keeps what spans need of a configuration, which nobody can ask the types of C for."""
    if options:
        original.__init__(owner, *args, **options)
    else:  # C tells no keywords from none
        original.__init__(owner, *args)
    try:
        owner._perfagent = KafkaClient({**(args[0] if args and isinstance(args[0], dict) else {}), **options})
    except Exception:
        guard.failed("confluent_kafka")


def client_of(owner: Any) -> KafkaClient:
    """What the spans of a producer or consumer share."""
    try:
        client: KafkaClient = owner._perfagent
    except AttributeError:  # a class of the program's that calls no __init__
        client = owner._perfagent = KafkaClient({})
    return client


def header(headers: Any, name: str) -> str | None:
    """The first header of that name, of a message's list of pairs or dict."""
    return text(headers.get(name)) if isinstance(headers, dict) else among(headers, name)
