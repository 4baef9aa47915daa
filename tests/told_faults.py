"""Programs of examples/known_faults under the agent, and what a real hub makes of them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.patience import EXIT, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram
    from tests.hub import ServedHub
    from tests.program import Program

FAULTS = Path(__file__).parent.parent / "examples" / "known_faults"


def sending_to(hub: ServedHub, **more: str) -> dict[str, str]:
    """The environment of a program whose telemetry goes to the hub."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=" + hub.bearer("agent")["Authorization"].replace(" ", "%20"),
        "OTEL_SERVICE_NAME": "faulty",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PERFAGENT_STRICT": "true",
        "PERFAGENT_MAX_OVERHEAD": "0",
        **EXIT,
        **more,
    }


def start(hub: ServedHub, run_program: RunProgram, name: str, *arguments: str, **env: str) -> Program:
    """Starts a program of the folder under the agent."""
    command = ("perfagent", "run", sys.executable, str(FAULTS / f"{name}.py"), *arguments)
    return run_program(*command, env=sending_to(hub, **env))


def told_of(hub: ServedHub, run_program: RunProgram, name: str, *kinds: str, **env: str) -> list[dict[str, Any]]:
    """What the hub tells, of these kinds, of a program of the folder that has run to its end."""
    program = start(hub, run_program, name, **env)
    program.check()
    found: list[dict[str, Any]] = wait_for(lambda: insights(hub, *kinds), program)
    return found


def line_of(name: str, text: str) -> int:
    """The number of the only line of a program that holds a text."""
    lines = (FAULTS / f"{name}.py").read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


def insights(hub: ServedHub, *kinds: str) -> list[dict[str, Any]]:
    """What the hub tells now of the last minutes, of these kinds."""
    found = hub.get("insights", timeRange="10m")["items"]
    return [one for one in found if one["kind"] in kinds]


def wait_for(look: Callable[[], Any], program: Program, seconds: float = PATIENCE) -> Any:
    """What `look` finds as soon as it is not empty; raises with the program's output where it stays so."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing was told\n{program.stdout}\n{program.stderr}"
        time.sleep(0.1)
    return found
