"""`python -m benchmarks.instruments [NAME…]`: the microseconds of CPU that each instrument adds to a call.

The same call runs in a bare process and in one under perfagent, in turns; the fastest round of each side counts, since
the machine can only make a call slower than it is. What the turns of a side differ by is the noise: less than that
cannot be told. `--save` writes docs/reference/overheads.json, which the page of libraries is made of.
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
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import sink
from benchmarks.instruments.elsewhere import Elsewhere
from perfagent.instruments.registry import INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SAVED = Path(__file__).parents[2] / "docs" / "reference" / "overheads.json"
TURNS, ROUNDS, CALLS = 4, 40, 200
SECONDS = 10  # of a turn, after which it has rounds enough


def main() -> int:
    """Prints a line an instrument; ends with 1 where one could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instruments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of instruments; all when left out")
    parser.add_argument("--save", action="store_true", help=f"write {SAVED.name} for the page of libraries")
    parser.add_argument("--in-process", nargs=2, metavar=("NAME", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        name, address = options.in_process
        print(json.dumps(measured(name, json.loads(address))), flush=True)
        os._exit(0)  # connections of event loops that are over stay open, and some have threads
    figures: dict[str, dict[str, float]] = {}
    print(f"{'instrument':<22}{'bare us':>10}{'added us':>10}{'noise us':>10}")
    names = options.names or measurable()
    for name in names:
        try:
            bare, added, noise = compared(name)
        except (OSError, subprocess.SubprocessError, pytest.skip.Exception) as error:
            print(f"{name:<22}{'':>30}  not measured: {error}", flush=True)
            continue
        figures[name] = {"bare_us": round(bare, 1), "added_us": round(added, 1), "noise_us": round(noise, 1)}
        print(f"{name:<22}{bare:>10.1f}{added:>10.1f}{noise:>10.1f}", flush=True)
        if options.save:
            known = json.loads(SAVED.read_text()) if SAVED.exists() else {}
            SAVED.write_text(json.dumps(dict(sorted({**known, **figures}.items())), indent=1) + "\n")
    return int(len(figures) < len(names))


def measurable() -> list[str]:
    """The instruments of which there is a call to measure."""
    names = [module.rpartition(".")[2] for _, module, _ in INSTRUMENTS]
    return [name for name in names if Path(__file__).with_name(f"{name}.py").exists()]


def compared(name: str) -> tuple[float, float, float]:
    """CPU of one call in the bare process, what the agent adds, and how sure that is, in microseconds."""
    module = importlib.import_module(f"benchmarks.instruments.{name}")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(module.server()) if module.server else None
        receiver = stack.enter_context(sink.running())
        turns = [(_child(name, address), _child(name, address, receiver.url)) for _ in range(TURNS)]
    bare, under = (sorted(side) for side in zip(*turns, strict=True))
    return bare[0], under[0] - bare[0], max(bare[1] - bare[0], under[1] - under[0])


def _child(name: str, address: object, endpoint: str = "") -> float:
    command = [sys.executable, "-m", "benchmarks.instruments", "--in-process", name, json.dumps(address)]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PERFAGENT_"))}
    if endpoint:
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "benchmark"}
        command = [str(Path(sys.executable).with_name("perfagent")), "run", *command]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return float(done.stdout.splitlines()[-1])


def measured(name: str, address: Any) -> float:
    """Microseconds of this thread's CPU for one call, in the fastest of the rounds."""
    module = importlib.import_module(f"benchmarks.instruments.{name}")
    if not getattr(module, "IS_REQUEST", False):
        _enter_request()
    with module.calls(address) as call:
        if inspect.iscoroutinefunction(call):
            return asyncio.run(_fastest_awaited(call))
        call, clock = call if isinstance(call, Elsewhere) else (call, time.thread_time)
        call()
        best = inf
        for _ in _rounds():
            begin = clock()
            for _ in range(CALLS):
                call()
            best = min(best, clock() - begin)
        return best / CALLS * 1e6


async def _fastest_awaited(call: Callable[[], Awaitable[object]]) -> float:
    await call()
    best = inf
    for _ in _rounds():
        begin = time.thread_time()
        for _ in range(CALLS):
            await call()
        best = min(best, time.thread_time() - begin)
    return best / CALLS * 1e6


def _rounds() -> Iterator[None]:
    """Rounds, until there were enough of them, or they took long enough."""
    began = time.monotonic()
    for _ in range(ROUNDS):
        _empty_queue()
        yield
        if time.monotonic() - began > SECONDS:
            return


def _enter_request() -> None:
    """Under the agent, what follows is part of a request, as it is in a program that serves."""
    if "perfagent.runtime.span" in sys.modules:
        from perfagent.runtime.context import current
        from perfagent.runtime.span import SERVER, Scope, Span

        current.set(Span(Scope("benchmark"), "request", SERVER, None))


def _empty_queue() -> None:
    """Takes away what waits to be sent: no program makes so many spans at once, and a full queue is no usual one."""
    if outbox := sys.modules.get("perfagent.runtime.outbox"):
        outbox.pending.clear()


if __name__ == "__main__":
    sys.exit(main())
