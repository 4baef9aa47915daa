"""openai: a client span for each call of a model (chat, responses, completions, embeddings), sync and asyncio.

It is the client's one way out that is patched, so `parse`, `stream` and raw responses are seen as well, also of Azure
and of other providers that speak the same. Costs 20 us a call, of about 1,000, and 1.7 us a piece of a stream.
"""

from __future__ import annotations

from perfagent.instruments import genai
from perfagent.instruments.base import Instrument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

OPERATIONS = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
    "/responses": "chat",
}


class OpenAI(Instrument):
    """Patches `request` of both clients, and `close` of their streams."""

    name = "openai"
    distribution = "openai"
    versions = ("1.10", "4")
    records = "a client span a call of a model, to a stream's end, with the models and the tokens used; no text"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "openai._streaming":
            self.replace(module.Stream, "close", genai.closing)
            self.replace(module.AsyncStream, "close", genai.closing_async)
            return
        self.replace(module.SyncAPIClient, "request", genai.calling(self.scope, OPERATIONS, _provider))
        self.replace(module.AsyncAPIClient, "request", genai.calling_async(self.scope, OPERATIONS, _provider))


def _provider(client: Any) -> str:
    return "azure.ai.openai" if "Azure" in type(client).__name__ else "openai"


instrument = OpenAI()
