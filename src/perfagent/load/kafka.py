"""Access events to a Kafka topic, at a rate that does not wait for the broker.

An event's timestamp, in the message and in its content, is when it was due, so what consumers tell of the ages of
messages counts from there too.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from perfagent.load.arrivals import CONSTANT, arrivals
from perfagent.load.events import AccessLog, encode
from perfagent.load.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable

SLACK = 0.010  # seconds; an event handed on later than this after it was due was held up by the generator itself
FLUSH = 30.0  # seconds that the broker may take for the last events
SETTLING = 5.0  # seconds until all brokers know a topic that was just made
CLIENT: dict[str, Any] = {"client_id": "perfagent-load", "bootstrap_timeout_ms": 5000}


class BrokerError(Exception):
    """Why the broker cannot be used, for people."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is published.

    Args:
        bootstrap: `host:port` of brokers, with commas.
        topic: made where it is missing.
        rate: events a second.
        duration: in seconds.
        partitions: of a topic that is made.
        acks: which brokers must have an event: "0" none, "1" the leader, "all".
        key: what decides an event's partition: "none", "client" or "path".
        arrival: CONSTANT or POISSON.
        seed: of the events and of random arrivals.
    """

    bootstrap: str
    topic: str
    rate: float
    duration: float
    partitions: int = 1
    acks: str = "all"
    key: str = "none"
    arrival: str = CONSTANT
    seed: int = 0


@dataclass(slots=True)
class Published:
    """What came of it.

    `latency` is from when an event was due to when the broker acknowledged it, `lag` how much of that was the
    generator's own delay; `logged` by how much the topic has grown meanwhile, None where the broker did not tell.
    """

    began: float = 0.0  # seconds since the epoch
    elapsed: float = 0.0
    due: int = 0
    acknowledged: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latency: Latencies = field(default_factory=Latencies)
    lag: Latencies = field(default_factory=Latencies)
    late: int = 0
    logged: int | None = None
    interrupted: bool = False

    @property
    def rate(self) -> float:
        """Acknowledged events a second."""
        return self.acknowledged / self.elapsed if self.elapsed else 0.0


class Topic:
    """The topic of a plan; made where it is missing.

    Raises:
        BrokerError: no broker answers, or it refuses.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        servers = plan.bootstrap.split(",")
        try:
            admin = KafkaAdminClient(bootstrap_servers=servers, **CLIENT)
            with contextlib.closing(admin), contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics([NewTopic(plan.topic, plan.partitions, -1)])
            self._consumer = KafkaConsumer(bootstrap_servers=servers, **CLIENT)
        except (KafkaError, OSError, ValueError) as error:
            raise BrokerError(f"no Kafka broker can be used at {plan.bootstrap}: {_text(error)}") from None

    def size(self) -> int | None:
        """How many messages were ever appended; None where no broker tells. A topic just made needs a moment."""
        deadline = time.monotonic() + SETTLING
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaError, OSError):
                found = self._consumer.partitions_for_topic(self._plan.topic)
                if found:
                    ends = self._consumer.end_offsets([TopicPartition(self._plan.topic, number) for number in found])
                    return int(sum(ends.values()))
            time.sleep(0.1)
        return None

    def close(self) -> None:
        """Ends its connections."""
        self._consumer.close()


class Publisher:
    """Publishes what is planned.

    Args:
        plan: what.
        tell: called about once a second with what there is so far and the seconds passed.
    """

    def __init__(self, plan: Plan, tell: Callable[[Published, float], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._answers: deque[tuple[float, BaseException | None]] = deque()  # filled by the producer's thread
        self.stopped = False
        """Ends it early when set."""

    def run(self) -> Published:
        """Publishes, and waits for what the broker has not acknowledged yet; raises BrokerError."""
        plan, published = self._plan, Published()
        topic = Topic(plan)
        try:
            producer = self._producer()
            try:
                before = topic.size()
                producer.partitions_for(plan.topic)  # else the first event waits for that
                self._publish(producer, published)
                with contextlib.suppress(KafkaError):  # what is not acknowledged then is counted below
                    producer.flush(FLUSH)
            finally:
                producer.close(5)
            self._collect(published)
            unknown = published.due - published.acknowledged - published.errors.total()
            if unknown:
                published.errors["not acknowledged in time"] += unknown
            after = topic.size()
            published.logged = None if before is None or after is None else after - before
        finally:
            topic.close()
        return published

    def _producer(self) -> KafkaProducer:
        acks = self._plan.acks
        try:
            return KafkaProducer(
                bootstrap_servers=self._plan.bootstrap.split(","),
                acks=acks if acks == "all" else int(acks),
                enable_idempotence=acks == "all",
                **CLIENT,
            )
        except (KafkaError, OSError, ValueError) as error:
            raise BrokerError(f"no Kafka broker can be used at {self._plan.bootstrap}: {_text(error)}") from None

    def _publish(self, producer: KafkaProducer, published: Published) -> None:
        plan, clock = self._plan, time.perf_counter
        log = AccessLog(plan.seed)
        published.began, begin = time.time(), clock()
        told = begin
        for offset in arrivals(plan.rate, plan.duration, plan.arrival, plan.seed):
            due = begin + offset
            while (ahead := due - clock()) > 0 and not self.stopped:
                time.sleep(min(ahead, 0.1))
            if self.stopped:
                break
            lag = clock() - due
            published.due += 1
            published.lag.record(lag)
            published.late += lag > SLACK
            self._send(producer, log.event(published.began + offset), due)
            if clock() - told >= 1:
                told = clock()
                self._collect(published)
                self._tell(published, told - begin)
        while (ahead := begin + plan.duration - clock()) > 0 and not self.stopped:
            time.sleep(min(ahead, 0.1))
        published.elapsed = clock() - begin
        published.interrupted = self.stopped

    def _send(self, producer: KafkaProducer, event: dict[str, object], due: float) -> None:
        key = None if self._plan.key == "none" else str(event[self._plan.key]).encode()
        answers, clock = self._answers, time.perf_counter
        moment = int(float(str(event["ts"])) * 1000)
        try:
            future = producer.send(self._plan.topic, encode(event), key=key, timestamp_ms=moment)
        except KafkaError as error:
            answers.append((0.0, error))
            return
        future.add_callback(lambda _metadata: answers.append((clock() - due, None)))
        future.add_errback(lambda error: answers.append((0.0, error)))

    def _collect(self, published: Published) -> None:
        """Counts the broker's answers so far."""
        while self._answers:
            seconds, error = self._answers.popleft()
            if error is None:
                published.acknowledged += 1
                published.latency.record(seconds)
            else:
                published.errors[type(error).__name__] += 1


def _text(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
