"""The OpenTelemetry API: a program's own tracers, meters and loggers work on our runtime, with no SDK.

Nothing of OpenTelemetry is imported before the program does that (`opentelemetry.trace` costs 70 to 120 ms). Our
providers are the global ones without having been set, so that a program that sets its own still can.
"""

from __future__ import annotations

import sys

from perfagent.instruments.base import MISSING, Instrument
from perfagent.runtime.span import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class OpenTelemetry(Instrument):
    """Puts our providers and our context in the API's global variables."""

    name = "opentelemetry"
    distribution = "opentelemetry-api"
    versions = ("1.20", "2")
    records = "what the program tells through OpenTelemetry's API: spans, metrics, logs, baggage"

    def __init__(self) -> None:
        super().__init__()
        self._put: list[tuple[Any, str, Any, Any]] = []
        self._bridge: Any = None

    def patch(self, module: ModuleType) -> None:
        """Puts in what belongs to one of the API's modules."""
        getattr(self, "_" + module.__name__.partition(".")[2].strip("_"))(module)

    def unsupported(self, module: ModuleType) -> str:
        """As for `Instrument`; the API's own `version` module saves the 20 ms of `importlib.metadata`."""
        from opentelemetry.version import __version__ as version

        return self.out_of_range(version)

    def unpatch(self) -> None:
        """Puts the API's own variables back where they still hold ours."""
        while self._put:
            owner, attribute, original, ours = self._put.pop()
            if getattr(owner, attribute, MISSING) is ours:
                setattr(owner, attribute, original)
        self.patched.clear()

    def _trace(self, module: Any) -> None:
        from opentelemetry import context

        from perfagent.runtime.api.context import Bridge
        from perfagent.runtime.api.tracer import TracerProvider

        module.Span.register(Span)
        context.get_current()  # before 1.25 this makes what we replace
        self._bridge = Bridge(context._RUNTIME_CONTEXT)
        self._replace(context, "_RUNTIME_CONTEXT", self._bridge)
        baggage = sys.modules.get("opentelemetry.baggage")
        if hasattr(baggage, "_BAGGAGE_KEY"):
            self._baggage(baggage)
        self._install(module, "TRACER", TracerProvider())

    def _baggage(self, module: Any) -> None:
        if self._bridge is not None:
            self._bridge.baggage_key = module._BAGGAGE_KEY

    def _metrics(self, module: Any) -> None:
        from perfagent.runtime.api.meter import MeterProvider

        provider = MeterProvider()
        if self._install(module._internal, "METER", provider):
            module._internal._PROXY_METER_PROVIDER.on_set_meter_provider(provider)

    def _logs(self, module: Any) -> None:
        from perfagent.runtime import log
        from perfagent.runtime.api.logger import LoggerProvider

        log.connect()
        self._install(module._internal, "LOGGER", LoggerProvider())

    def _install(self, module: Any, kind: str, provider: Any) -> bool:
        """Makes `provider` the global one, unless the program has set its own already."""
        from perfagent.runtime.api.handover import Handover

        variable, once = f"_{kind}_PROVIDER", f"_{kind}_PROVIDER_SET_ONCE"
        if getattr(module, variable) is not None:
            return False
        self._replace(module, once, Handover(lambda: provider.hand_over(getattr(module, variable))))
        self._replace(module, variable, provider)
        return True

    def _replace(self, owner: Any, attribute: str, ours: Any) -> None:
        self._put.append((owner, attribute, getattr(owner, attribute), ours))
        setattr(owner, attribute, ours)


instrument = OpenTelemetry()
