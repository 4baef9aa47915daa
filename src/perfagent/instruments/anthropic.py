"""anthropic: a client span for each message, sync and asyncio, streamed or not, also by Bedrock and by Vertex.

Newer clients make a span of each call themselves, by OpenTelemetry's API: then that is the one that goes out, and ours
makes the metrics alone, which they have none of. Costs what openai's does.
"""

from __future__ import annotations

import sys

from perfagent.instruments import genai
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

OPERATIONS = {"/messages": "chat", "/complete": "text_completion"}


class Anthropic(Instrument):
    """Patches `request` of both clients, and `close` of their streams."""

    name = "anthropic"
    distribution = "anthropic"
    versions = ("0.20", "3")
    records = "a client span a message, to a stream's end, with the models and the tokens used; no text"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "anthropic._streaming":
            self.replace(module.Stream, "close", genai.closing)
            self.replace(module.AsyncStream, "close", genai.closing_async)
            return
        described = (self.scope, OPERATIONS, _provider, _traces_itself)
        self.replace(module.SyncAPIClient, "request", genai.calling(*described))
        self.replace(module.AsyncAPIClient, "request", genai.calling_async(*described))


def _provider(client: Any) -> str:
    name = type(client).__name__
    if "Bedrock" in name:
        return "aws.bedrock"
    return "gcp.vertex_ai" if "Vertex" in name else "anthropic"


def _traces_itself(client: Any) -> bool:
    """Whether the client's own spans reach us: it has not been told otherwise, and the tracers are ours."""
    try:
        options = getattr(client, "_open_telemetry", None)
        if not options or not options["traces"]["enabled"] or options.get("tracer_provider") is not None:
            return False
        provider = sys.modules["opentelemetry.trace"].get_tracer_provider()
        return type(provider).__module__.startswith("perfagent.")
    except Exception:
        guard.failed("anthropic")
        return False


instrument = Anthropic()
