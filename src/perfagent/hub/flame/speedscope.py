"""Files of speedscope.app: https://www.speedscope.app/file-format-schema.json."""

from __future__ import annotations

from typing import Any

from perfagent.hub.flame.stacks import Call, Profile, Sample

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def document(profile: Profile) -> dict[str, Any]:
    """The profile as one of speedscope's kind `sampled`: a weight a stack."""
    frames: dict[Call, int] = {}
    samples = [[frames.setdefault(call, len(frames)) for call in sample.calls] for sample in profile.samples]
    weights = [sample.value for sample in profile.samples]
    shown = {
        "type": "sampled",
        "name": profile.name or profile.kind,
        "unit": profile.unit if profile.unit in ("nanoseconds", "bytes") else "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    return {
        "$schema": SCHEMA,
        "name": profile.name or profile.kind,
        "exporter": "perfagent",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(call) for call in frames]},
        "profiles": [shown],
    }


def _frame(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {"name": call.function}
    if call.file:
        found["file"] = call.file
    if line := call.line or call.first:
        found["line"] = line
    return found


def read(told: dict[str, Any], kind: str) -> Profile:
    """The profile of a document that was made here; KeyError, TypeError, IndexError where it is another one."""
    calls = [Call(one["name"], one.get("file", ""), 0, one.get("line", 0)) for one in told["shared"]["frames"]]
    shown = told["profiles"][0]
    unit = shown["unit"] if shown["unit"] != "none" else "count"
    found = Profile(kind, unit, name=told.get("name", ""))
    for stack, weight in zip(shown["samples"], shown["weights"], strict=True):
        found.samples.append(Sample(tuple(calls[at] for at in stack), weight))
    return found
