"""A real OpenTelemetry Collector between a program and the hub; `python -m tools.stack build collector` makes one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tools.stack.build import is_built, program
from tools.stack.parts import PARTS

from tests.program import Program, find_free_port
from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def find_collector() -> str:
    """The Collector of the stack's cache, else one on PATH; skips the test where there is none."""
    if is_built(PARTS["collector"]):
        return str(program(PARTS["collector"]))
    on_path = [found for name in ("otelcol", "otelcol-contrib") if (found := shutil.which(name))]
    return on_path[0] if on_path else missing("otelcol", "python -m tools.stack build collector (5 to 10 minutes)")


class Collector:
    """A Collector that takes OTLP over HTTP on `url` and sends all three signals to one exporter.

    Args:
        directory: for its configuration and output.
        exporter: its name and configuration, such as {"otlp_http": {"endpoint": "http://…"}}.
    """

    def __init__(self, directory: Path, exporter: Mapping[str, Any]) -> None:
        self._port = find_free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        pipeline = {"receivers": ["otlp"], "exporters": list(exporter)}
        configuration = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self._port}"}}}},
            "exporters": exporter,
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                "pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline),
            },
        }
        self._file = directory / "collector.yaml"
        self._file.write_text(json.dumps(configuration))  # which is YAML, too
        self._directory = directory

    def __enter__(self) -> Collector:
        self.program = Program((find_collector(), "--config", str(self._file)), self._directory)
        self.program.wait_for_port(self._port)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()
