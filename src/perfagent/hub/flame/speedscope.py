"""Files of speedscope.app: https://www.speedscope.app/file-format-schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfagent.hub.flame.stacks import Call, Profile

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
