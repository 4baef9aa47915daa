"""FastAPI: routes with the prefix of the router that includes them, and no second span from its own telemetry."""

from __future__ import annotations

from perfagent.instruments import asgi
from perfagent.instruments.base import Instrument
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


OURS = "perfagent.runtime.api.tracer"  # where our tracer provider is defined


class FastAPI(Instrument):
    """Listens where FastAPI has selected a route. Its requests are measured as Starlette's."""

    name = "fastapi"
    distribution = "fastapi"
    versions = ("0.90", "1")
    records = "the route of a request, its exception; one dependency tree, no span more"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "fastapi.routing":
            self.replace(module, "_route_selected", _naming)
        elif module.__name__ == "fastapi.telemetry._runtime":
            self.replace(module, "_configure_from_environment", _configuring)
        else:
            self.replace(module.NativeTelemetry, "enabled", _silencing)


def _naming(selected: Callable[..., None]) -> Callable[..., None]:
    def wrapper(*, scope: Any, path: str | None, mount: bool = False) -> None:
        if path is not None and not mount:
            asgi.route(path)
        selected(scope=scope, path=path, mount=mount)

    return wrapper


def _silencing(enabled: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """FastAPI makes spans and metrics of its own where OpenTelemetry has a provider. Where that is ours, they would be
    doubles of what we measure; where the program has set one of its own, they are the program's business.
    """

    from opentelemetry import trace  # FastAPI has imported it

    global_provider = trace.get_tracer_provider

    def wrapper(telemetry: Any) -> bool:
        # Asked for every request: 0.2 us.
        if type(global_provider()).__module__ != OURS:
            return enabled(telemetry)
        return _has_providers(getattr(telemetry, "config", None)) and enabled(telemetry)

    return wrapper


def _configuring(configure: Callable[[Any], None]) -> Callable[[Any], None]:
    """FASTAPI_OTEL_AUTO_CONFIGURE gives the global provider an exporter; ours has one and takes no second."""

    def wrapper(config: Any) -> None:
        from opentelemetry import trace

        if type(trace.get_tracer_provider()).__module__ != OURS or _has_providers(config):
            configure(config)

    return wrapper


def _has_providers(config: Any) -> bool:
    """Whether the program has given providers to its FastAPI application."""
    try:
        get = config.get  # written out: asked for every request
        return not get("tracer_provider") is get("meter_provider") is get("logger_provider") is None
    except Exception:  # a version that keeps them elsewhere
        guard.failed("fastapi")
        return True


instrument = FastAPI()
