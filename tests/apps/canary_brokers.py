"""A program that has a secret in every place that the instruments of brokers, of Memcached, of gRPC and of language
models can see.
"""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aio_pika
import aiokafka
import anthropic
import confluent_kafka
import grpc
import kafka
import openai
import pika
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient

from tests.apps.canary import TOLD, canary, failing, wait_for_release

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = os.urandom(4).hex()  # brokers outlive a test
DEAD = f"127.0.0.1:{TOLD['dead_port']}"


# Memcached.


def memcached() -> None:
    host, _, port = TOLD["memcached"].rpartition(":")
    for client in (Client((host, int(port))), PooledClient((host, int(port))), HashClient([(host, int(port))])):
        client.set(canary("Memcached key"), canary("Memcached value"))
        client.get(canary("Memcached key"))
        client.get_many([canary("Memcached key"), canary("Memcached missing key")])
        client.set_many({canary("Memcached key"): canary("Memcached value")})
        for bad in (f"{canary('Memcached key')} with spaces", canary("Memcached key") * 20):
            with failing():
                client.get(bad)
            with failing():
                client.set(bad, canary("Memcached value"), noreply=False)
        with failing():
            client.incr(canary("Memcached key"), 1)
        client.delete(canary("Memcached key"))
    prefixed = Client((host, int(port)), key_prefix=canary("Memcached prefix").encode())
    prefixed.get("name")
    with failing():
        prefixed.raw_command(f"nothing {canary('Memcached raw command')}".encode())
    with failing():
        Client(DEAD).get(canary("Memcached key"))


# Kafka.


def work_on(value: object) -> None:
    """What a program does with a message; what it raises has a secret in it."""
    raise ValueError(f"token={canary('exception of a message')} in {len(str(value))} characters")


def kafka_python() -> None:
    topic = f"{RUN}-python"
    producer = kafka.KafkaProducer(bootstrap_servers=TOLD["kafka"], max_request_size=4000)
    headers = [("password", canary("Kafka header").encode()), (canary("Kafka header's name"), b"1")]
    key, value = canary("Kafka key").encode(), canary("Kafka value").encode()
    producer.send(topic, value, key, headers).get(30)
    for bad in (value * 1000, {"password": canary("Kafka value")}):
        with failing():
            producer.send(topic, bad, key, headers).get(10)
    with failing():
        producer.send(topic, value, key, headers=[(canary("Kafka header's name"), canary("Kafka header"))])
    producer.close()

    def parse(_: bytes) -> Any:
        raise ValueError(f"password={canary('Kafka value')} is no JSON")

    options: dict[str, Any] = {
        "bootstrap_servers": TOLD["kafka"], "auto_offset_reset": "earliest", "consumer_timeout_ms": 20_000
    }  # fmt: skip
    consumer = kafka.KafkaConsumer(topic, group_id=f"{topic}-readers", **options)
    with failing():
        for record in consumer:
            work_on(record.value)
    consumer.close()
    consumer = kafka.KafkaConsumer(topic, value_deserializer=parse, **options)
    with failing():
        next(iter(consumer))
    consumer.close()
    with failing():
        kafka.KafkaProducer(
            bootstrap_servers=TOLD["kafka"], security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_plain_username="joe", sasl_plain_password=canary("Kafka password"), api_version_auto_timeout_ms=1000,
            request_timeout_ms=1000, max_block_ms=1000,
        ).send(topic, value)  # fmt: skip


async def aiokafka_in_loop() -> None:
    topic = f"{RUN}-aio"
    headers = [("password", canary("Kafka header").encode())]
    key, value = canary("Kafka key").encode(), canary("Kafka value").encode()
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=TOLD["kafka"]) as producer:
        await producer.send_and_wait(topic, value, key, headers=headers)
        for bad in (value * 100_000, canary("Kafka value")):
            with failing():
                await producer.send_and_wait(topic, bad, key, headers=headers)
    options = {"bootstrap_servers": TOLD["kafka"], "auto_offset_reset": "earliest", "group_id": f"{topic}-readers"}
    async with aiokafka.AIOKafkaConsumer(topic, **options) as consumer:
        with failing():
            async for record in consumer:
                work_on(record.value)
    with failing():
        strange = aiokafka.AIOKafkaProducer(
            bootstrap_servers=TOLD["kafka"], security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_plain_username="joe", sasl_plain_password=canary("Kafka password"), request_timeout_ms=1000,
        )  # fmt: skip
        await asyncio.wait_for(strange.start(), 3)


def confluent() -> None:
    topic = f"{RUN}-confluent"
    key, value = canary("Kafka key").encode(), canary("Kafka value").encode()
    producer = confluent_kafka.Producer({"bootstrap.servers": TOLD["kafka"]})
    producer.produce(
        topic, value, key, headers={"password": canary("Kafka header"), canary("Kafka header's name"): b""}
    )
    for bad in (value * 100_000, {"password": canary("Kafka value")}):
        with failing():
            producer.produce(topic, bad, key)
    producer.flush(30)
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": TOLD["kafka"], "group.id": f"{topic}-readers", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    for _ in range(30):
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            with failing():
                work_on(message.value())
            break
    consumer.close()
    strange = confluent_kafka.Producer(
        {
            "bootstrap.servers": TOLD["kafka"], "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
            "sasl.username": "joe", "sasl.password": canary("Kafka password"), "message.timeout.ms": 1000,
        },
        logger=logging.getLogger("confluent"),
    )  # fmt: skip
    strange.produce(topic, value, key)
    strange.flush(2)


# RabbitMQ.


def described() -> dict[str, Any]:
    """The properties of a message that a program may put anything into."""
    return {
        "headers": {"password": canary("RabbitMQ header"), canary("RabbitMQ header's name"): "1"},
        "correlation_id": canary("RabbitMQ correlation id"),
        "reply_to": canary("RabbitMQ reply queue"),
        "message_id": canary("RabbitMQ message id"),
        "app_id": canary("RabbitMQ application"),
        "type": canary("RabbitMQ type"),
    }


def pika_in_threads() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(TOLD["rabbitmq"]))
    channel = connection.channel()
    queue, body = f"{RUN}-pika", canary("RabbitMQ body").encode()
    channel.queue_declare(queue, arguments={"x-password": canary("RabbitMQ argument")})
    properties = pika.BasicProperties(**described())
    for _ in range(3):
        channel.basic_publish("", queue, body, properties)
    with failing():
        channel.basic_publish("", queue, {"password": canary("RabbitMQ body")})
    channel.basic_get(queue, auto_ack=True)
    with failing():
        for _method, _properties, found in channel.consume(queue, auto_ack=True):
            work_on(found)
    channel.cancel()
    channel.basic_publish("", queue, body, properties)
    channel.basic_consume(queue, lambda _channel, _method, _properties, found: work_on(found), auto_ack=True)
    with failing():
        connection.process_data_events(10)
    with failing():
        channel.queue_declare(queue, arguments={"x-max-length": 1, "x-password": canary("RabbitMQ argument")})
    connection.close()
    wrong = TOLD["rabbitmq"].replace("guest:guest", f"joe:{canary('RabbitMQ password')}")
    for url in (wrong, wrong.replace(TOLD["rabbitmq"].rpartition("@")[2].rstrip("/"), DEAD)):
        with failing():
            pika.BlockingConnection(pika.URLParameters(f"{url}?connection_attempts=1&socket_timeout=2"))


async def aio_pika_in_loop() -> None:
    async with await aio_pika.connect(TOLD["rabbitmq"]) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{RUN}-aio", arguments={"x-password": canary("RabbitMQ argument")})
        message = aio_pika.Message(canary("RabbitMQ body").encode(), **described())
        for _ in range(2):
            await channel.default_exchange.publish(message, queue.name)
        with failing():
            await channel.default_exchange.publish(aio_pika.Message({canary("RabbitMQ body"): 1}), queue.name)  # type: ignore[arg-type]
        await queue.get(no_ack=True)
        done = asyncio.Event()

        async def heard(found: Any) -> None:
            async with found.process():
                done.set()
                work_on(found.body)

        tag = await queue.consume(heard)
        await asyncio.wait_for(done.wait(), 20)
        await queue.cancel(tag)
    with failing():
        await aio_pika.connect(TOLD["rabbitmq"].replace("guest:guest", f"joe:{canary('RabbitMQ password')}"))


# gRPC.


def answers(request: bytes, context: Any) -> bytes:
    secret = canary("gRPC response metadata")
    context.send_initial_metadata((("x-session", secret),))
    context.set_trailing_metadata((("x-session", secret),))
    if request.endswith(b"abort"):
        context.abort(grpc.StatusCode.NOT_FOUND, f"nobody is called {canary('gRPC status message')}")
    if request.endswith(b"raise"):
        raise LookupError(f"token={canary('gRPC exception')}")
    return canary("gRPC response").encode()


def repeats(request: bytes, context: Any) -> Iterator[bytes]:
    yield answers(request, context)


def serve(credentials: Any) -> tuple[Any, int]:
    server = grpc.server(ThreadPoolExecutor(2))
    made = {
        "Say": grpc.unary_unary_rpc_method_handler(answers),
        "Repeat": grpc.unary_stream_rpc_method_handler(repeats),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Safe", made),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, port


REQUESTS = ("", "abort", "raise")


def asked(word: str) -> bytes:
    return canary("gRPC request").encode() + word.encode()


def metadata() -> tuple[tuple[str, Any], ...]:
    return (
        ("authorization", f"Bearer {canary('gRPC metadata')}"), ("x-key-bin", canary("gRPC metadata").encode()),
        ("cookie", canary("gRPC metadata")), ("user-agent", canary("gRPC user agent")),
    )  # fmt: skip


def grpc_in_threads(port: int, credentials: Any) -> None:
    options = [("grpc.primary_user_agent", canary("gRPC user agent"))]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        for word in REQUESTS:
            with failing():
                channel.unary_unary("/shop.Safe/Say")(asked(word), metadata=metadata(), timeout=20)
            with failing():
                list(channel.unary_stream("/shop.Safe/Repeat")(asked(word), metadata=metadata(), timeout=20))
    with failing(), grpc.insecure_channel(DEAD) as channel:
        channel.unary_unary("/shop.Safe/Say")(asked(""), metadata=metadata(), timeout=2)


async def grpc_in_loop(port: int, credentials: Any) -> None:
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        for word in REQUESTS:
            with failing():
                await channel.unary_unary("/shop.Safe/Say")(asked(word), metadata=metadata(), timeout=20)
            with failing():
                async for _ in channel.unary_stream("/shop.Safe/Repeat")(asked(word), metadata=metadata(), timeout=20):
                    pass


def calls() -> None:
    server, port = serve(grpc.local_server_credentials())
    token = grpc.access_token_call_credentials(canary("gRPC call credentials"))
    credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), token)
    grpc_in_threads(port, credentials)
    asyncio.run(grpc_in_loop(port, credentials))
    server.stop(1).wait()


# Language models.


def conversation() -> dict[str, Any]:
    said = [
        {"role": "user", "content": canary("prompt")},
        {"role": "assistant", "content": canary("earlier answer of a model")},
        {"role": "user", "content": f"card 4556737586899855, password={canary('prompt')}"},
    ]
    return {
        "model": "parrot", "messages": said, "max_tokens": 64, "extra_headers": {"X-Key": canary("header for a model")},
        "extra_query": {"token": canary("query for a model")}, "timeout": 20,
    }  # fmt: skip


def to_openai(more: dict[str, Any]) -> dict[str, Any]:
    described = {"name": "pay", "description": canary("tool"), "parameters": {"type": "object", "properties": {}}}
    return {
        **conversation(), "user": canary("user of a model"), "stop": [canary("stop sequence")],
        "tools": [{"type": "function", "function": described}], "metadata": {"key": canary("metadata for a model")},
        **more,
    }  # fmt: skip


def to_anthropic(more: dict[str, Any]) -> dict[str, Any]:
    tool = {"name": "pay", "description": canary("tool"), "input_schema": {"type": "object"}}
    return {
        **conversation(), "system": canary("system prompt"), "stop_sequences": [canary("stop sequence")],
        "tools": [tool], "metadata": {"user_id": canary("user of a model")}, **more,
    }  # fmt: skip


WAYS: tuple[dict[str, Any], ...] = ({}, {"stream": True}, {"model": "missing"})


def models() -> None:
    key, url = canary("key of a model"), TOLD["models"]
    pair = openai.OpenAI(
        api_key=key, base_url=f"{url}/v1", organization=canary("organization of a model"), max_retries=0
    )
    claude = anthropic.Anthropic(api_key=key, base_url=url, max_retries=0)
    for more in WAYS:
        with failing():
            list(pair.chat.completions.create(**to_openai(more)))
        with failing():
            list(claude.messages.create(**to_anthropic(more)))
    pair.responses.create(model="parrot", input=canary("prompt"), instructions=canary("system prompt"))
    pair.embeddings.create(model="parrot-embed", input=[canary("prompt")], encoding_format="float")
    with failing():
        openai.OpenAI(api_key=key, base_url=f"http://joe:{key}@{DEAD}/v1", max_retries=0).models.list()
    with failing():
        openai.OpenAI(api_key=key, base_url=f"http://{DEAD}", max_retries=0).chat.completions.create(**to_openai({}))


async def models_in_loop() -> None:
    key, url = canary("key of a model"), TOLD["models"]
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0) as pair:
        for more in WAYS:
            with failing():
                await pair.chat.completions.create(**to_openai(more))
    async with anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=0) as claude:
        for more in WAYS:
            with failing():
                await claude.messages.create(**to_anthropic(more))


def main() -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # what the program prints itself is no matter of ours
    warnings.simplefilter("ignore")
    for part in (memcached, kafka_python, confluent, pika_in_threads, calls, models):
        part()
    for concurrent in (aiokafka_in_loop, aio_pika_in_loop, models_in_loop):
        asyncio.run(concurrent())
    wait_for_release()


if __name__ == "__main__":
    main()
