"""Sets the runtime up from the settings, and anew in a forked child."""

from __future__ import annotations

from perfagent.runtime import clock, context, headers, http, ids, metric, outbox, propagation, resource, sampler, span
from perfagent.runtime.attributes import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings


def apply(settings: Settings) -> None:
    """Takes sampler, limits, propagators and captured headers from the settings."""
    clock.synchronise()
    span.sampler = sampler.from_settings(settings)
    limits = Limits
    limits.attributes = settings.attribute_count
    limits.length = settings.attribute_length
    limits.events = settings.event_count
    limits.links = settings.link_count
    limits.event_attributes = settings.event_attribute_count
    limits.link_attributes = settings.link_attribute_count
    outbox.limit = settings.span_queue
    outbox.log_limit = settings.log_queue
    outbox.CROWDED = min(outbox.CROWDED, max(settings.span_queue // 4, 1))
    metric.registry.cardinality = settings.cardinality
    metric.registry.exponential = settings.histogram_aggregation.startswith("base2")
    metric.exemplar_filter = settings.exemplar_filter
    propagation.trace_context = "tracecontext" in settings.propagators
    propagation.carry_baggage = "baggage" in settings.propagators
    http.capture_query = settings.capture_query
    headers.configure(settings)
    if not settings.scrub or settings.scrub_pattern:
        from perfagent.runtime import scrub

        scrub.configure(settings)
    if settings.profiling:
        from perfagent.runtime import profile

        profile.switch(True, settings.namespace)


def connect(pipeline: Pipeline) -> None:
    """Makes finished spans reach `pipeline`."""
    outbox.wake = pipeline.wake
    outbox.flush = pipeline.flush
    outbox.encoded_bytes = lambda: pipeline.waiting()["bytes"]


def reset_after_fork(pipeline: Pipeline) -> None:
    """A child starts with nothing: no identifiers, spans, counts or connections of its parent."""
    ids.reset()
    outbox.pending.clear()
    outbox.logs.clear()
    outbox.forget_drops()
    metric.registry.reset()
    http.forget_requests()
    _leave_to_parent(context.current.get())
    resource.instance_id = ""
    pipeline.resource = b""
    pipeline.sent.clear()
    pipeline.transport.abandon()
    pipeline.reset()


def _leave_to_parent(current: span.Span | context.RemoteContext | None) -> None:
    """A span under way stays what the child's spans belong to, but ending it is the parent's business: a child that
    returns through the code around the fork must not send it too.
    """
    if isinstance(current, span.Span):
        for under_way in (current, current.entry):
            if under_way is not None:
                under_way.ended = under_way.ended or clock.now()
