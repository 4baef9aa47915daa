"""Reads access events from a Kafka topic and keeps, in SQLite, how often and how slowly each path was answered.

python -m access_log.consumer --bootstrap localhost:9092 --topic access-events --database access.db
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from kafka import KafkaConsumer

if TYPE_CHECKING:
    from kafka.consumer.fetcher import ConsumerRecord

NUMBER = re.compile(r"/\d+(?=/|$)")
SUMMARY_EVERY = 10  # seconds
log = logging.getLogger("access_log")

SCHEMA = """
create table if not exists paths (
    path text, status integer, requests integer, milliseconds real, slowest real, bytes integer,
    primary key (path, status)
)
"""
COUNT = """
insert into paths values (?, ?, 1, ?, ?, ?)
on conflict (path, status) do update set
    requests = requests + 1,
    milliseconds = milliseconds + excluded.milliseconds,
    slowest = max(slowest, excluded.slowest),
    bytes = bytes + excluded.bytes
"""


class Event(NamedTuple):
    """What counts of an access event."""

    path: str
    status: int
    milliseconds: float
    size: int


def parse(content: bytes) -> Event | None:
    """The event in a message, or None where it holds none."""
    try:
        told = json.loads(content)
        path = NUMBER.sub("/{id}", told["path"])
        return Event(path, int(told["status"]), float(told["duration_ms"]), int(told["bytes"]))
    except (ValueError, KeyError, TypeError):
        return None


class Totals:
    """Totals by path and status.

    Args:
        path: the database's file.
    """

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.execute(SCHEMA)

    def count(self, event: Event) -> None:
        """Adds one event."""
        with self._database:
            row = (event.path, event.status, event.milliseconds, event.milliseconds, event.size)
            self._database.execute(COUNT, row)

    def lines(self) -> list[str]:
        """A line for each path: requests, share of errors, mean and slowest duration."""
        rows = self._database.execute(
            "select path, sum(requests), sum(requests * (status >= 500)), sum(milliseconds), max(slowest)"
            " from paths group by path order by 2 desc"
        )
        return [
            f"{path:<20} {requests:>8} requests, {failed / requests:.1%} failed, "
            f"mean {spent / requests:.0f} ms, slowest {slowest:.0f} ms"
            for path, requests, failed, spent, slowest in rows
        ]

    def close(self) -> None:
        """Ends the connection."""
        self._database.close()


class Reader:
    """Counts every event of a topic until it is told to stop.

    Args:
        consumer: reads the topic; it must give up waiting now and then (`consumer_timeout_ms`).
        totals: where events are counted.
    """

    def __init__(self, consumer: KafkaConsumer, totals: Totals) -> None:
        self._consumer = consumer
        self._totals = totals
        self._said = time.monotonic()
        self.stopped = False
        self.counted = self.skipped = 0

    def run(self) -> None:
        """Reads and counts."""
        while not self.stopped:
            for record in self._consumer:
                self._take(record)
                if self.stopped:
                    break
            self._summary()

    def _take(self, record: ConsumerRecord) -> None:
        event = parse(record.value or b"")
        if event is None:
            self.skipped += 1
            log.warning("no access event at offset %d of partition %d", record.offset, record.partition)
            return
        self._totals.count(event)
        self.counted += 1
        self._summary()

    def _summary(self) -> None:
        if time.monotonic() - self._said >= SUMMARY_EVERY or self.stopped:
            self._said = time.monotonic()
            log.info("%d events counted, %d skipped\n%s", self.counted, self.skipped, "\n".join(self._totals.lines()))


def main() -> None:
    """Runs until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="access_log.consumer", description="Counts access events by path and status.")
    parser.add_argument("--bootstrap", default="localhost:9092", help="brokers, with commas")
    parser.add_argument("--topic", default="access-events")
    parser.add_argument("--group", default="access-log")
    parser.add_argument("--database", default="access.db", help="the file of the totals")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    consumer = KafkaConsumer(
        asked.topic,
        bootstrap_servers=asked.bootstrap.split(","),
        group_id=asked.group,
        auto_offset_reset="earliest",
        consumer_timeout_ms=500,
        metadata_max_age_ms=2000,  # a topic that is made later is found soon
    )
    totals = Totals(asked.database)
    reader = Reader(consumer, totals)

    def stop(*_: object) -> None:
        reader.stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    log.info("reading %s", asked.topic)
    try:
        reader.run()
    finally:
        consumer.close()
        totals.close()


if __name__ == "__main__":
    main()
