"""`make load-test`: a Kafka broker, Prometheus and a consumer under perfagent, load on them, and the report.

Broker and Prometheus are the real ones, started for the test on free ports and stopped after it. The consumer is
`examples/access_log`, which knows nothing of perfagent.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.stack.broker import Broker
from tools.stack.build import BuildError, build, program
from tools.stack.parts import PARTS, ROOT
from tools.stack.process import HOST, Process, StackError, end_as_by_interrupt, take_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOPIC = "access-events"
SOON = 1000  # ms between two exports of the consumer's metrics, so that the report need not wait for long

# What it takes to receive OTLP: the same as in collector/prometheus/prometheus.yml, without anything to scrape.
CONFIGURATION = """\
otlp:
  promote_resource_attributes: [service.name, service.instance.id, service.version, host.name]
storage:
  tsdb:
    out_of_order_time_window: 5m
"""


@contextlib.contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """Runs a Prometheus that takes OTLP until the end of the block.

    Args:
        directory: for its data, its configuration and its log.

    Returns:
        Its address.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION)
    url = f"http://{HOST}:{take_port(0)}"
    command = (
        str(program(PARTS["prometheus"])),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-otlp-receiver",
    )
    process = Process("prometheus", command, f"{url}/-/ready", directory / "prometheus")
    try:
        process.start()
        process.wait()
        yield url
    finally:
        process.stop()


def consumer(directory: Path, bootstrap: str, url: str, topic: str = TOPIC, words: Sequence[str] = ()) -> Process:
    """The sample consumer under the agent, which sends its metrics to a Prometheus; not started yet.

    Args:
        directory: for its database and its log.
        bootstrap: the broker.
        url: of the Prometheus.
        topic: what it reads.
        words: further words of its command line.
    """
    scripts = Path(sys.executable).parent
    asked = ("--bootstrap", bootstrap, "--topic", topic, "--database", str(directory / "access.db"), *words)
    command = (scripts / "perfagent", "run", sys.executable, "-m", "access_log.consumer", *asked)
    environ = {
        "PYTHONPATH": str(ROOT / "examples"),
        "OTEL_SERVICE_NAME": "access-log",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{url}/api/v1/otlp/v1/metrics",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": str(SOON),
        "PERFAGENT_HUB": "off",
    }
    return Process("consumer", [str(word) for word in command], "", directory / "consumer", environ)


def main() -> int:
    """Runs the test; returns the exit status of `perfagent load kafka`."""
    parser = argparse.ArgumentParser(prog="python -m tools.stack.load_test", description=__doc__)
    parser.add_argument("--rate", default="100", help="events a second")
    parser.add_argument("--duration", default="30", help="seconds")
    asked, words = parser.parse_known_args()
    end_as_by_interrupt()
    try:
        for name in ("kafka", "prometheus"):
            build(PARTS[name])
        with tempfile.TemporaryDirectory(prefix="perfagent-load-") as folder, contextlib.ExitStack() as started:
            directory = Path(folder)
            url = started.enter_context(prometheus(directory / "prometheus"))
            broker = started.enter_context(Broker(directory / "kafka"))
            print(f"broker at {broker.bootstrap}, Prometheus at {url}; the consumer runs under perfagent", flush=True)
            reading = consumer(directory, broker.bootstrap, url)
            started.callback(reading.stop)
            reading.start()
            ours = ("--rate", asked.rate, "--duration", asked.duration, "--topic", TOPIC)
            theirs = ("--bootstrap", broker.bootstrap, "--prometheus", url)
            perfagent = str(Path(sys.executable).parent / "perfagent")
            status = subprocess.call([perfagent, "load", "kafka", *ours, *theirs, *words], env=os.environ)
            if not reading.running:
                raise StackError(f"the consumer ended by itself:\n{reading.said()}")
            return status
    except (BuildError, StackError) as error:
        print(f"load-test: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
