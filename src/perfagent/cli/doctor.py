"""`perfagent doctor`: is a program wired up, and what is not; from its interpreter to the receiver's answer."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from perfagent.launch import environment
from perfagent.settings import Settings

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROBE = (
    "import json, sys; sys.path.append({package!r}); from perfagent.launch import probe; "
    "print('\\x1e' + json.dumps(probe.report()))"
)


def main(words: list[str]) -> int:
    """Checks each step and prints what it found; returns 0 where a program would be measured and heard, else 1."""
    parser = argparse.ArgumentParser(
        prog="perfagent doctor",
        description="Checks that a program would be measured here: its interpreter, its libraries, the receiver.",
    )
    parser.add_argument("python", nargs="?", default="python", help="the program's interpreter (default: python)")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    asked = parser.parse_args(words)
    found = _probe(asked.python)
    delivery = found["delivery"] = _delivery(Settings())
    if asked.output == "json":
        print(json.dumps(found, indent=2))
    else:
        _print(found)
    heard = bool(delivery) and all(answer == "ok" for answer in delivery.values())
    return 0 if heard and str(found["agent"]).startswith("runs") else 1


def _probe(python: str) -> dict[str, object]:
    """What the interpreter says of itself when it is started under the agent."""
    environ = dict(os.environ)
    environment.enter(environ)
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user names
            [python, "-c", PROBE.format(package=PACKAGE)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"agent": f"off: {python} cannot be run ({error})", "instruments": {}}
    _noise, mark, answer = done.stdout.rpartition("\x1e")
    if not mark:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return {"agent": f"off: {python} ended with {done.returncode}: {last}", "instruments": {}}
    report: dict[str, object] = json.loads(answer)
    return report


def _delivery(settings: Settings) -> dict[str, str]:
    """For each signal `ok`, or what the receiver answered to an empty request."""
    from perfagent.runtime.otlp.transport import Refused, Transport, Unavailable, destinations

    answers = {}
    for signal, destination in destinations(settings).items():
        try:
            Transport(settings).send(destination, b"", timeout=3)
            answers[signal] = "ok"
        except (Refused, Unavailable) as error:
            answers[signal] = str(error)
    return answers


def _print(found: dict[str, object]) -> None:
    print(f"python     {found.get('python', '?')} in {found.get('prefix', '?')}")
    print(f"agent      {found['agent']}")
    delivery = found["delivery"]
    assert isinstance(delivery, dict)
    for signal, answer in delivery.items():
        print(f"{signal:<10} {answer}")
    if not delivery:
        print("delivery   nothing is sent: set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318")
    instruments = found["instruments"]
    assert isinstance(instruments, dict)
    width = max(map(len, instruments), default=0)
    for name, state in instruments.items():
        print(f"  {name:<{width}}  {state}")
    for problem in found.get("problems", ()):  # type: ignore[attr-defined]
        print(f"problem    {problem}", file=sys.stderr)
