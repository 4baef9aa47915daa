"""`python -m benchmarks.instruments [NAME…]`: the microseconds of CPU that each instrument adds to a call.

The same call runs in a bare process and in one under perfagent, in turns; the fastest round of each side counts, since
the machine can only make a call slower than it is. `--save` writes docs/reference/overheads.json, which the page of
libraries is made of.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import sink
from perfagent.instruments.registry import INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

SAVED = Path(__file__).parents[2] / "docs" / "reference" / "overheads.json"
TURNS, ROUNDS, SECONDS = 3, 7, 0.3  # of one round


def main() -> int:
    """Prints a line an instrument; ends with 1 where one could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instruments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of instruments; all when left out")
    parser.add_argument("--save", action="store_true", help=f"write {SAVED.name} for the page of libraries")
    parser.add_argument("--in-process", nargs=2, metavar=("NAME", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        name, address = options.in_process
        print(json.dumps(measured(name, json.loads(address))))
        return 0
    figures: dict[str, dict[str, float]] = {}
    print(f"{'instrument':<22}{'bare us':>10}{'added us':>10}")
    for name in options.names or measurable():
        bare, added = compared(name)
        figures[name] = {"bare_us": round(bare, 1), "added_us": round(added, 1)}
        print(f"{name:<22}{bare:>10.1f}{added:>10.1f}", flush=True)
    if options.save:
        known = json.loads(SAVED.read_text()) if SAVED.exists() else {}
        SAVED.write_text(json.dumps(dict(sorted({**known, **figures}.items())), indent=1) + "\n")
    return 0


def measurable() -> list[str]:
    """The instruments of which there is a call to measure."""
    names = [module.rpartition(".")[2] for _, module, _ in INSTRUMENTS]
    return [name for name in names if Path(__file__).with_name(f"{name}.py").exists()]


def compared(name: str) -> tuple[float, float]:
    """CPU of one call in the bare process, and what the agent adds, in microseconds."""
    module = importlib.import_module(f"benchmarks.instruments.{name}")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(module.server()) if module.server else None
        receiver = stack.enter_context(sink.running())
        bare, under = float("inf"), float("inf")
        for _ in range(TURNS):
            bare = min(bare, _child(name, address))
            under = min(under, _child(name, address, receiver.url))
    return bare, under - bare


def _child(name: str, address: object, endpoint: str = "") -> float:
    command = [sys.executable, "-m", "benchmarks.instruments", "--in-process", name, json.dumps(address)]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PERFAGENT_"))}
    if endpoint:
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "benchmark"}
        command = [str(Path(sys.executable).with_name("perfagent")), "run", *command]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout.splitlines()[-1])


def measured(name: str, address: Any) -> float:
    """Microseconds of this thread's CPU for one call, in the fastest of the rounds."""
    module = importlib.import_module(f"benchmarks.instruments.{name}")
    with module.calls(address) as call:
        if inspect.iscoroutinefunction(call):
            return asyncio.run(_awaited(call))
        call()
        return _times(lambda count: [call() for _ in range(count)])


def _times(run: Callable[[int], object]) -> float:
    count, spent = 1, 0.0
    while spent < SECONDS / 2:
        count *= 2
        spent = _timed(run, count)
    return min(_timed(run, count) for _ in range(ROUNDS)) / count * 1e6


def _timed(run: Callable[[int], object], count: int) -> float:
    begin = time.thread_time()
    run(count)
    return time.thread_time() - begin


async def _awaited(call: Callable[[], Any]) -> float:
    async def run(count: int) -> float:
        begin = time.thread_time()
        for _ in range(count):
            await call()
        return time.thread_time() - begin

    await call()
    count = 1
    while await run(count) < SECONDS / 2:
        count *= 2
    return min([await run(count) for _ in range(ROUNDS)]) / count * 1e6


if __name__ == "__main__":
    sys.exit(main())
