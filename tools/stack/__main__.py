"""The production stack on this machine, without containers.

`up` starts the Collector, two gateways, Prometheus, Alertmanager, Jaeger, a hub that reads them, and a shop under
perfagent with visitors, prints their addresses, and stops all of it on Ctrl-C. `build` makes their programs in a cache
folder, which `up` does by itself where some are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.stack.build import BuildError, build
from tools.stack.parts import PARTS
from tools.stack.process import StackError, end_as_by_interrupt
from tools.stack.programs import Programs
from tools.stack.stack import NEEDS, Stack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.stack.process import Process


def main() -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="make what is missing of the programs")
    building.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    running = commands.add_parser("up", help="start everything, and stop it on Ctrl-C")
    running.add_argument("--directory", type=Path, help="for data and logs, kept; a temporary one when left out")
    running.add_argument("--seconds", type=float, default=float("inf"), help="stop by itself after so long")
    running.add_argument("--rate", type=float, default=5, help="visitors of the shop a second; 0 for no shop")
    wanted = parser.parse_args()
    end_as_by_interrupt()
    try:
        return _build(wanted.parts) if wanted.command == "build" else _up(wanted)
    except (BuildError, StackError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if wanted.command == "up" else 130


def _build(names: Iterable[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise BuildError(f"there is no part {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    for name in names or PARTS:
        print(f"{name}: {build(PARTS[name])}")
    return 0


def _up(wanted: argparse.Namespace) -> int:
    for name in NEEDS:
        build(PARTS[name])
    with contextlib.ExitStack() as stack:
        directory = wanted.directory or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="perfagent-stack-"))
        )
        programs = Programs(directory.absolute(), fixed=True)
        parts = stack.enter_context(Stack(directory.absolute(), fixed=True, addresses=programs.addresses))
        stack.enter_context(programs.running(parts, rate=wanted.rate))
        running = [*parts.processes, *programs.processes]
        _tell(running, programs.page(), parts.url("collector:4318"), directory)
        _watch(running, wanted.seconds)
        print("\nstopping …", flush=True)
    print("stopped")
    return 0


def _tell(running: list[Process], page: str, collector: str, directory: Path) -> None:
    """Prints where everything is, each of which has answered."""
    rows = [(one.name, purpose, address) for one in running for purpose, address in one.addresses.items()]
    rows += [("hub", "page", page), ("all", "what they say", f"{directory}/*.log")]
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    for name, purpose, address in rows:
        print(f"{name:<{widths[0]}}{purpose:<{widths[1]}}{address}")
    print(f"\nyour own program: OTEL_EXPORTER_OTLP_ENDPOINT={collector} perfagent run python app.py")
    print("Ctrl-C stops all of it.", flush=True)


def _watch(running: list[Process], seconds: float) -> None:
    """Returns after so long; raises StackError when a part ends by itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for process in running:
            if not process.running:
                raise StackError(f"{process.name} ended by itself:\n{process.said()}")
        time.sleep(min(0.5, seconds))


if __name__ == "__main__":
    sys.exit(main())
