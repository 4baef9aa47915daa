"""A Kafka broker of one node, in KRaft mode: started, waited for, stopped; for `make load-test` and for tests."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tools.stack.build import folder
from tools.stack.parts import PARTS
from tools.stack.process import HOST, STARTING, Process, StackError, take_port

if TYPE_CHECKING:
    from pathlib import Path

# A broker with a handful of topics needs little; the first compiler alone makes it start in half the time.
JAVA = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
CLUSTER = "cGVyZmFnZW50LXRlc3RlZA"  # 16 bytes in base64, which Kafka calls a UUID

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Broker:
    """A broker; a context manager that runs it.

    Args:
        directory: for its data, its configuration and its log.
        port: what is tried first; a free one where it is taken or 0.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self.port = take_port(port)
        self.bootstrap = f"{HOST}:{self.port}"
        self._properties = directory / "server.properties"
        self.process = Process(
            "kafka",
            self._java("kafka.Kafka", self._properties),
            "",
            directory / "kafka",
            {},
            {"broker": self.bootstrap},
        )

    def __enter__(self) -> Broker:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._format()
        with contextlib.ExitStack() as failing:
            failing.callback(self.process.stop)
            self.process.start()
            self._wait()
            failing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def _java(self, main: str, *words: object) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise StackError("a Kafka broker needs `java`, which is not on PATH: apt-get install default-jre-headless")
        return [java, *JAVA, QUIET, "-cp", f"{folder(PARTS['kafka'])}/lib/*", main, *map(str, words)]

    def _format(self) -> None:
        """Makes the folder of its data, once."""
        ports = {"port": self.port, "controller": take_port(0), "host": HOST, "data": self.directory / "data"}
        self._properties.write_text(PROPERTIES.format(**ports))
        command = self._java("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER, "-c")
        done = subprocess.run([*command, str(self._properties)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"kafka.tools.StorageTool exited with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _wait(self) -> None:
        """Returns when a client gets metadata and finds who coordinates groups.

        Raises:
            StackError: the broker ends, or takes too long.
        """
        deadline = time.monotonic() + STARTING
        while True:
            if not self.process.running:
                raise StackError(f"kafka ended at once:\n{self.process.said()}")
            try:
                admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=1000)
                try:  # the first question for a group makes the topic of offsets: no consumer is to wait for that
                    admin.describe_groups(["none"])
                finally:
                    admin.close()
                return
            except (KafkaError, OSError):
                if time.monotonic() > deadline:
                    raise StackError(f"kafka does not answer within {STARTING} s:\n{self.process.said()}") from None
                time.sleep(0.1)
