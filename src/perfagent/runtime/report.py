"""What this process tells of itself when its hub asks: settings without secrets, instruments, queues, versions."""

from __future__ import annotations

import json
import os
import sys

from perfagent import __version__
from perfagent.runtime import guard, outbox, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings

LARGEST = 60_000  # bytes as JSON; what a hub takes is 65,536
LONGEST = 500  # characters of one value
SECRET = ("headers", "key", "token", "password")


def of(pipeline: Pipeline) -> dict[str, Any]:
    """The report; the packages, and then the settings that nobody set, are left out where it would be too large."""
    told = {
        "agent": {"version": __version__, "pipeline": "lean", "pid": os.getpid()},
        "python": {"version": sys.version, "executable": sys.executable},
        "sampling": {"ratio": span.sampler.ratio, "sampler": span.sampler.description},
        "queues": {
            "spans": len(outbox.pending),
            "spans_at_most": outbox.limit,
            "logs": len(outbox.logs),
            "logs_at_most": outbox.log_limit,
            **pipeline.waiting(),
        },
        "exported": dict(pipeline.sent),
        "dropped": {f"{signal} {reason}": count for (signal, reason), count in outbox.drops.copy().items()},
        "failures": {place: count for place, count in guard.failures.copy().items() if count},
        "problems": [problem[:LONGEST] for problem in pipeline.settings.problems],
        **{heading: tell() for heading, tell in outbox.reports.items()},
        "settings": settings_of(pipeline.settings),
        "packages": packages(),
    }
    if len(json.dumps(told)) > LARGEST:
        told["packages"] = {"left out": "they are too many"}
    if len(json.dumps(told)) > LARGEST:
        told["settings"] = [setting for setting in settings_of(pipeline.settings) if setting["origin"] != "default"]
    return told


def settings_of(settings: Settings) -> list[dict[str, Any]]:
    """Every setting with its value, unless that is a secret, and where it came from."""
    return [
        {"name": option.name, "value": _shown(option.name, value), "origin": origin}
        for option, value, origin in settings.origins()
    ]


def _shown(name: str, value: object) -> object:
    if value and any(word in name.lower() for word in SECRET) and "capture" not in name.lower():
        return "(set, not shown)"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        value = ",".join(f"{key}={part}" for key, part in value.items())
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    scheme, separator, rest = text.partition("://")
    return (scheme + separator + rest.rpartition("@")[2])[:LONGEST]  # an address without user name and password


def packages() -> dict[str, str]:
    """The version of each installed package, by the names of the folders that installers make: nothing is opened."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                package, _, version = name.rpartition(".")[0].partition("-")
                found.setdefault(package, version.partition("-")[0])
    return dict(sorted(found.items()))
