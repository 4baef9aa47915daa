"""What an agent gave up to stay below its ceiling, as a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse.finding import Finding

if TYPE_CHECKING:
    from perfagent.hub.analyse.finding import Facts, Notice


def worded(one: Notice, facts: Facts) -> Finding:
    """The finding of one lever."""
    share = one.attributes.get("perfagent.overhead.share")
    metrics = {"share": float(share) if isinstance(share, int | float) else 0.0}
    return Finding(
        "overhead", "optimisation", "low", f"perfagent does less in {one.service} to stay light", one.text,
        "figures stay right, for what is kept tells how many it stands for; there is less to look at",
        "leave it so, give it more (PERFAGENT_MAX_OVERHEAD), or sample by yourself (OTEL_TRACES_SAMPLER_ARG)",
        0.99, one.service, "#/processes", metrics, subject=one.subject, effort="low",
        steps=("`perfagent doctor` and the process' report tell what each part of perfagent takes",
               "raise PERFAGENT_MAX_OVERHEAD where the detail is worth it",
               "or keep a share of the traces from the start: OTEL_TRACES_SAMPLER=parentbased_traceidratio"),
    )  # fmt: skip
