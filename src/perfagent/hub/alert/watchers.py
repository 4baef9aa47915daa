"""Who looks for what is wrong: one line each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfagent.hub.alert.violation import Watcher
    from perfagent.hub.hub import Hub

WATCHERS: tuple[tuple[str, str], ...] = (
    ("alert.thresholds", "ThresholdWatcher"),
    ("alert.rules", "RuleWatcher"),
    ("alert.anomalies", "Anomalies"),
    ("alert.objectives", "Objectives"),
    ("alert.findings", "Findings"),
)
"""Modules below `perfagent.hub`, and their class; each is made with the hub alone."""


def made(hub: Hub) -> list[Watcher]:
    """One of each."""
    return [getattr(import_module(f"perfagent.hub.{module}"), name)(hub) for module, name in WATCHERS]
