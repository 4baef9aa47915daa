"""Runs one fault by hand, with the page open: `python -m examples.faults --fault slow_query`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from examples.child import DemoError
from examples.faults.faults import FAULTS, Fault
from examples.faults.stage import Stage, database_server
from examples.faults.traffic import ROUTES
from perfagent.cli import background
from perfagent.cli.client import HubError


def main() -> int:
    """Runs it; returns 0, or 1 with the reason on stderr."""
    names = ", ".join(sorted({fault.name.partition("/")[0] for fault in FAULTS}))
    parser = argparse.ArgumentParser(prog="python -m examples.faults", description=__doc__)
    parser.add_argument("--fault", required=True, help=f"one of {names}; with /a or /b its variant")
    parser.add_argument("--healthy", type=float, default=60, help="seconds before it")
    parser.add_argument("--seconds", type=float, default=120, help="how long it lasts")
    parser.add_argument("--after", type=float, default=0, help="seconds after it; Ctrl-C ends everything")
    parser.add_argument("--seed", type=int, default=1, help="of what the customers do")
    parser.add_argument("--no-browser", action="store_true", help="only tell the page's address")
    wanted = parser.parse_args()
    found = [fault for fault in FAULTS if wanted.fault in (fault.name, fault.name.partition("/")[0])]
    if not found:
        parser.error(f"there is no fault {wanted.fault!r}: {names}")
    try:
        with tempfile.TemporaryDirectory(prefix="market-") as directory, database_server() as server:
            _run(found[0], server, Path(directory), wanted)
    except (DemoError, HubError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(fault: Fault, server: str, directory: Path, wanted: argparse.Namespace) -> None:
    with Stage("market", server, directory, rates=fault.rates or ROUTES, seed=wanted.seed) as stage:
        print(f"page    {stage.client.page}", flush=True)
        if stage.client.access and not wanted.no_browser:
            background.browse(stage.client.address, stage.client.access)
        _watch(stage, f"healthy, before {fault.name}", wanted.healthy)
        fault.on(stage)
        _watch(stage, fault.name, wanted.seconds)
        fault.off(stage)
        _watch(stage, f"{fault.name} is over", wanted.after)


def _watch(stage: Stage, title: str, seconds: float) -> None:
    """Prints what the hub says is wrong whenever that changes."""
    print(f"--- {title}", flush=True)
    began, before = time.monotonic(), None
    while (passed := time.monotonic() - began) < seconds:
        findings = stage.client.get("insights")["items"]
        said = [f"{one['severity']:<8} {one['kind']:<14} {one['title']}" for one in findings[:6]]
        if said != before:
            before = said
            print(f"{passed:4.0f} s, {dict(stage.traffic.answers)}", *said, sep="\n       ", flush=True)
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
