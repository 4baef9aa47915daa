"""Which traces are kept (OpenTelemetry SDK specification, "Sampling"), decided with one comparison."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings


KEPT, LEFT_OUT = (1, ""), (0, "")
_ALL = 1 << 56


class Sampler:
    """A share of the traces, asked for the roots alone or for every span.

    Where it keeps less than all, the trace state of a kept trace tells the share, so that whoever counts its spans can
    count the others' with them (OpenTelemetry, "TraceState: Probability Sampling"): `ot=th:THRESHOLD;rv:RANDOMNESS`.

    Args:
        ratio: the share of traces kept, from 0 to 1; decided by the low 64 bits of the trace id as the SDK does it, so
            that services with the same ratio agree. The SDK keeps small numbers and the trace state's rule keeps large
            ones: so the randomness in it is the complement of the trace id's, told by `rv`.
        parent_based: whether a span with a parent follows its parent.
    """

    __slots__ = ("bound", "parent_based", "ratio", "threshold")

    def __init__(self, ratio: float = 1.0, parent_based: bool = True) -> None:
        self.parent_based = parent_based
        self.change(ratio)

    def change(self, ratio: float) -> None:
        """Takes another share from now on; 0 to 1."""
        kept = round(ratio * _ALL)
        self.bound = kept << 8
        self.threshold = _ALL - kept
        self.ratio = ratio

    def keeps(self, trace_id: bytes) -> int:
        """The sampled flag for a trace: 1 or 0."""
        return self.decide(trace_id)[0]

    def decide(self, trace_id: bytes, inherited: str = "") -> tuple[int, str]:
        """The sampled flag, 1 or 0, and the trace state of a span that does not follow a parent.

        Args:
            trace_id: of the trace.
            inherited: the trace state of the parent, where there is one.
        """
        if inherited:
            return self._below(trace_id, inherited)
        if self.ratio >= 1.0:
            return KEPT
        low = int.from_bytes(trace_id[8:], "big")
        return (1, f"ot={_shares(self.threshold, _ALL - 1 - (low >> 8))}") if low < self.bound else LEFT_OUT

    def _below(self, trace_id: bytes, inherited: str) -> tuple[int, str]:
        """As `decide`, by the randomness that the trace state tells, and with what other vendors have in it."""
        entries = [entry.strip() for entry in inherited.split(",")]
        others = [entry for entry in entries if entry and not entry.startswith("ot=")]
        found = [part for entry in entries if entry.startswith("ot=") for part in entry[3:].split(";")]
        told = next((part[3:] for part in found if part.startswith("rv:") and len(part) == 17), "")
        try:
            randomness = int(told, 16)
        except ValueError:
            randomness = _ALL - 1 - int.from_bytes(trace_id[8:15], "big")
        kept = randomness >= self.threshold
        if not found and (self.ratio >= 1.0 or not kept):
            return int(kept), inherited
        rest = [part for part in found if part and not part.startswith(("th:", "rv:"))]
        shares = _shares(self.threshold, randomness) if kept else f"rv:{randomness:014x}"
        return int(kept), ",".join([f"ot={';'.join([shares, *rest])}", *others[:31]])

    @property
    def description(self) -> str:
        """The name that the OpenTelemetry specification gives it."""
        inner = {1.0: "AlwaysOnSampler", 0.0: "AlwaysOffSampler"}.get(self.ratio, f"TraceIdRatioBased{{{self.ratio}}}")
        return f"ParentBased{{root:{inner}}}" if self.parent_based else inner


def _shares(threshold: int, randomness: int) -> str:
    return f"th:{f'{threshold:014x}'.rstrip('0') or '0'};rv:{randomness:014x}"


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
