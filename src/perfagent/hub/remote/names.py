"""Names, units and kinds as OpenTelemetry has them, of metrics and labels that bear Prometheus' names.

Prometheus' translation loses what it was made of: `process_cpu_time_seconds_total` was `process.cpu.time` in `s`. What
the views of the hub ask for is in the table; anything else keeps the name that it has.
Rules: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

import re
from typing import NamedTuple

GAUGE, LEVEL, COUNTER, HISTOGRAM = "gauge", "level", "counter", "histogram"


class Named(NamedTuple):
    """A metric as the hub knows it."""

    name: str
    kind: str  # gauge, level (an up-down counter), counter or histogram
    unit: str  # UCUM


# Prometheus' name without `_total`, `_bucket`, `_sum` and `_count`; the agent's own, then what others send of which the
# views tell something. tests/test_hub_remote_names.py holds the agent's part against its registry.
KNOWN: dict[str, Named] = {
    "process_cpu_time_seconds": Named("process.cpu.time", COUNTER, "s"),
    "process_cpu_utilization_ratio": Named("process.cpu.utilization", GAUGE, "1"),
    "process_memory_usage_bytes": Named("process.memory.usage", LEVEL, "By"),
    "process_memory_virtual_bytes": Named("process.memory.virtual", LEVEL, "By"),
    "process_thread_count": Named("process.thread.count", LEVEL, "{thread}"),
    "process_unix_file_descriptor_count": Named("process.unix.file_descriptor.count", LEVEL, "{file_descriptor}"),
    "process_context_switches": Named("process.context_switches", COUNTER, "{context_switch}"),
    "process_paging_faults": Named("process.paging.faults", COUNTER, "{fault}"),
    "process_uptime_seconds": Named("process.uptime", GAUGE, "s"),
    "perfagent_cpu_wait_seconds": Named("perfagent.cpu.wait", COUNTER, "s"),
    "perfagent_gc_pause_seconds": Named("perfagent.gc.pause", HISTOGRAM, "s"),
    "cpython_gc_collections": Named("cpython.gc.collections", COUNTER, "{collection}"),
    "cpython_gc_collected_objects": Named("cpython.gc.collected_objects", COUNTER, "{object}"),
    "cpython_gc_uncollectable_objects": Named("cpython.gc.uncollectable_objects", COUNTER, "{object}"),
    "perfagent_eventloop_lag_seconds": Named("perfagent.eventloop.lag", HISTOGRAM, "s"),
    "perfagent_eventloop_stalled_seconds": Named("perfagent.eventloop.stalled", GAUGE, "s"),
    "perfagent_cache_hits": Named("perfagent.cache.hits", COUNTER, "{hit}"),
    "perfagent_cache_misses": Named("perfagent.cache.misses", COUNTER, "{miss}"),
    "perfagent_cache_size": Named("perfagent.cache.size", LEVEL, "{entry}"),
    "perfagent_cache_max_size": Named("perfagent.cache.max_size", LEVEL, "{entry}"),
    "perfagent_cache_evictions": Named("perfagent.cache.evictions", COUNTER, "{entry}"),
    "perfagent_cache_utilization_ratio": Named("perfagent.cache.utilization", GAUGE, "1"),
    "perfagent_cache_failures": Named("perfagent.cache.failures", COUNTER, "{failure}"),
    "perfagent_optimizer_value": Named("perfagent.optimizer.value", GAUGE, ""),
    "perfagent_optimizer_trials": Named("perfagent.optimizer.trials", COUNTER, "{trial}"),
    "perfagent_resource_utilization_ratio": Named("perfagent.resource.utilization", GAUGE, "1"),
    "perfagent_resource_limit_exceeded": Named("perfagent.resource.limit_exceeded", COUNTER, "{time}"),
    "perfagent_resource_throttled_seconds": Named("perfagent.resource.throttled", COUNTER, "s"),
    "perfagent_telemetry_exported": Named("perfagent.telemetry.exported", COUNTER, "{item}"),
    "perfagent_telemetry_dropped": Named("perfagent.telemetry.dropped", COUNTER, "{item}"),
    "perfagent_spool_written": Named("perfagent.spool.written", COUNTER, "{item}"),
    "perfagent_spool_sent": Named("perfagent.spool.sent", COUNTER, "{item}"),
    "perfagent_spool_failures": Named("perfagent.spool.failures", COUNTER, "{failure}"),
    "perfagent_spool_size_bytes": Named("perfagent.spool.size", GAUGE, "By"),
    "perfagent_rum_injected": Named("perfagent.rum.injected", COUNTER, "{page}"),
    "perfagent_rum_skipped": Named("perfagent.rum.skipped", COUNTER, "{page}"),
    "perfagent_internal_errors": Named("perfagent.internal.errors", COUNTER, "{error}"),
    "perfagent_thread_pool_wait_time_seconds": Named("perfagent.thread_pool.wait_time", HISTOGRAM, "s"),
    "perfagent_http_client_pool_wait_time_seconds": Named("perfagent.http.client.pool.wait_time", HISTOGRAM, "s"),
    "perfagent_overhead_cpu_time_seconds": Named("perfagent.overhead.cpu.time", COUNTER, "s"),
    "perfagent_overhead_memory_bytes": Named("perfagent.overhead.memory", GAUGE, "By"),
    "perfagent_overhead_given_up": Named("perfagent.overhead.given_up", GAUGE, "{step}"),
    "perfagent_memory_blocks": Named("perfagent.memory.blocks", GAUGE, "{block}"),
    "perfagent_memory_suspect_entries": Named("perfagent.memory.suspect.entries", GAUGE, "{entry}"),
    "perfagent_cache_what_if_ttl_hit_ratio": Named("perfagent.cache.what_if.ttl.hit_ratio", GAUGE, "1"),
    "perfagent_cache_what_if_size_hit_ratio": Named("perfagent.cache.what_if.size.hit_ratio", GAUGE, "1"),
    "perfagent_cache_saved_seconds_per_second": Named("perfagent.cache.saved", GAUGE, "s/s"),
    "http_server_request_duration_seconds": Named("http.server.request.duration", HISTOGRAM, "s"),
    "http_server_active_requests": Named("http.server.active_requests", LEVEL, "{request}"),
    "http_server_response_body_size_bytes": Named("http.server.response.body.size", HISTOGRAM, "By"),
    "http_client_request_duration_seconds": Named("http.client.request.duration", HISTOGRAM, "s"),
    "db_client_operation_duration_seconds": Named("db.client.operation.duration", HISTOGRAM, "s"),
    "messaging_client_operation_duration_seconds": Named("messaging.client.operation.duration", HISTOGRAM, "s"),
    "messaging_process_duration_seconds": Named("messaging.process.duration", HISTOGRAM, "s"),
    "perfagent_messaging_latency_seconds": Named("perfagent.messaging.latency", HISTOGRAM, "s"),
    "perfagent_messaging_wait_seconds": Named("perfagent.messaging.wait", HISTOGRAM, "s"),
    "rpc_server_call_duration_seconds": Named("rpc.server.call.duration", HISTOGRAM, "s"),
    "rpc_client_call_duration_seconds": Named("rpc.client.call.duration", HISTOGRAM, "s"),
    "gen_ai_client_operation_duration_seconds": Named("gen_ai.client.operation.duration", HISTOGRAM, "s"),
    "gen_ai_client_operation_time_to_first_chunk_seconds": Named(
        "gen_ai.client.operation.time_to_first_chunk", HISTOGRAM, "s"
    ),
    "gen_ai_client_token_usage": Named("gen_ai.client.token.usage", HISTOGRAM, "{token}"),
    "messaging_client_sent_messages": Named("messaging.client.sent.messages", COUNTER, "{message}"),
    "messaging_client_consumed_messages": Named("messaging.client.consumed.messages", COUNTER, "{message}"),
    "perfagent_request_memory_mb": Named("perfagent_request_memory_mb", HISTOGRAM, "{MB}"),
    "perfagent_request_duration_seconds": Named("perfagent_request_duration_seconds", HISTOGRAM, "s"),
    "api_request_duration_seconds": Named("api_request_duration_seconds", HISTOGRAM, "s"),
    "db_client_connection_count": Named("db.client.connection.count", LEVEL, "{connection}"),
    "db_client_connection_max": Named("db.client.connection.max", LEVEL, "{connection}"),
    "db_client_connection_pending_requests": Named("db.client.connection.pending_requests", LEVEL, "{request}"),
    "db_client_connection_timeouts": Named("db.client.connection.timeouts", COUNTER, "{timeout}"),
    "db_client_connection_wait_time_seconds": Named("db.client.connection.wait_time", HISTOGRAM, "s"),
    "container_memory_limit_bytes": Named("container.memory.limit", LEVEL, "By"),
    "process_memory_limit_bytes": Named("process.memory.limit", LEVEL, "By"),
    "system_memory_limit_bytes": Named("system.memory.limit", LEVEL, "By"),
    "system_cpu_utilization_ratio": Named("system.cpu.utilization", GAUGE, "1"),
    "system_memory_utilization_ratio": Named("system.memory.utilization", GAUGE, "1"),
    "system_filesystem_utilization_ratio": Named("system.filesystem.utilization", GAUGE, "1"),
    "perfagent_block_duration_seconds": Named("perfagent.block.duration", HISTOGRAM, "s"),
    "perfagent_processing_duration_seconds": Named("perfagent.processing.duration", HISTOGRAM, "s"),
    "perfagent_page_load_duration_seconds": Named("perfagent.page.load.duration", HISTOGRAM, "s"),
    "perfagent_ui_frame_duration_seconds": Named("perfagent.ui.frame.duration", HISTOGRAM, "s"),
    "perfagent_ui_callback_duration_seconds": Named("perfagent.ui.callback.duration", HISTOGRAM, "s"),
    "perfagent_ui_upload_speed_bytes_per_second": Named("perfagent.ui.upload.speed", HISTOGRAM, "By/s"),
    "perfagent_ui_upload_size_bytes": Named("perfagent.ui.upload.size", COUNTER, "By"),
    "perfagent_user_actions": Named("perfagent.user.actions", COUNTER, "{action}"),
    "perfagent_users_active": Named("perfagent.users.active", GAUGE, "{user}"),
    "perfagent_sessions_active": Named("perfagent.sessions.active", LEVEL, "{session}"),
    "perfagent_queue_backlog": Named("perfagent.queue.backlog", GAUGE, "{item}"),
    "perfagent_drift_statistic_ratio": Named("perfagent.drift.statistic", GAUGE, "1"),
    "perfagent_monitor_alerts": Named("perfagent.monitor.alerts", COUNTER, "{alert}"),
    "perfagent_monitor_failures": Named("perfagent.monitor.failures", COUNTER, "{failure}"),
    "replication_lag_seconds": Named("replication_lag_seconds", GAUGE, "s"),
    "replication_check_failures": Named("replication_check_failures_total", COUNTER, "{failure}"),
    "service_error_budget_remaining": Named("service_error_budget_remaining", GAUGE, "{error}"),
    "service_error_budget_limit": Named("service_error_budget_limit", GAUGE, "{error}"),
    "service_errors": Named("service_errors_total", COUNTER, "{error}"),
    "perfagent_retry_attempts": Named("perfagent.retry.attempts", COUNTER, "{attempt}"),
    "deprecated_function_calls": Named("deprecated_function_calls_total", COUNTER, "1"),
    "perfagent_deprecation_calls": Named("perfagent.deprecation.calls", COUNTER, "{call}"),
    "perfagent_deprecation_sites": Named("perfagent.deprecation.sites", COUNTER, "{site}"),
    "perfagent_data_rows": Named("perfagent.data.rows", COUNTER, "{row}"),
    "perfagent_data_read_bytes": Named("perfagent.data.read", COUNTER, "By"),
    "perfagent_data_chunk_duration_seconds": Named("perfagent.data.chunk.duration", HISTOGRAM, "s"),
    "perfagent_data_slow_queries": Named("perfagent.data.slow_queries", COUNTER, "{query}"),
    "circuit_breaker_state_transitions": Named("circuit_breaker_state_transitions_total", COUNTER, "{transition}"),
    "circuit_breaker_state": Named("circuit_breaker_state", GAUGE, ""),
    "circuit_breaker_rejected_calls": Named("circuit_breaker_rejected_calls_total", COUNTER, "{call}"),
}

_ON_DEMAND = """
rpc_server_call_duration_seconds rpc_client_call_duration_seconds gen_ai_client_operation_duration_seconds
gen_ai_client_operation_time_to_first_chunk_seconds gen_ai_client_token_usage
http_server_request_duration_seconds http_server_active_requests http_server_response_body_size_bytes
http_client_request_duration_seconds db_client_operation_duration_seconds perfagent_request_memory_mb
perfagent_request_duration_seconds api_request_duration_seconds process_memory_virtual_bytes process_context_switches
process_paging_faults cpython_gc_collected_objects cpython_gc_uncollectable_objects
perfagent_block_duration_seconds perfagent_processing_duration_seconds perfagent_page_load_duration_seconds
perfagent_ui_frame_duration_seconds perfagent_ui_callback_duration_seconds perfagent_ui_upload_speed_bytes_per_second
perfagent_ui_upload_size_bytes perfagent_user_actions perfagent_users_active perfagent_sessions_active
perfagent_queue_backlog perfagent_drift_statistic_ratio perfagent_monitor_alerts perfagent_monitor_failures
messaging_client_operation_duration_seconds messaging_process_duration_seconds messaging_client_sent_messages
messaging_client_consumed_messages perfagent_messaging_latency_seconds perfagent_messaging_wait_seconds
perfagent_data_rows perfagent_data_read_bytes perfagent_data_chunk_duration_seconds perfagent_data_slow_queries
perfagent_rum_injected perfagent_rum_skipped
"""
ON_DEMAND = frozenset(_ON_DEMAND.split())
"""Known ones that no view but the one of metrics reads: asked for when somebody looks at them."""

CACHES = {"_cache_(hits|misses|evictions)_total": COUNTER, "_cache_(size|max_size)": LEVEL}
"""Ends of the names of any program's cache metrics, as regular expressions."""

_RESOURCE = """
service.name service.namespace service.instance.id service.version deployment.environment.name deployment.environment
host.name host.id host.arch host.type os.type os.description process.pid process.executable.name process.executable.path
process.command process.runtime.name process.runtime.version process.runtime.description telemetry.sdk.language
telemetry.sdk.name telemetry.sdk.version telemetry.distro.name telemetry.distro.version container.id container.name
container.image.name k8s.pod.name k8s.pod.uid k8s.namespace.name k8s.node.name k8s.deployment.name k8s.cluster.name
cloud.provider cloud.region cloud.availability_zone cloud.account.id
"""
RESOURCE = {name.replace(".", "_"): name for name in _RESOURCE.split()}
"""Labels of `target_info`, and those that Prometheus promotes to every series."""

_POINT = """
http.request.method http.route http.response.status_code url.scheme network.protocol.version error.type server.address
server.port db.system.name db.namespace db.operation.name db.collection.name db.query.summary db.response.status_code
db.client.connection.pool.name db.client.connection.state messaging.system messaging.operation.name
messaging.operation.type messaging.destination.name messaging.consumer.group.name rpc.system rpc.method rpc.service
system.cpu.state
cpu.mode cpu.logical_number process.context_switch.type system.paging.fault.type cpython.gc.generation cache.name
cache.system cache.tier perfagent.request.overlapped system.memory.state system.filesystem.state
system.filesystem.mountpoint system.device http.method http.status_code db.system db.operation db.sql.table
db.mongodb.collection net.peer.name net.peer.port http.host url.template code.function code.function.name code.file.path
code.line.number peer.hostname deprecation.message deprecation.category deprecation.library deprecation.version
deprecation.warned_at deprecation.own
"""
POINT = {name.replace(".", "_"): name for name in _POINT.split()}
"""Labels of points."""

NO_ATTRIBUTES = frozenset(("__name__", "perfagent_name", "job", "instance", "le", *RESOURCE))
"""Labels that tell of the process, or are Prometheus' own. `process_pid` is one, which the agent's /metrics adds."""

_COUNTER_ENDS = ("_total",)
_PARTS = ("_bucket", "_sum", "_count")
_UNITS = {
    "_seconds": "s", "_milliseconds": "ms", "_bytes": "By", "_ratio": "1", "_percent": "%", "_celsius": "Cel",
}  # fmt: skip
_CACHE = re.compile("|".join(f"(?:.+{end})" for end in CACHES))


def metric(name: str) -> Named:
    """What a metric of Prometheus is.

    Args:
        name: a counter's with `_total`, a histogram's with `_bucket`, `_sum` or `_count`.
    """
    base, kind = stem(name)
    if base in KNOWN:
        return KNOWN[base]
    if kind == GAUGE and _CACHE.fullmatch(name):
        kind = LEVEL
    shown = base if kind == HISTOGRAM else name
    plain = shown.removesuffix("_total")
    unit = next((unit for end, unit in _UNITS.items() if plain.endswith(end)), "")
    return Named(shown, kind, unit)


def stem(name: str) -> tuple[str, str]:
    """A metric's name without its end, and the kind that the end tells: gauge where there is none."""
    for end in _COUNTER_ENDS:
        if name.endswith(end):
            return name.removesuffix(end), COUNTER
    for end in _PARTS:
        if name.endswith(end) and (end == "_bucket" or name.removesuffix(end) in KNOWN):
            return name.removesuffix(end), HISTOGRAM
    return name, GAUGE


def polled(kind: str) -> list[str]:
    """What every view needs, as regular expressions: counters with `_total`, histograms without an end."""
    found = [
        f"{base}_total" if named.kind == COUNTER else base
        for base, named in KNOWN.items()
        if named.kind == kind and base not in ON_DEMAND
    ]
    return found + [f".+{end}" for end, of in CACHES.items() if of == kind]


def in_prometheus(name: str) -> str:
    """The name that Prometheus has for a metric, a counter's with `_total`, a histogram's without an end."""
    for base, named in KNOWN.items():
        if named.name == name:
            return f"{base}_total" if named.kind == COUNTER else base
    return name


def attributes(labels: dict[str, str]) -> dict[str, str]:
    """The attributes of a point, by OpenTelemetry's names where these are known."""
    return {
        POINT.get(label, label): value
        for label, value in labels.items()
        if label not in NO_ATTRIBUTES and not label.startswith("otel_scope_")
    }
