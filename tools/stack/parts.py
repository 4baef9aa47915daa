"""What the stack is made of: each part's version, its programs, and how they are built from their public source.

A new part is one recipe and one row of `PARTS`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tools.stack.build import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
MANIFEST = ROOT / "collector" / "builder.yaml"
POM = Path(__file__).parent / "kafka" / "pom.xml"
CHECK = ROOT / "tools" / "stack" / "check"
LOGSTASH = ROOT / "tools" / "stack" / "logstash"

COLLECTOR = "0.159.0"
PROMETHEUS = "0.314.0"  # the Go module's number of Prometheus 3.14
ALERTMANAGER = "0.31.0"
JAEGER = "1.76.0"  # the Go module's number; its cmd/jaeger is Jaeger 2
KAFKA = "4.2.0"
KUSTOMIZE = "5.8.1"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the stack.

    Args:
        programs: what must be there once it is built, by file name.
        tool: the program that builds it.
        seconds: how long that takes on two cores, with nothing in any cache.
        inputs: files that the recipe reads.
    """

    name: str
    version: str
    programs: tuple[str, ...]
    tool: str
    seconds: int
    recipe: Callable[[Steps], None]
    inputs: tuple[Path, ...] = ()
    fingerprint: str = field(init=False)
    """Eight hex digits that change with the recipe and the files that it reads."""

    def __post_init__(self) -> None:
        content = inspect.getsource(self.recipe).encode() + b"".join(path.read_bytes() for path in self.inputs)
        object.__setattr__(self, "fingerprint", hashlib.sha256(content).hexdigest()[:8])


def _collector(steps: Steps) -> None:
    steps.run("go", "install", f"go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR}", GOBIN=str(steps.work))
    steps.run(steps.work / "builder", "--config", MANIFEST)
    shutil.move(steps.work / "build" / "otelcol-perfagent", steps.output / "otelcol")


def _prometheus(steps: Steps) -> None:
    module = "github.com/prometheus/prometheus"
    steps.run("go", "mod", "init", "stack")
    steps.run("go", "get", f"{module}/cmd/prometheus@v{PROMETHEUS}", f"{module}/cmd/promtool@v{PROMETHEUS}")
    for program in ("prometheus", "promtool"):
        steps.run("go", "build", "-tags", "remove_all_sd", "-o", steps.output / program, f"{module}/cmd/{program}")


def _alertmanager(steps: Steps) -> None:
    for program in ("alertmanager", "amtool"):
        steps.run("go", "install", f"github.com/prometheus/alertmanager/cmd/{program}@v{ALERTMANAGER}")


def _jaeger(steps: Steps) -> None:
    """Its own go.sum serves only inside its own module, so the module is copied out of the module cache."""
    found = json.loads(steps.run("go", "mod", "download", "-json", f"github.com/jaegertracing/jaeger@v{JAEGER}"))
    source = steps.work / "source"
    shutil.copytree(found["Dir"], source)
    steps.run("chmod", "-R", "u+w", source)
    steps.run("go", "build", "-o", steps.output / "jaeger", "./cmd/jaeger", cwd=source, CGO_ENABLED="0")


def _kustomize(steps: Steps) -> None:
    steps.run("go", "install", f"sigs.k8s.io/kustomize/kustomize/v5@v{KUSTOMIZE}")


def _check(steps: Steps) -> None:
    """Our own program around the readers of Compose and BuildKit; its go.mod pins them."""
    steps.run("go", "build", "-o", steps.output / "check", ".", cwd=CHECK)


def _logstash(steps: Steps) -> None:
    """Our own program around a reader of Logstash's pipelines and Elastic's grok; its go.mod pins them."""
    steps.run("go", "build", "-o", steps.output / "logstash", ".", cwd=LOGSTASH)


def _kafka(steps: Steps) -> None:
    lib = steps.output / "lib"
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={lib}")
    shutil.copy(POM, steps.work / "pom.xml")
    steps.run("mvn", "--batch-mode", "--quiet", f"-Dkafka={KAFKA}", *goal)


PARTS = {
    part.name: part
    for part in (
        Part("collector", COLLECTOR, ("otelcol",), "go", 300, _collector, (MANIFEST,)),
        Part("prometheus", PROMETHEUS, ("prometheus", "promtool"), "go", 70, _prometheus),
        Part("alertmanager", ALERTMANAGER, ("alertmanager", "amtool"), "go", 35, _alertmanager),
        Part("jaeger", JAEGER, ("jaeger",), "go", 150, _jaeger),
        Part("kustomize", KUSTOMIZE, ("kustomize",), "go", 30, _kustomize),
        Part("check", "1", ("check",), "go", 60, _check, tuple(sorted(CHECK.glob("*.*")))),
        Part("logstash", "1", ("logstash",), "go", 20, _logstash, tuple(sorted(LOGSTASH.glob("*.*")))),
        Part("kafka", KAFKA, (f"lib/kafka_2.13-{KAFKA}.jar",), "mvn", 60, _kafka, (POM,)),
    )
}
