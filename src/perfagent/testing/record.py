"""Reports of what tests used, and budgets made of them."""

from __future__ import annotations

import json
import math
import os

from perfagent.testing.limits import COUNTS, NOISY, TIMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from perfagent.testing.limits import Limits

VERSION = 1
FACTOR = 3.0
"""Times and memory may be so much more than recorded: another machine is slower, and neighbours are noisy."""
LEAST = {"time": 0.25, "cpu": 0.25, "memory": 1e6}
"""What a recorded limit is at least."""


def report(tests: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What each test used, for machines."""
    return {"version": VERSION, "tests": list(tests.values()), "endpoints": endpoints(tests)}


def endpoints(tests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each endpoint that the tests asked how many requests there were, and of each figure the most."""
    found: dict[str, dict[str, float]] = {}
    for test in tests.values():
        for name, used in test["endpoints"].items():
            kept = found.setdefault(name, {"requests": 0})
            kept["requests"] += used["requests"]
            for key, value in used.items():
                if key != "requests":
                    kept[key] = max(kept.get(key, 0), value)
    return found


def write(path: str, tests: Mapping[str, Mapping[str, Any]]) -> str:
    """Writes budgets of the tests that passed; those of others, from runs before, stay.

    Returns:
        How many there are, in words.
    """
    from perfagent.testing.declared import read_recorded

    kept = read_recorded(path) if os.path.exists(path) else {"tests": {}, "endpoints": {}}
    passed = {name: test for name, test in tests.items() if test["outcome"] == "passed"}
    kept["tests"].update({name: budget(test["measured"]) for name, test in passed.items()})
    kept["endpoints"].update({name: budget(used) for name, used in endpoints(passed).items()})
    document = {
        "version": VERSION,
        **{kind: {name: _written(kept[kind][name]) for name in sorted(kept[kind])} for kind in ("tests", "endpoints")},
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    return f"{len(passed)} tests and {len(endpoints(passed))} endpoints"


def budget(used: Mapping[str, float]) -> Limits:
    """The limits made of what was used: counts as they are, the others with headroom."""
    counts = {key: used.get(key, 0) for key in COUNTS}
    return counts | {key: max(used[key] * FACTOR, LEAST[key]) for key in NOISY if key in used}


def _written(limits: Limits) -> dict[str, object]:
    """Limits as a person would write them, the times in round numbers so that few lines of the file change."""
    shown: dict[str, object] = {}
    for key, value in limits.items():
        if key in TIMES:
            shown[key] = f"{_round(value * 1e3)}ms"
        elif key == "memory":
            shown[key] = f"{_round(value / 1e3)}kB"
        else:
            shown[key] = int(value)
    return shown


def _round(value: float) -> int:
    """Up to two digits: 103 becomes 110."""
    step = 10 ** max(math.floor(math.log10(value)) - 1, 0) if value >= 1 else 1
    return int(math.ceil(value / step - 1e-9) * step)
