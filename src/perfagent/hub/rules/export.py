"""The files of rules, by name, and whether a folder has exactly these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.rules import alerts, burn, own
from perfagent.hub.rules.rule import HEAD, document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perfagent.hub.analyse.thresholds import Thresholds
    from perfagent.hub.conditions.rule import Rule
    from perfagent.hub.rules.objectives import Objective
    from perfagent.hub.rules.rule import Group


def groups(
    thresholds: Thresholds,
    objectives: Sequence[Objective],
    places: alerts.Places,
    rules: Sequence[Rule] = (),
    problems: list[str] | None = None,
) -> dict[str, list[Group]]:
    """All rules, by the name of their file.

    Args:
        thresholds, objectives, rules: what they are made of; the last are of one's own.
        places: what alerts say of their surroundings.
        problems: takes a sentence for each rule that Prometheus cannot have.
    """
    made = alerts.files(thresholds, places)
    made["recording"] = burn.recording(objectives)
    made["slo_burn"] = burn.alerts(objectives, places)
    if rules:
        made[own.FILE] = own.alerts(rules, places, problems if problems is not None else [])
    return {f"{name}.yml": found for name, found in sorted(made.items())}


def contents(made: Mapping[str, Sequence[Group]]) -> dict[str, str]:
    """The text of each file."""
    return {name: document(found) for name, found in made.items()}


def write(directory: Path, texts: Mapping[str, str]) -> list[str]:
    """Writes what differs, and takes files away that an earlier export has left; returns their names."""
    directory.mkdir(parents=True, exist_ok=True)
    stale = differing(directory, texts)
    for name in stale:
        path = directory / name
        if name in texts:
            path.write_text(texts[name], encoding="utf-8")
        else:
            path.unlink()
    return stale


def differing(directory: Path, texts: Mapping[str, str]) -> list[str]:
    """The files of a folder that are missing, differ, or were exported once and are no more; others are left alone."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.yml"))}
    ours = {name for name, text in found.items() if text.startswith(HEAD)}
    return sorted(name for name in {*texts, *ours} if found.get(name) != texts.get(name))
