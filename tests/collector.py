"""A real OpenTelemetry Collector between a program and the hub; `tools/collector.sh` builds one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "0.159.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perfagent-stack" / f"collector-{VERSION}"


def find_collector() -> str:
    """The newest `otelcol*` of the cache folder, else one on PATH; skips the test where there is none."""
    built = sorted(CACHE.glob("otelcol*"), key=lambda path: path.stat().st_mtime)
    on_path = [found for name in ("otelcol", "otelcol-contrib") if (found := shutil.which(name))]
    for candidate in [*map(str, reversed(built)), *on_path]:
        if os.access(candidate, os.X_OK):
            return candidate
    pytest.skip(f"no otelcol* in {CACHE} or on PATH; tools/collector.sh builds one in 3 to 5 minutes")


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
