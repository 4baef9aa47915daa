"""What an agent gave up to stay below its ceiling, as a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse.finding import Finding

if TYPE_CHECKING:
    from perfagent.hub.analyse.finding import Notice


def gathered(told: list[Notice]) -> list[Finding]:
    """One finding a service, of all that its agents gave up: there is a notice for each lever that was lowered."""
    services: dict[str, list[Notice]] = {}
    for one in sorted(told, key=lambda one: one.last_seen):
        services.setdefault(one.service, []).append(one)
    return [_of_service(notices) for notices in services.values()]


def _of_service(notices: list[Notice]) -> Finding:
    """Args: notices: of one service, the oldest first; the last one knows what was given up before it."""
    one = notices[-1]
    share = one.attributes.get("perfagent.overhead.share")
    metrics = {"share": float(share) if isinstance(share, int | float) else 0.0}
    told = [str(one.attributes.get("perfagent.overhead.given_up") or "")]
    if not told[0]:  # of an older agent, which tells one lever alone
        told = [str(each.attributes.get("perfagent.overhead.means") or "") for each in notices]
    given_up = [part for part in "; ".join(told).split("; ") if part]
    reason = one.text.rpartition(": ")[0] or "perfagent takes more than it may"
    finding = Finding(
        "overhead", "optimisation", "low", f"perfagent does less in {one.service} to stay light",
        reason + (f"; for that {_listed(given_up)}" if given_up else ""),
        "figures stay right, for what is kept tells how many it stands for; there is less to look at",
        "leave it so, give it more (PERFAGENT_MAX_OVERHEAD), or sample by yourself (OTEL_TRACES_SAMPLER_ARG)",
        0.99, one.service, "#/processes", metrics, subject="given up", effort="low",
        steps=("`perfagent doctor` and the process' report tell what each part of perfagent takes",
               "raise PERFAGENT_MAX_OVERHEAD where the detail is worth it",
               "or keep a share of the traces from the start: OTEL_TRACES_SAMPLER=parentbased_traceidratio"),
    )  # fmt: skip
    finding.first_seen, finding.last_seen = min(each.first_seen for each in notices), one.last_seen
    return finding


def _listed(parts: list[str]) -> str:
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)
