"""The stack's processes with the very files of collector/, on this machine: only addresses and folders differ.

programs -> collector -> gateway, gateway-2 -> Prometheus -> Alertmanager
                                            -> Jaeger
"""

from __future__ import annotations

import contextlib
import re
import shutil
from typing import TYPE_CHECKING

from tools.stack.build import build, program
from tools.stack.parts import PARTS, ROOT
from tools.stack.process import HOST, Process, take_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILES = ROOT / "collector"
NEEDS = ("collector", "prometheus", "alertmanager", "jaeger")

# Where each part listens by its files, and the ports that are tried first: what a team knows by heart.
PORTS = {
    "collector:4317": 4317, "collector:4318": 4318, "collector:8888": 8888, "collector:13133": 13133,
    "gateway:4317": 4327, "gateway:4318": 4328, "gateway:8888": 8898, "gateway:8889": 8889, "gateway:13133": 13143,
    "gateway-2:4317": 4337, "gateway-2:4318": 4338, "gateway-2:8888": 8908, "gateway-2:8889": 8909,
    "gateway-2:13133": 13153,
    "jaeger:4317": 4347, "jaeger:4318": 4348, "jaeger:16686": 16686, "jaeger:16685": 16685, "jaeger:8888": 8918,
    "jaeger:13133": 13163,
    "prometheus:9090": 9090,
    "alertmanager:9093": 9093,
}  # fmt: skip


class Stack:
    """All parts between programs and people; a context manager that runs them.

    Args:
        directory: for their data, rendered files and logs.
        fixed: whether the well-known ports are tried before free ones.
        environ: variables of the Collectors' files, such as KEEP_PERCENT.
        addresses: of what runs besides them, by the `host:port` that the files call it, such as "hub:4318".
    """

    def __init__(
        self,
        directory: Path,
        *,
        fixed: bool = False,
        environ: Mapping[str, str] | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.environ = dict(environ or {})
        self.addresses = {name: f"{HOST}:{take_port(port if fixed else 0)}" for name, port in PORTS.items()}
        self.addresses |= addresses or {}
        self.prometheus, self.alertmanager = self._prometheus(), self._alertmanager()
        self.jaeger = self._jaeger()
        self.gateways = [self._gateway("gateway"), self._gateway("gateway-2")]
        self.collector = self._collector()
        self._running = contextlib.ExitStack()

    @property
    def processes(self) -> list[Process]:
        """All, in the order in which they start: nobody sends to what is not there yet."""
        return [self.alertmanager, self.prometheus, self.jaeger, *self.gateways, self.collector]

    def url(self, name: str) -> str:
        """The address of what the files call `host:port`."""
        return f"http://{self.addresses[name]}"

    def __enter__(self) -> Stack:
        for name in NEEDS:
            build(PARTS[name])
        self.directory.mkdir(parents=True, exist_ok=True)
        self._render()
        with contextlib.ExitStack() as failing:
            for process in self.processes:
                failing.callback(process.stop)
                process.start()
            for process in self.processes:
                process.wait()
            self._running = failing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _render(self) -> None:
        """Copies what knows no variables, with our addresses in place of the files'."""
        for folder in ("prometheus", "alertmanager"):
            shutil.copytree(FILES / folder, self.directory / "files" / folder, dirs_exist_ok=True)
        (self.directory / "files" / "prometheus" / "targets").mkdir(exist_ok=True)  # else it warns of what may come
        for path in (self.directory / "files").rglob("*.yml"):
            path.write_text(self.rendered(path.read_text()))

    def rendered(self, text: str) -> str:
        """A text of collector/ with our addresses in place of the names of its hosts."""
        names = "|".join(map(re.escape, sorted(self.addresses, key=len, reverse=True)))
        return re.sub(rf"(?<![\w.-])(?:{names})(?!\d)", lambda found: self.addresses[found[0]], text)

    def _listening(self, name: str, **ports: str) -> dict[str, str]:
        """LISTEN and the port variables of a file, each from the port that the file calls `name:port`."""
        found = {"LISTEN": HOST, "HOSTNAME": name, "STORAGE": str(self.directory / name / "data")}
        wanted = {"OTLP_GRPC_PORT": "4317", "OTLP_HTTP_PORT": "4318", "HEALTH_PORT": "13133", "TELEMETRY_PORT": "8888"}
        for variable, port in {**wanted, **ports}.items():
            found[variable] = self.addresses[f"{name}:{port}"].rpartition(":")[2]
        return found

    def _collector(self) -> Process:
        gateways = ", ".join(self.addresses[f"{gateway.name}:4317"] for gateway in self.gateways)
        return Process(
            "collector",
            (str(program(PARTS["collector"])), "--config", str(FILES / "agent.yaml")),
            f"{self.url('collector:13133')}/",
            self.directory / "collector",
            {**self._listening("collector"), "GATEWAYS": f"[{gateways}]", **self.environ},
            {"send OTLP to it": f"{self.url('collector:4318')} (HTTP), {self.addresses['collector:4317']} (gRPC)"},
        )

    def _gateway(self, name: str) -> Process:
        variables = {
            "JAEGER": self.addresses["jaeger:4317"],
            "PROMETHEUS": f"{self.url('prometheus:9090')}/api/v1/otlp",
            "LOGS": str(self.directory / name / "logs.jsonl"),
        }
        return Process(
            name,
            (str(program(PARTS["collector"])), "--config", str(FILES / "gateway.yaml")),
            f"{self.url(f'{name}:13133')}/",
            self.directory / name,
            {**self._listening(name, SPAN_METRICS_PORT="8889"), **variables, **self.environ},
            {"logs": variables["LOGS"]},
        )

    def _jaeger(self) -> Process:
        return Process(
            "jaeger",
            (str(program(PARTS["jaeger"])), "--config", str(FILES / "jaeger" / "jaeger.yaml")),
            f"{self.url('jaeger:16686')}/api/services",
            self.directory / "jaeger",
            self._listening("jaeger", QUERY_PORT="16686", QUERY_GRPC_PORT="16685"),
            {"traces": self.url("jaeger:16686")},
        )

    def _prometheus(self) -> Process:
        url = self.url("prometheus:9090")
        return Process(
            "prometheus",
            (
                str(program(PARTS["prometheus"])),
                f"--config.file={self.directory / 'files' / 'prometheus' / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'prometheus' / 'data'}",
                f"--web.listen-address={self.addresses['prometheus:9090']}",
                "--web.enable-otlp-receiver",
                "--web.enable-lifecycle",
                "--enable-feature=exemplar-storage",
            ),
            f"{url}/-/ready",
            self.directory / "prometheus",
            {},
            {"metrics": url, "alerts": f"{url}/alerts"},
        )

    def _alertmanager(self) -> Process:
        url = self.url("alertmanager:9093")
        return Process(
            "alertmanager",
            (
                str(program(PARTS["alertmanager"])),
                f"--config.file={self.directory / 'files' / 'alertmanager' / 'alertmanager.yml'}",
                f"--storage.path={self.directory / 'alertmanager' / 'data'}",
                f"--web.listen-address={self.addresses['alertmanager:9093']}",
                "--cluster.listen-address=",
            ),
            f"{url}/-/ready",
            self.directory / "alertmanager",
            {},
            {"notifications, silences": url},
        )
