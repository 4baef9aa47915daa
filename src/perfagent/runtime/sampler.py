"""Which traces are kept (OpenTelemetry SDK specification, "Sampling"), decided with one comparison."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings


class Sampler:
    """A share of the traces, asked for the roots alone or for every span.

    Args:
        ratio: the share of traces kept, from 0 to 1; decided by the low 56 bits of the trace id, as the SDK does it
            by its low 64 bits, so that services with the same ratio agree.
        parent_based: whether a span with a parent follows its parent.
    """

    __slots__ = ("bound", "parent_based", "ratio")

    def __init__(self, ratio: float = 1.0, parent_based: bool = True) -> None:
        self.parent_based = parent_based
        self.change(ratio)

    def change(self, ratio: float) -> None:
        """Takes another share from now on; 0 to 1."""
        self.ratio = ratio
        self.bound = round(ratio * (1 << 64))

    def keeps(self, trace_id: bytes) -> int:
        """The sampled flag for a trace: 1 or 0."""
        if self.ratio >= 1.0:
            return 1
        return 1 if int.from_bytes(trace_id[8:], "big") < self.bound else 0

    @property
    def description(self) -> str:
        """The name that the OpenTelemetry specification gives it."""
        inner = {1.0: "AlwaysOnSampler", 0.0: "AlwaysOffSampler"}.get(self.ratio, f"TraceIdRatioBased{{{self.ratio}}}")
        return f"ParentBased{{root:{inner}}}" if self.parent_based else inner


def from_settings(settings: Settings) -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG ask for.

    A name that is none of ours gives the default: the sdk pipeline takes those.
    """
    name = settings.sampler.strip().lower()
    ratio = 0.0 if "always_off" in name else 1.0
    if "traceidratio" in name and settings.sampler_arg:
        try:
            ratio = float(settings.sampler_arg)
            if not 0.0 <= ratio <= 1.0:
                raise ValueError
        except ValueError:
            ratio = 1.0
            settings.report(
                f"OTEL_TRACES_SAMPLER_ARG={settings.sampler_arg!r} is not accepted: a number from 0 to 1; "
                "going on with 1.0"
            )
    return Sampler(
        ratio, parent_based=name.startswith("parentbased") or name not in ("always_on", "always_off", "traceidratio")
    )
