"""`python -m benchmarks.features [NAME…]`: what each feature costs a request that looks deeper than spans, on and off.

The same program under the agent with the feature, without it, and bare, all at once and loaded in turns, as in
`python -m benchmarks`. Ends with 1 where a feature costs more than its budget for sure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import plan, servers, web
from .agents import PERFAGENT, Agent
from .figures import Figures


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Args:
        name: what the command takes.
        on: the settings that turn it on.
        off: those that turn it off.
        budget: microseconds of CPU that a request may cost more with it.
        program: of `servers.PROGRAMS`.
    """

    name: str
    on: dict[str, str]
    off: dict[str, str]
    budget: float
    program: str = "fastapi"


FEATURES: tuple[Feature, ...] = (
    # Five queries a request, looked at closely in 8 requests of each half minute.
    Feature("repeated queries", {"PERFAGENT_QUERY_CALLERS": "auto"}, {"PERFAGENT_QUERY_CALLERS": "off"}, 3.0),
    # Only slow statements, which this program has none of: what is left is a test of one query in 32.
    Feature("explain", {"PERFAGENT_EXPLAIN": "true"}, {"PERFAGENT_EXPLAIN": "false"}, 2.0),
    # A loop that is at work when a look comes, 20 times a second, pays for one callback.
    Feature("blocked loops", {"PERFAGENT_BLOCKED_LOOP": "100"}, {"PERFAGENT_BLOCKED_LOOP": "0"}, 3.0),
    # 25 looks a second, and an export every 15 s: by the share of a core, not by the request.
    Feature("profiler", {"PERFAGENT_PROFILER": "true"}, {"PERFAGENT_PROFILER": "false"}, 5.0),
    Feature("time parts", {"PERFAGENT_TIME_PARTS": "true"}, {"PERFAGENT_TIME_PARTS": "false"}, 6.0),
    Feature("time parts wsgi", {"PERFAGENT_TIME_PARTS": "true"}, {"PERFAGENT_TIME_PARTS": "false"}, 3.0, "flask"),
    # Looks 60 times as often as by default: what a look costs is then seen in requests at all.
    Feature(
        "leaks",
        {"PERFAGENT_LEAKS": "true", "PERFAGENT_LEAK_INTERVAL": "1"},
        {"PERFAGENT_LEAKS": "false"},
        3.0,
    ),
    Feature("habits", {"PERFAGENT_HABITS": "true"}, {"PERFAGENT_HABITS": "false"}, 2.0),
)


def main() -> int:
    """Prints a line for each feature and route."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of features; all when left out")
    parser.add_argument("--rounds", type=int, default=12, help="turns of each program")
    options = parser.parse_args()
    known = {feature.name: feature for feature in FEATURES}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no feature {', '.join(unknown)}: there are {', '.join(known)}")
    missed = False
    print(f"{'feature':<22}{'request':<20}{'off us':>9}{'on us':>9}{'costs us':>10}{'±':>6}{'MB':>7}{'budget':>8}")
    for name in options.names or known:
        missed |= _measured(known[name], options.rounds)
    return int(missed)


def _measured(feature: Feature, rounds: int) -> bool:
    """Prints the figures of a feature; returns whether it costs more than it may, beyond the uncertainty."""
    launcher = ("perfagent", "run")
    present = [
        Agent("bare"),
        Agent("off", launcher, PERFAGENT | feature.off),
        Agent("on", launcher, PERFAGENT | feature.on),
    ]
    size, figures = plan.plan(quick=True, rounds=rounds), Figures()
    with tempfile.TemporaryDirectory(prefix="perfagent-bench-") as folder:
        web.measure(servers.PROGRAMS[feature.program], present, size, figures, Path(folder), lambda text: None)
    missed = False
    held = [figures.get(feature.program, side, "pss_mb") for side in ("off", "on")]
    memory = held[1].median - held[0].median if held[0] and held[1] else 0.0
    for route in servers.ROUTES:
        case = f"{feature.program} {route}"
        figures.add_difference(case, "on", "cpu_us", "off", "costs_us")
        off, on = (figures.get(case, side, "added_cpu_us") for side in ("off", "on"))
        costs = figures.get(case, "on", "costs_us")
        if off is None or on is None or costs is None:
            continue
        unsure = costs.uncertainty or 0.0
        print(
            f"{feature.name:<22}{case:<20}{off.median:>9.1f}{on.median:>9.1f}{costs.median:>10.1f}{unsure:>6.1f}"
            f"{memory:>7.1f}{feature.budget:>8.1f}",
            flush=True,
        )
        missed |= costs.median - unsure > feature.budget
    return missed


if __name__ == "__main__":
    sys.exit(main())
