"""What Prometheus computes for each threshold: the figure that its limits are compared with.

A figure's expression has no limit in it, so that the warning and the critical alert come from one text. It is in
Prometheus' units: seconds for a threshold in ms, a ratio for one in %.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfagent.hub.rules.promql import (
    POOL,
    PROCESS,
    UPTIME,
    counted,
    items_per_minute,
    nested,
    or_nothing,
    per_second,
    pooled,
    quantile,
    total,
)

APP, RESOURCE, DATABASE, CACHE = "app_alerts", "resource_alerts", "database_alerts", "cache_alerts"
DEPRECATION, BREAKER, BUDGET, TELEMETRY = (
    "deprecation_alerts", "breaker_alerts", "error_budget_alerts", "telemetry_alerts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """How Prometheus measures what a threshold limits.

    Args:
        threshold: the name of the threshold.
        alert: the name of its alerts.
        file: where they are, without `.yml`.
        expression: PromQL, one element for each thing that may violate the limit.
        summary: what is wrong; `<value>`, `<limit>` and `<LABEL>` stand for what they say.
        description: what to look at first.
        view: of the hub's page, with the service to come.
        enough: PromQL; there is no alert without an element of it, for too little was measured.
        by: the labels of both.
    """

    threshold: str
    alert: str
    file: str
    expression: str
    summary: str
    description: str
    view: str = "processes?service="
    enough: str = ""
    by: str = "service_name"


REQUESTS = "http_server_request_duration_seconds"
FAILED = f'{REQUESTS}_count{{http_response_status_code=~"5.."}}'
HEALTH_ROUTES = "/(health|healthz|healthcheck|livez|readyz)(/.*)?"
UNWELL = f'{REQUESTS}_count{{http_response_status_code=~"5..",http_route=~"{HEALTH_ROUTES}"}}'
QUERIES = "db_client_operation_duration_seconds"
NO_CACHE = '{db_system_name!~"redis|valkey|memcached"}'
POOL_OF = f"{PROCESS}, db_client_connection_pool_name"
DROPPED, EXPORTED = "perfagent_telemetry_dropped_total", "perfagent_telemetry_exported_total"
HITS, MISSES = "<ns>_cache_hits_total", "<ns>_cache_misses_total"
DEPRECATED = "deprecated_function_calls_total"
OPENED, TRIED = (f'circuit_breaker_state_transitions_total{{state="{state}"}}' for state in ("open", "half_open"))
RESETS = f"max by (service_name) (resets({UPTIME}[15m]))"
YOUNG = "count by (service_name) " + nested(
    f"(max_over_time({UPTIME}[15m]) <= 600)\nunless last_over_time({UPTIME}[2m])"
)
EXPORTER = "service_name, instance, exporter"
FILE_SYSTEM = '{mode!="ro",type!~"tmpfs|devtmpfs|autofs|squashfs|iso9660"}'


def _failed(window: str) -> tuple[str, str]:
    """Failed requests, and all."""
    return counted(FAILED, window=window), counted(f"{REQUESTS}_count", window=window)


def _lookups(window: str) -> tuple[str, str]:
    """Hits and look-ups; a cache that was never hit has no series of hits."""
    misses = counted(MISSES, window=window)
    hits = or_nothing(counted(HITS, window=window), misses)
    return hits, nested(f"{hits}\n+ {misses}")


def _lost(window: str) -> tuple[str, str]:
    """What agents dropped, and all that they had; one that delivered nothing has no series of what it exported."""
    dropped = total(DROPPED, window=window)
    return dropped, nested(f"{dropped}\n+ {or_nothing(total(EXPORTED, window=window), dropped)}")


FIGURES = (
    Figure(
        "response_time_p95_ms", "SlowResponses", APP, quantile(0.95, REQUESTS),
        "<service_name> answers slowly: 95 % of its requests take up to <value>, the limit is <limit>",
        "Look which endpoint it is and what its time goes to: its queries, calls to other services, or its own code.",
        "endpoints?sort=p95&service=", f"60 * {per_second(f'{REQUESTS}_count')} >= 5",
    ),
    Figure(
        "error_rate_percent", "FailingRequests", APP,
        pooled(_failed("<W>"), _failed(POOL), 10),
        "<value> of the requests to <service_name> fail, the limit is <limit>",
        "Look which endpoint fails with what error, and whether a release or a service that it calls came before it.",
        "endpoints?sort=errors&service=",
    ),
    Figure(
        "health_check", "HealthCheckFailed", APP,
        "min by (service_name) "
        + nested('up{service_name!=""}\nor ' + nested(f"{counted(UNWELL, window='2m')} == bool 0")),
        "<service_name> fails its health check, or cannot be scraped",
        "Look whether its process runs and what it says at its start; then ask its health route yourself.",
    ),
    Figure(
        "event_loop_lag_p99_ms", "BlockedEventLoop", APP,
        "max by (service_name) (\n  "
        f"{quantile(0.99, '<ns>_eventloop_lag_seconds', 'service_name, service_instance_id, instance')}\n)",
        "An event loop of <service_name> runs what is ready <value> late (p99), the limit is <limit>",
        "Something blocks the loop: look for synchronous calls and long computations in coroutines.",
    ),
    Figure(
        "gc_pause_percent", "LongGarbageCollection", APP,
        "max by (service_name) (\n  "
        f"{per_second('<ns>_gc_pause_seconds_sum', 'service_name, service_instance_id, instance')}\n)",
        "The garbage collector stops a process of <service_name> for <value> of the time, the limit is <limit>",
        "Look at the number of collections and of objects; PERFAGENT_GC_THRESHOLD makes the collector run less often.",
    ),
    Figure(
        "restarts", "ProcessesEndYoung", APP,
        f"{RESETS}\n+ {or_nothing(YOUNG, RESETS)}",
        "<value> processes of <service_name> ended within 15 minutes, soon after their start; the limit is <limit>",
        "Look at the last words of a process that ended: its log, its exit status, and whether it ran out of memory.",
    ),
    Figure(
        "page_load_ms", "SlowPages", APP, f"{quantile(0.95, 'browser_web_vital_lcp_milliseconds')} / 1000",
        "Pages of <service_name> are slow: the largest content appears after up to <value> (p95), the limit is <limit>",
        "Look which page it is, and whether the server or the browser takes the time.",
    ),
    Figure(
        "cpu_usage_percent", "CpuNearlyUsedUp", RESOURCE,
        "(\n"
        "  1 - sum by (service_name, host_name) (rate(system_cpu_time_seconds_total{state=~\"idle|wait\"}[<W>]))\n"
        "    / sum by (service_name, host_name) (rate(system_cpu_time_seconds_total[<W>]))\n"
        # A process that has ended would count for as long as Prometheus looks back, beside the one in its place.
        ")\nor sum by (service_name, host_name) (last_over_time(process_cpu_utilization_ratio[<W>]))",
        "<value> of the CPU is used on <host_name>, as <service_name> tells; the limit is <limit>",
        "Look which process uses it, and which endpoints are called more than before.",
        by="service_name, host_name",
    ),
    Figure(
        "memory_usage_percent", "MemoryNearlyUsedUp", RESOURCE,
        "max by (service_name, host_name) (\n"
        f"  max by ({PROCESS}, host_name) (process_memory_usage_bytes)\n"
        f"  / min by ({PROCESS}, host_name) ({{__name__=~\"(container|process)_memory_limit_bytes\"}})\n"
        ")\nor (\n"
        "  sum by (service_name, host_name) (system_memory_usage_bytes{state=\"used\"})\n"
        # The slabs are part of other states already.
        "  / sum by (service_name, host_name) (system_memory_usage_bytes{state!~\"slab_.*\"})\n"
        ")",
        "<value> of the memory is used on <host_name>, as <service_name> tells; the limit is <limit>",
        "Look which process grows, and since when: a leak grows steadily, a cache until it is full.",
        by="service_name, host_name",
    ),
    Figure(
        "disk_usage_percent", "DiskNearlyFull", RESOURCE,
        "max by (service_name, host_name, mountpoint) (\n"
        f"  sum by (service_name, host_name, mountpoint, device) (system_filesystem_usage_bytes"
        f"{FILE_SYSTEM[:-1]},state=\"used\"}})\n"
        # Nobody but root has what is reserved (5 % of ext4): without it the file system is full.
        f"  / sum by (service_name, host_name, mountpoint, device) (system_filesystem_usage_bytes"
        f"{FILE_SYSTEM[:-1]},state=~\"used|free\"}})\n"
        ")",
        "<value> of <mountpoint> on <host_name> is used, the limit is <limit>",
        "Look what grew: logs, spools, old releases; then at the rate that it grows by.",
        by="service_name, host_name, mountpoint",
    ),
    Figure(
        "database_time_average_ms", "SlowDatabase", DATABASE,
        f"{per_second(f'{QUERIES}_sum{NO_CACHE}')}\n/ {per_second(f'{QUERIES}_count{NO_CACHE}')}",
        "The database answers <service_name> in <value> on average, the limit is <limit>",
        "Look which statements take most time in all, then at the database itself: locks, load, missing indexes.",
        "queries?service=", f"60 * {per_second(f'{QUERIES}_count{NO_CACHE}')} >= 5",
    ),
    Figure(
        "slow_query_ms", "SlowQuery", DATABASE,
        # The upper bound of the last bucket that holds anything: what was longest took up to that.
        f"histogram_quantile(1, {total(f'{QUERIES}_bucket{NO_CACHE}', 'service_name, le')})",
        "A statement of <service_name> took up to <value>, the limit is <limit>",
        "Look which statement it was and who ran it; EXPLAIN tells whether an index is missing.",
        "queries?sort=p95&service=",
    ),
    Figure(
        "database_pool_percent", "ConnectionPoolNearlyUsedUp", DATABASE,
        "max by (service_name, db_client_connection_pool_name) (\n"
        f"  sum by ({POOL_OF}) (db_client_connection_count{{db_client_connection_state=\"used\"}})\n"
        f"  / sum by ({POOL_OF}) (db_client_connection_max)\n"
        ")",
        "<value> of the connections that a pool of <service_name> may open are used, the limit is <limit>",
        "Look whether statements or transactions take longer than before, then whether connections are given back.",
        "queries?service=", by="service_name, db_client_connection_pool_name",
    ),
    Figure(
        "replication_lag_ms", "ReplicaBehind", DATABASE, "max by (service_name) (replication_lag_seconds)",
        "A replica is <value> behind, as <service_name> sees it; the limit is <limit>",
        "Look at the load of the replica and at long transactions on the primary; read from the primary meanwhile.",
        "queries?service=",
    ),
    Figure(
        "cache_hit_rate_percent", "CacheHardlyHit", CACHE,
        pooled(_lookups("<W>"), _lookups(POOL), 100),
        "Only <value> of the look-ups in the caches of <service_name> find something, the limit is <limit>",
        "Look whether keys have changed, entries expire too soon, or the cache is too small for what is asked for.",
        "caches?service=",
    ),
    Figure(
        "deprecated_calls_per_minute", "DeprecatedCodeCalled", DEPRECATION,
        total(DEPRECATED, "service_name, function", "1m"),
        "<service_name> calls the deprecated <function>",
        "Look who calls it, by file and line, and what the deprecation says to use instead.",
        "deprecations?service=", by="service_name, function",
    ),
    Figure(
        "deprecated_calls_growth_percent", "DeprecatedCallsGrow", DEPRECATION,
        f"sum by (service_name, function) (increase({DEPRECATED}[1h]))\n"
        f"/ (sum by (service_name, function) (increase({DEPRECATED}[1h] offset 1h)) > 0)\n- 1",
        "<service_name> calls the deprecated <function> <value> more often than an hour ago, the limit is <limit>",
        "Look for a new caller: what was released within the last two hours?",
        "deprecations?service=", f"{counted(DEPRECATED, 'service_name, function', '1h')} >= 20\n"
        # A service that has just begun has no hour before.
        f"and sum by (service_name, function) ({DEPRECATED} offset 2h)",
        "service_name, function",
    ),
    Figure(
        "open_breakers", "CircuitBreakerOpen", BREAKER,
        # Whatever opens is tried (half open) before anything else, so what was opened once more often is open now.
        f"sum by (service_name, name) ({OPENED})\n"
        f"- {or_nothing(f'sum by (service_name, name) ({TRIED})', f'sum by (service_name, name) ({OPENED})')}",
        "The circuit breaker <name> of <service_name> is open: calls fail at once",
        "Look at what it protects: is that service down, slow, or refusing? Once it is well, the breaker closes.",
        "overview?service=",
        # A breaker that somebody closed by hand would count as open for ever.
        f"sum by (service_name, name) ({OPENED}) != "
        + or_nothing(f"sum by (service_name, name) ({OPENED} offset 1h)", f"sum by (service_name, name) ({OPENED})"),
        "service_name, name",
    ),
    Figure(
        "error_budget_remaining_percent", "ErrorBudgetNearlySpent", BUDGET,
        # Processes that share a budget tell the same; who does not tell how much it was has begun with it.
        nested(
            "min by (service_name, service) (service_error_budget_remaining)\n"
            "/ max by (service_name, service) (service_error_budget_limit)\n"
            "or sum by (service_name, service) (service_error_budget_remaining)\n/ " + nested(
                "sum by (service_name, service) (service_error_budget_remaining)\n"
                "+ sum by (service_name, service) (service_errors_total)"
            )
        ),
        "<value> of the error budget of <service> is left, as <service_name> counts; the limit is <limit>",
        "Stop risky releases, and look what makes most of the errors.",
        "endpoints?sort=errors&service=", by="service_name, service",
    ),
    Figure(
        "telemetry_dropped_percent", "TelemetryLost", TELEMETRY,
        pooled(_lost("<W>"), _lost(POOL), 1),
        "The agents of <service_name> lose <value> of their telemetry: figures are too low",
        "Look at the label `reason` of perfagent_telemetry_dropped_total: is the receiver down, slow, or refusing?",
    ),
    Figure(
        "telemetry_silence_minutes", "ServiceSilent", TELEMETRY,
        f"(time() - max by (service_name) (max_over_time(timestamp({UPTIME})[1h:1m]))) / 60",
        "<service_name> has sent nothing for <value> minutes",
        "Look whether it runs, and was meant to; if it runs, `perfagent doctor` there tells what stops its telemetry.",
    ),
    Figure(
        "collector_lost_items_per_minute", "CollectorLosesTelemetry", TELEMETRY,
        items_per_minute(
            EXPORTER,
            # A load balancer counts each attempt, and keeps the items: it loses what its queue has no room for.
            {"otelcol_exporter_send_failed": '{exporter!~"load_balancing.*"}', "otelcol_exporter_enqueue_failed": ""},
        ),
        "<service_name> <instance> loses <value> items a minute that <exporter> could not take",
        "Look at its log for what the receiver answers: wrong address, refused, or too large.",
        by=EXPORTER,
    ),
    Figure(
        "collector_refused_items_per_minute", "CollectorRefusesTelemetry", TELEMETRY,
        items_per_minute("service_name, instance", {"otelcol_receiver_refused": ""}),
        "<service_name> <instance> refuses <value> items a minute; their senders keep them until their queues are full",
        "Look at its memory and its queues: what it sends to is slow, or it needs more memory, or another beside it.",
        by="service_name, instance",
    ),
    Figure(
        "collector_queue_percent", "CollectorQueueNearlyFull", TELEMETRY,
        f"max by ({EXPORTER}) (otelcol_exporter_queue_size)\n"
        f"/ (max by ({EXPORTER}) (otelcol_exporter_queue_capacity) > 0)",
        "The queue of <exporter> in <service_name> <instance> is <value> full, the limit is <limit>",
        "Look at what it sends to: once that answers, the queue empties; once the queue is full, telemetry is lost.",
        by=EXPORTER,
    ),
)  # fmt: skip
