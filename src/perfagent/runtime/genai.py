"""Spans of calls of language models, and the metrics made of them (OpenTelemetry semantic conventions, "GenAI").

Names, numbers and reasons are taken from a request and its response while the program waits, so nothing of either is
held; attributes and metrics are worked out by the background thread. No prompt and no completion is looked at.
"""

from __future__ import annotations

from perfagent.runtime import clock, guard, http, metric
from perfagent.runtime.clock import now
from perfagent.runtime.encoded import MOST
from perfagent.runtime.http import SCHEMA
from perfagent.runtime.metric import HISTOGRAM, registry
from perfagent.runtime.otlp import wire
from perfagent.runtime.span import CLIENT, ERROR, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.runtime.context import RemoteContext
    from perfagent.runtime.metric import Instrument, Series

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(float(4**power) for power in range(14))
"""The bounds that the conventions ask for."""
SETTINGS = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_k": "gen_ai.request.top_k",
    "top_p": "gen_ai.request.top_p",
}
"""Numbers of a request, and the attributes that they become."""

PROVIDERS = {
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""Who serves models by OpenAI's interface, by the host."""

_meter = Scope("perfagent.genai", schema_url=SCHEMA)
_KEYS = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "server.address",
    "server.port",
)  # fmt: skip
duration = registry.make(
    _meter, HISTOGRAM, "gen_ai.client.operation.duration", "s", "Duration of calls of a model, streams included.",
    SECONDS, keys=(*_KEYS, "error.type"),
)  # fmt: skip
tokens = registry.make(
    _meter, HISTOGRAM, "gen_ai.client.token.usage", "{token}", "Tokens that a call used, of its input and its output.",
    TOKENS, keys=(*_KEYS, "gen_ai.token.type"),
)  # fmt: skip
first_chunk = registry.make(
    _meter, HISTOGRAM, "gen_ai.client.operation.time_to_first_chunk", "s", "Time until a stream's first piece arrived.",
    SECONDS, keys=_KEYS,
)  # fmt: skip


class GenAiSpan(Span):
    """One call of a language model, until the whole of its answer has arrived.

    Args:
        scope: the instrument.
        parent: the span that calls, or None.
        provider: `gen_ai.provider.name`.
        operation: `gen_ai.operation.name`.
        endpoint: the address that the client was made for, or an object whose `str` it is.
        request: the fields of the request; the numbers of `SETTINGS` and the model's name are taken from it.
    """

    __slots__ = ("answered", "endpoint", "failure", "first", "model", "operation", "provider", "settings", "usage")

    def __init__(
        self, scope: Scope, parent: Span | RemoteContext | None, provider: str, operation: str, endpoint: object,
        request: Mapping[str, object],
    ) -> None:  # fmt: skip
        super().__init__(scope, operation, CLIENT, parent)
        self.provider = provider
        self.operation = operation
        self.endpoint = endpoint
        model = request.get("model")
        self.model = model if isinstance(model, str) else ""
        self.settings: dict[str, object] = {}
        for name, attribute in SETTINGS.items():
            value = request.get(name)
            if isinstance(value, (int, float)):
                self.settings[attribute] = value
        self.answered: dict[str, object] = {}  # what the response tells, by attribute
        self.usage: dict[str, int] = {}  # tokens by attribute
        self.first = 0  # when a stream's first piece arrived, by the monotonic clock
        self.failure = ""

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with, without what its message quotes."""
        try:
            from perfagent.runtime.failure import Failure

            failure = Failure(error)
            self.failure = failure.type
            if self.entry is not None:
                self.entry.told = id(error)
            if self.is_recording():
                self._more().events.append(("exception", now() + clock.offset, failure, 0))
        except Exception:
            guard.failed("genai")

    def measure(self) -> None:
        """Adds the call to its metrics."""
        shared = self._shared()
        seconds = (self.ended - self.started) / 1e9
        series = _series(duration, shared | ({"error.type": self.failure} if self.failure else {}))
        series.record(seconds)
        if self.first:
            _series(first_chunk, shared).record((self.first - self.started) / 1e9)
        for kind in ("input", "output"):
            count = self.usage.get(f"gen_ai.usage.{kind}_tokens")
            if count is not None:
                _series(tokens, {**shared, "gen_ai.token.type": kind}).record(count)
        if self.flags & 1 and metric.exemplar_filter != "always_off":
            series.exemplify(seconds, self.ended, self.trace_id, self.span_id)

    def encode(self) -> bytes:
        """The content of an OTLP Span message."""
        own = {**self._shared(), **self.settings, **self.answered, **self.usage}
        if self.first:
            own["gen_ai.response.time_to_first_chunk"] = (self.first - self.started) / 1e9
        if self.failure:
            own["error.type"] = self.failure
        name = self.name
        if name == self.operation and self.model:
            name = f"{self.operation} {self.model}"
        body = wire.text(5, name) + b"0\x03" + wire.attributes(9, own)
        if self.failure:
            body += wire.message(15, wire.integer(3, ERROR))
        return self.encode_around(body)

    def _shared(self) -> dict[str, object]:
        """The attributes of the span that its metrics have, too."""
        scheme, _, rest = str(self.endpoint).partition("://")
        address, port = http.split_host(rest.partition("/")[0].rpartition("@")[2])
        found: dict[str, object] = {
            "gen_ai.operation.name": self.operation,
            "gen_ai.provider.name": PROVIDERS.get(address, self.provider),
        }
        if self.model:
            found["gen_ai.request.model"] = self.model
        model = self.answered.get("gen_ai.response.model")
        if model:
            found["gen_ai.response.model"] = model
        if address:
            found["server.address"] = address
            found["server.port"] = port or (443 if scheme == "https" else 80)
        return found


_known: dict[tuple[object, ...], Series] = {}


def _series(instrument: Instrument, attributes: dict[str, object]) -> Series:
    """The series of a metric, remembered: a look-up by a tuple in place of one by a dict."""
    key = (instrument, *attributes.items())
    found = _known.get(key)
    if found is None:
        if len(_known) >= MOST:
            _known.clear()
        found = _known[key] = instrument.of(attributes)
    return found
