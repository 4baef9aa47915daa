"""What every test of the agent starts a program with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.patience import EXIT

if TYPE_CHECKING:
    from tests.otlp import Receiver


def agent_env(receiver: Receiver, **more: str) -> dict[str, str]:
    """The environment of a program whose telemetry goes to `receiver`; perfagent's own failures show as failures."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_SERVICE_NAME": "tested",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PERFAGENT_STRICT": "true",
        "PERFAGENT_BLOCKED_LOOP": "0",  # nor to tell what it blocked
        "PERFAGENT_MAX_OVERHEAD": "0",  # a busy machine is no reason to leave something out
        "PERFAGENT_TIME_PARTS": "false",  # what attributes a slow span has depends on how busy the machine is
        **EXIT,
        **more,
    }
