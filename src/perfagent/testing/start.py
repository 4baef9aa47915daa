"""Starts the agent in pytest's process, for spans alone: nothing is sent unless somebody says where to."""

from __future__ import annotations

import os

import pytest

from perfagent import settings as options
from perfagent.launch import start
from perfagent.runtime import profile
from perfagent.testing import declared, seen
from perfagent.testing.limits import BudgetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

OFF = {"vitals": False, "flight": False, "lru_caches": False, "log_correlation": False, "pipeline": "lean"}
"""What only costs a test run, or would show: records that a test compares have no fields of ours."""
NOT_MEASURED = ("logging", "structlog", "loguru", "neighbours")
NOWHERE = {"hub": "off", "traces_exporter": ("none",), "metrics_exporter": ("none",), "logs_exporter": ("none",)}


def agent() -> None:
    """Starts it, unless `perfagent run` has."""
    if start.pipeline is None and not start.sdk_serves:
        settings = options.current()
        settings.__dict__.update(OFF)
        settings.__dict__["disabled_instruments"] = (*settings.disabled_instruments, *NOT_MEASURED)
        asks_hub = settings.environ.get("PERFAGENT_HUB", "off") != "off"
        if not (settings.endpoint or settings.traces_endpoint or asks_hub):
            settings.__dict__.update(NOWHERE)
        _without_ledger(settings)
        start.from_program(settings)
    if start.pipeline is None:
        raise pytest.UsageError("perfagent: budgets take our own pipeline; leave out PERFAGENT_PIPELINE=sdk")
    from perfagent.testing import clients

    clients.install()
    seen.install()


def _without_ledger(settings: Settings) -> None:
    """Deprecations are pytest's to count in a run of tests."""
    from perfagent.settings.deprecations import DeprecationSettings

    DeprecationSettings.current().__dict__["counted"] = False


def measuring(config: pytest.Config) -> None:
    """Begins to measure the tests of a run.

    Raises:
        pytest.UsageError: the budgets cannot be read.
    """
    agent()
    from perfagent.testing.run import Run

    recording = bool(config.option.perfagent_record)
    try:
        found = declared.read(str(config.rootpath), _absolute(config, config.option.perfagent_budgets))
    except BudgetError as error:
        raise pytest.UsageError(f"perfagent: {error}") from None
    if recording or found.limits_cpu_of_requests:
        profile.switch(True, options.current().namespace)
    config.pluginmanager.register(Run(config, found), "perfagent-run")
    if not hasattr(config, "workerinput"):
        from perfagent.testing.telling import Telling

        config.pluginmanager.register(Telling(config), "perfagent-telling")


def _absolute(config: pytest.Config, path: str) -> str:
    return os.path.join(str(config.invocation_params.dir), path) if path else ""
