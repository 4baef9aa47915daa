"""What the stack is for: the shop and its payments under perfagent, with visitors, and a hub that reads the stores."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.cli.client import Client
from perfagent.settings import Settings
from tools.stack.parts import ROOT
from tools.stack.process import HOST, Process, take_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.stack.stack import Stack

PORTS = {"shop:8000": 8000, "payments:8001": 8001, "hub:4318": 4388, "webhook:8080": 8080}
SOMETIMES = 1000  # ms between two exports of metrics: a person looks on


class Programs:
    """The programs around the stack.

    Args:
        directory: for their data and logs.
        fixed: whether the well-known ports are tried before free ones.
    """

    def __init__(self, directory: Path, *, fixed: bool = False) -> None:
        self.directory = directory
        self.addresses = {name: f"{HOST}:{take_port(port if fixed else 0)}" for name, port in PORTS.items()}
        self.processes: list[Process] = []

    @contextlib.contextmanager
    def running(self, stack: Stack, rate: float) -> Iterator[None]:
        """Runs the hub, and with a rate above 0 the shop with so many visitors a second, until the end of the block."""
        self.processes = [self.webhook(), self.hub(stack)]
        if rate > 0:
            endpoint = stack.url("collector:4318")
            self.processes += [self.payments(endpoint), self.shop(endpoint)]
        with contextlib.ExitStack() as started:
            for process in self.processes:
                started.callback(process.stop)
                process.start()
            for process in self.processes:
                process.wait()
            if rate > 0:
                visitors = self.visitors(rate)
                started.callback(visitors.stop)
                visitors.start()
                self.processes.append(visitors)
            yield

    def hub(self, stack: Stack) -> Process:
        """A hub with Prometheus and Jaeger in place of a store of its own."""
        port = self.addresses["hub:4318"].rpartition(":")[2]
        environ = {
            "PERFAGENT_HUB_DIR": str(self.directory / "hub" / "data"),
            "PERFAGENT_HUB_PORT": port,
            "PERFAGENT_HUB_OPEN": "never",
            "PERFAGENT_HUB_IDLE": "0",
            "PERFAGENT_PROMETHEUS_URL": stack.url("prometheus:9090"),
            "PERFAGENT_JAEGER_URL": stack.url("jaeger:16686"),
        }
        ready = f"http://{self.addresses['hub:4318']}/health/ready"
        return Process("hub", (_script("perfagent"), "hub"), ready, self.directory / "hub", environ)

    def webhook(self) -> Process:
        """Who is told of alerts: writes down what it is told."""
        url = f"http://{self.addresses['webhook:8080']}"
        command = (sys.executable, str(ROOT / "deploy" / "docker" / "webhook.py"), url.rpartition(":")[2], HOST)
        process = Process("webhook", command, f"{url}/", self.directory / "webhook")
        process.addresses = {"who was told": str(process.log)}
        return process

    def page(self) -> str:
        """The address of the hub's page, which logs its visitor in within the next 15 minutes."""
        (hub,) = (process for process in self.processes if process.name == "hub")
        return Client.own(Settings({**os.environ, **hub.environ})).page

    def shop(self, endpoint: str) -> Process:
        """The shop, under the agent, unchanged; it sends OTLP to `endpoint`."""
        return self._server("shop", "shop.app:app", endpoint)

    def payments(self, endpoint: str) -> Process:
        """The service that the shop calls."""
        return self._server("payments", "shop.payments:app", endpoint)

    def visitors(self, rate: float) -> Process:
        """People who shop for ever."""
        url = f"http://{self.addresses['shop:8000']}"
        words = ("-m", "shop.traffic", url, f"--rate={rate}", "--seconds=1e9")
        return Process("visitors", (sys.executable, *words), "", self.directory / "visitors", _examples())

    def _server(self, name: str, app: str, endpoint: str) -> Process:
        address = next(found for key, found in self.addresses.items() if key.startswith(f"{name}:"))
        environ = {
            **_examples(),
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_METRIC_EXPORT_INTERVAL": str(SOMETIMES),
            "SHOP_DATABASE": str(self.directory / f"{name}.db"),
            "SHOP_PAYMENT_URL": f"http://{self.addresses['payments:8001']}",
        }
        port = address.rpartition(":")[2]
        command = (_script("perfagent"), "run", _script("uvicorn"), app, "--port", port, "--log-level", "warning")
        return Process(
            name,
            command,
            f"http://{address}/openapi.json",
            self.directory / name,
            environ,
            {"serves": f"http://{address}"},
        )


def _script(name: str) -> str:
    """A console script of this interpreter's environment."""
    return str(Path(sys.executable).parent / name)


def _examples() -> dict[str, str]:
    """Where the package `shop` is found."""
    ours = str(ROOT / "examples")
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([ours, inherited]) if inherited else ours}
