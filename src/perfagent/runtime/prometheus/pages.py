"""What the port answers: /metrics as text or OpenMetrics; circuit breakers and the health of the process as JSON."""

from __future__ import annotations

import json
import os

from perfagent.runtime import guard, outbox
from perfagent.runtime.clock import time
from perfagent.runtime.prometheus.merge import Merged, common
from perfagent.runtime.prometheus.server import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.prometheus import Exposition

PAGES = ("/metrics", "/breaker", "/health", "/health/ready", "/health/live")


def metrics(exposition: Exposition, headers: dict[str, str]) -> Reply:
    """Every metric of every process, in the format and the compression that the asker takes."""
    from prometheus_client.exposition import choose_encoder

    from perfagent.runtime.prometheus.families import Families

    alive, ended = exposition.everyone()
    merged = Merged(by_process=len(alive) > 1 or bool(ended))
    for process in alive:
        merged.add(process.metrics, process.pid)
    merged.add(ended, 0, alive=False)
    families = Families(merged, common([process.resource for process in alive if process.resource]))
    encode, content_type = choose_encoder(headers.get("accept", ""))
    content = encode(families)
    if "gzip" not in headers.get("accept-encoding", ""):
        return Reply(200, content_type, content)
    import zlib

    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return Reply(200, content_type, packer.compress(content) + packer.flush(), Content_Encoding="gzip")


def other(exposition: Exposition, path: str) -> Reply:
    """The breakers and the health pages; 404 for anything else."""
    if path == "/breaker":
        return _json(200, _breakers(exposition))
    if path == "/health":
        return _json(200, _health(exposition))
    if path == "/health/live":
        return _json(200, {"status": "ok"})
    if path == "/health/ready":
        stopping = exposition.pipeline.stopping
        return _json(503 if stopping else 200, {"status": "stopping" if stopping else "ok"})
    return _json(404, {"error": f"no such page; there are {', '.join(PAGES)}"})


def _breakers(exposition: Exposition) -> dict[str, object]:
    """How often circuit breakers went into each state, by name, over all processes; those that ended included."""
    from perfagent.runtime.breaker import counts

    alive, ended = exposition.everyone()
    return dict(counts(metric for metrics in (*(one.metrics for one in alive), ended) for metric in metrics))


def _health(exposition: Exposition) -> dict[str, object]:
    from perfagent import __version__

    alive, _ = exposition.everyone()
    lost = sum(outbox.drops.values())
    return {
        "status": "degraded" if exposition.pipeline.down else "ok",
        "version": __version__,
        "pid": os.getpid(),
        "processes": sorted(process.pid for process in alive),
        "uptime_seconds": round(time() - exposition.born, 3),
        "telemetry": {"delivered": not exposition.pipeline.down, "dropped": lost},
        "internal_errors": {place: count for place, count in guard.failures.items() if count},
    }


def _json(status: int, content: dict[str, object]) -> Reply:
    return Reply(status, "application/json", json.dumps(content).encode() + b"\n")
