"""/metrics, what the hub tells Prometheus of itself; and /breaker, the state changes of programs' circuit breakers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from pydantic import Field
from starlette.responses import Response

from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model
from perfagent.hub.api.ranges import MINUTES_KEPT
from perfagent.hub.hub import Hub
from perfagent.hub.notify.exposed import families as exposed_by_notifier
from perfagent.hub.remote import exposed
from perfagent.hub.sources import itself
from perfagent.hub.sources.exposed import families as exposed_by_sources

TEXT = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)  # 0.2 s is what an answer may take
NAMES = ["circuit_breaker_state_transitions_total", "circuit_breaker_state_transitions"]  # Prometheus' name, OTLP's

router = APIRouter(tags=["health"])


class Exposition:
    """The hub's own metrics, in a registry of its own.

    Args:
        hub: what is told of.
    """

    def __init__(self, hub: Hub) -> None:
        self.registry = CollectorRegistry()
        self._hub = hub
        self._durations = Histogram(
            "perfagent_hub_request_duration_seconds",
            "Duration of requests to the hub.",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.subscribers: Callable[[], int] = lambda: 0
        self.registry.register(self)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") else "other"
        self._durations.labels(known, route, str(status)).observe(seconds)

    def collect(self) -> Iterator[Any]:
        """The figures that other parts keep, read at the moment of the scrape."""
        counts, sizes = self._hub.intake.stored(), self._hub.store.sizes()
        items = CounterMetricFamily(
            "perfagent_hub_stored_items", "Spans, log records and points that were committed.", labels=("signal",)
        )
        for signal in ("spans", "logs", "points"):
            items.add_metric((signal,), getattr(counts, signal))
        yield items
        for name, text, value in (
            ("batches", "Requests with telemetry that were committed.", counts.batches),
            ("refused_items", "Items refused because of a limit or their form.", counts.refused),
            ("failed_items", "Items that could not be written.", counts.failed),
        ):
            yield CounterMetricFamily(f"perfagent_hub_{name}", text, value)
        for name, text, now in (
            ("queue_bytes", "Bytes of requests that wait to be stored.", getattr(self._hub.intake, "waiting", 0)),
            ("database_bytes", "Size of the database's file.", sizes.get("bytes", 0)),
            ("subscribers", "Open streams of live values.", self.subscribers()),
            ("uptime_seconds", "Time since the hub started.", time() - self._hub.started),
        ):
            yield GaugeMetricFamily(f"perfagent_hub_{name}", text, now)
        yield from itself.families(self._hub)
        yield from self._hub.browsers.families()
        yield from exposed_by_notifier(self._hub.notifier)
        if self._hub.remote is not None:
            yield from exposed.families(self._hub.remote)
            yield from exposed_by_sources(self._hub)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return bytes(generate_latest(self.registry))


class Transitions(Model):
    """How often a circuit breaker went into each state."""

    open: float = Field(0, description="Times that it opened: calls were no longer let through.", examples=[3])
    half_open: float = Field(0, description="Times that it let one call through, to try.", examples=[3])
    closed: float = Field(0, description="Times that it closed: all was well again.", examples=[2])


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def metrics_of_the_hub(request: Request) -> Response:
    """The hub's own metrics, for Prometheus."""
    return Response(request.app.state.exposition.text(), media_type=TEXT)


@router.get("/breaker", response_model=dict[str, Transitions])
def breaker(hub: TheHub) -> Answer:
    """State changes of the programs' circuit breakers in the last 7 days, by name; without the envelope."""
    found: dict[str, dict[str, float]] = {}
    for row in hub.store.rows("metrics/breakers", names=NAMES, since=int(time()) - MINUTES_KEPT):
        if row["state"] in Transitions.model_fields:
            found.setdefault(row["name"] or "", {})[row["state"]] = row["transitions"]
    return found
