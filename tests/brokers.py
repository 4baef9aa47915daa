"""Real brokers for tests, each started once, in a directory and on ports of its own: the fixtures `kafka_broker` and
`rabbitmq`.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.program import find_free_port
from tests.servers import directory_of, find, missing, until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

# Erlang's own parts know no parent: the whole group is killed, since what it holds lives no longer than the tests.
RABBITMQ = """
trap 'trap "" TERM; kill -KILL 0' TERM
epmd &
rabbitmq-server &
wait
"""


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """The address, `host:port`, of a running broker without topics at first."""
    with running_kafka() as address:
        yield address


@contextlib.contextmanager
def running_kafka() -> Iterator[str]:
    """The address of a Kafka of one's own, as in `kafka_broker`."""
    from tools.stack.broker import Broker
    from tools.stack.build import is_built
    from tools.stack.parts import PARTS

    find("java", "apt-get install default-jre-headless")
    if not is_built(PARTS["kafka"]):
        missing("a Kafka broker", "python -m tools.stack build kafka")
    with tempfile.TemporaryDirectory(prefix="perfagent-kafka-") as directory, Broker(Path(directory)) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The URL of a running RabbitMQ, empty at first, with its guest's password in it, which must not show anywhere."""
    with running_rabbitmq() as url:
        yield url


@contextlib.contextmanager
def running_rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ of one's own, as in `rabbitmq`; node, port mapper and files are its own, too."""
    install = "apt-get install rabbitmq-server"
    epmd, script = find("epmd", install), Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if not script.exists():  # what is on PATH is Debian's wrapper, which insists on the machine's one server
        script = Path(find("rabbitmq-server", install))
    with directory_of("rabbitmq") as directory:
        port = find_free_port()
        settings = {
            "PATH": f"{script.parent}:{Path(epmd).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": find_free_port(),
            "RABBITMQ_NODENAME": f"perfagent{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": port,
            "RABBITMQ_DIST_PORT": find_free_port(),
            "RABBITMQ_MNESIA_BASE": directory / "data",
            "RABBITMQ_LOG_BASE": directory / "logs",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": directory / "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
            "RABBITMQ_CONFIG_FILE": directory / "none",
            "RABBITMQ_CONF_ENV_FILE": directory / "none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # two cores have more to do than to wait for it
        }
        words = (f"{name}={value}" for name, value in settings.items())
        with directory.serve("setsid", "env", *words, "sh", "-c", RABBITMQ):
            import pika

            url = f"amqp://guest:guest@127.0.0.1:{port}/"
            # Erlang's own start takes 8 s of CPU, which a busy machine makes a minute of.
            until_ready(lambda: pika.BlockingConnection(pika.URLParameters(url)), directory, 240).close()
            yield url
