"""The agents that are compared: how each is put in front of a program and told where to send."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
_FOREIGN = ("OTEL_", "DD_", "PERFAGENT_", "PYTHON")


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, or none.

    Args:
        name: what `--agents` takes.
        launcher: the words in front of the program's command; the first is a console script of this environment.
        environment: its settings. `{url}` stands for the address of the receiver.
    """

    name: str
    launcher: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def exports(self) -> bool:
        """Whether it sends anything."""
        return bool(self.launcher)

    def command(self, program: list[str]) -> list[str]:
        """The program's command with the agent in front."""
        if not self.launcher:
            return program
        return [str(BIN / self.launcher[0]), *self.launcher[1:], *program]

    def environ(self, url: str) -> dict[str, str]:
        """The environment for a program whose agent sends to `url`: nobody's own settings, and one hash seed for all.

        The order of sets changes with the hash seed, and with it the cost of a request by some percent.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {name: value.format(url=url) for name, value in self.environment.items()}
        return inherited | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONHASHSEED": "0"} | own

    def missing(self) -> str:
        """Why it cannot run here, or an empty text."""
        if not self.launcher:
            return ""
        if shutil.which(BIN / self.launcher[0]) is None:
            return f"{BIN / self.launcher[0]} is not installed"
        # An unreachable receiver: it has to start all the same.
        command = self.command([sys.executable, "-c", "pass"])
        try:
            done = subprocess.run(
                command, env=self.environ("http://127.0.0.1:9"), capture_output=True, text=True, timeout=60
            )
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` did not end within 60 s"
        if done.returncode == 0:
            return ""
        last_line = (done.stderr.strip() or "no message").splitlines()[-1]
        return f"`{' '.join(command)}` ended with {done.returncode}: {last_line}"


PERFAGENT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}", "OTEL_SERVICE_NAME": "bench"}

# Each with the defaults that its user gets, every request sampled, all over HTTP to the same kind of receiver.
AGENTS = (
    Agent("bare"),
    Agent("perfagent", ("perfagent", "run"), PERFAGENT),
    Agent(
        "otel",
        ("opentelemetry-instrument",),
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{url}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "bench",
            # perfagent registers itself as a distribution too; without these two the peer could be perfagent.
            "OTEL_PYTHON_DISTRO": "distro",
            "OTEL_PYTHON_CONFIGURATOR": "configurator",
        },
    ),
    Agent(
        "ddtrace",
        ("ddtrace-run",),
        {
            "DD_TRACE_AGENT_URL": "{url}",
            "DD_SERVICE": "bench",
            # Talk about itself and polling for its configuration are not tracing: off, which is to its advantage.
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        },
    ),
    # perfagent's own hooks on the stock opentelemetry-sdk: only when asked for by `--agents`.
    Agent("perfagent-sdk", ("perfagent", "run"), PERFAGENT | {"PERFAGENT_PIPELINE": "sdk"}),
)
DEFAULT = ("bare", "perfagent", "otel", "ddtrace")


def named(names: list[str]) -> list[Agent]:
    """The agents of these names, in the table's order; raises ValueError for a name that is not in it."""
    known = {agent.name for agent in AGENTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no agent {', '.join(unknown)}: there are {', '.join(sorted(known))}")
    return [agent for agent in AGENTS if agent.name in names]
