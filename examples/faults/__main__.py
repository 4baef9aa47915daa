"""Runs one fault by hand, with the page open: `python -m examples.faults --fault slow_query`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path

from examples.child import DemoError
from examples.faults import trial
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
    parser.add_argument("--seconds", type=float, default=120, help="until when it must be found")
    parser.add_argument("--after", type=float, default=120, help="seconds until when it must be told of no more")
    parser.add_argument("--stay", action="store_true", help="go on after it, so that the page can be looked through")
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
        stage.wait_for_requests()
        verdict = trial.run(fault, stage, healthy=wanted.healthy, longest=wanted.seconds, after=wanted.after, tell=_say)
        _say(f"\n{trial.HEADING}\n{verdict.line}")
        if wanted.stay:
            _say("everything goes on until Ctrl-C")
            threading.Event().wait()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
