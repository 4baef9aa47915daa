"""perfagent as an OpenTelemetry distribution: `opentelemetry-instrument` starts it by these two entry points.

Where another distribution is installed too, OTEL_PYTHON_DISTRO=perfagent and OTEL_PYTHON_CONFIGURATOR=perfagent choose.
"""

# mypy: allow-subclassing-any
from __future__ import annotations

from opentelemetry.instrumentation.distro import BaseDistro

from perfagent import settings as options
from perfagent.launch import choice, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PerfagentDistro(BaseDistro):
    """Loads the contrib instrumentors of those libraries that perfagent does not measure itself."""

    def _configure(self, **kwargs: Any) -> None:
        """Nothing: the configurator, which comes next, starts perfagent."""

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Leaves out what the lean pipeline measures itself, and what it loads when the program imports the library."""
        if choice.pipeline(options.current()) == "lean":
            from perfagent.instruments import contrib

            if contrib.is_left_to_us(entry_point.name):
                return
        super().load_instrumentor(entry_point, **kwargs)


class PerfagentConfigurator:
    """Starts the pipeline that the settings ask for."""

    def configure(self, **kwargs: Any) -> None:
        """Starts perfagent; the instrumentors are loaded by whoever called, not again by the sdk pipeline."""
        settings = options.current()
        if settings.disabled:
            return
        start.join_hub(settings)
        if choice.pipeline(settings) == "sdk":
            from perfagent.launch import sdk

            sdk.configure(settings)
        else:
            start.lean(settings)
