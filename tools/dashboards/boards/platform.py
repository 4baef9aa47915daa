"""The platform on one page: is it healthy, which service is not, and what it stands on."""

from __future__ import annotations

from tools.dashboards.boards.shared import REQUESTS, failing, hit_ratio, mean, quantile, rate
from tools.dashboards.parts import Board, Figure, Graph, Row, Table

DATABASE = "db_client_operation_duration_seconds"
SIGNALS = {"spans": "spans", "points": "metric_points", "logs": "log_records"}


def collectors(counter: str, signal: str) -> str:
    """What the Collectors count of a signal per second; the end of the name depends on how they are scraped."""
    return rate("", f'__name__=~"otelcol_{counter}_{signal}(_total)?"', "instance")


BOARD = Board(
    uid="perfagent-platform",
    title="Platform",
    tells="Every service at a glance: is it healthy, which one is not, and what it stands on.",
    rows=(
        Row(
            "Is it healthy?",
            (
                Figure("Requests", "reqps", {"": rate(f"{REQUESTS}_count")}, "Requests answered in a second."),
                Figure(
                    "Failing",
                    "percentunit",
                    {"": failing()},
                    "Share of the requests that were answered with a 5xx.",
                    limit="error_rate_percent",
                ),
                Figure(
                    "p95 duration",
                    "s",
                    {"": quantile(0.95, REQUESTS)},
                    "The 95th percentile of the duration of a request.",
                    limit="response_time_p95_ms",
                ),
                Figure(
                    "Alerts",
                    "short",
                    {"": 'count (ALERTS{alertstate="firing", service_name=~"$service_name|"}) or vector(0)'},
                    "Alerts that fire now, of the selected services and of the platform itself.",
                ),
                Figure(
                    "Processes",
                    "short",
                    {"": "count (count by (service_name, service_instance_id) (process_uptime_seconds{<process>}))"},
                    "Programs that report.",
                ),
                Figure(
                    "Deprecated calls",
                    "cps",
                    {"": f"{rate('deprecated_function_calls_total')} or vector(0)"},
                    "Calls of deprecated functions in a second.",
                ),
                Table(
                    "Services",
                    "reqps",
                    {
                        "rate": rate(f"{REQUESTS}_count", by="service_name"),
                        "failing": failing("service_name"),
                        "p95": quantile(0.95, REQUESTS, by="service_name"),
                        "database": mean(DATABASE, by="service_name"),
                        "CPU": "max by (service_name) (sum by (service_name, service_instance_id) "
                        "(process_cpu_utilization_ratio{<process>}))",
                        "memory": "sum by (service_name) (process_memory_usage_bytes{<process>})",
                    },
                    "One line a service, now. CPU is that of its busiest process.",
                    labels={"service_name": "service"},
                    units={
                        "failing": "percentunit",
                        "p95": "s",
                        "database": "s",
                        "CPU": "percentunit",
                        "memory": "bytes",
                    },
                    limits={
                        "failing": "error_rate_percent",
                        "p95": "response_time_p95_ms",
                        "database": "database_time_average_ms",
                        "CPU": "cpu_usage_percent",
                    },
                ),
            ),
        ),
        Row(
            "Services",
            (
                Graph(
                    "How many requests come in?",
                    "reqps",
                    {"{{service_name}}": rate(f"{REQUESTS}_count", by="service_name")},
                    "Requests a second, by service.",
                    traces={"span.kind": '"server"'},
                    empty="no requests in this time",
                ),
                Graph(
                    "Which services fail?",
                    "percentunit",
                    {"{{service_name}}": failing("service_name")},
                    "Share of the requests that were answered with a 5xx.",
                    limit="error_rate_percent",
                    traces={"error": '"true"'},
                    empty="no requests in this time",
                ),
                Graph(
                    "Which services are slow?",
                    "s",
                    {"{{service_name}}": quantile(0.95, REQUESTS, by="service_name")},
                    "The 95th percentile of the duration. A point leads to a trace that was that slow.",
                    limit="response_time_p95_ms",
                    traces={"span.kind": '"server"'},
                    empty="no requests in this time",
                ),
            ),
        ),
        Row(
            "What they stand on",
            (
                Graph(
                    "How long do databases take?",
                    "s",
                    {"{{service_name}} {{db_system_name}}": mean(DATABASE, by="service_name, db_system_name")},
                    "Mean duration of a statement.",
                    limit="database_time_average_ms",
                    traces={"db.system.name": "db_system_name"},
                ),
                Graph(
                    "Are caches hit?",
                    "percentunit",
                    {"{{service_name}} {{cache_system}}": hit_ratio("service_name, cache_system")},
                    "Share of the look-ups that found something.",
                    limit="cache_hit_rate_percent",
                    most=1,
                    empty="no look-ups in this time",
                ),
                Graph(
                    "Do event loops block?",
                    "s",
                    {"{{service_name}}": quantile(0.99, "<ns>_eventloop_lag_seconds", by="service_name")},
                    "The 99th percentile of how late an event loop ran what was ready.",
                    limit="event_loop_lag_p99_ms",
                    empty="no event loop in these services",
                ),
                Graph(
                    "How much CPU do they use?",
                    "percentunit",
                    {
                        "{{service_name}}": "max by (service_name) (sum by (service_name, service_instance_id) "
                        "(process_cpu_utilization_ratio{<process>}))"
                    },
                    "CPU of each service's busiest process, of all CPUs that it may use.",
                    limit="cpu_usage_percent",
                ),
                Graph(
                    "How much memory do they use?",
                    "bytes",
                    {"{{service_name}}": "sum by (service_name) (process_memory_usage_bytes{<process>})"},
                    "Physical memory, all processes of a service together.",
                    stacked=True,
                ),
                Graph(
                    "Which breakers open?",
                    "ops",
                    {
                        "{{service_name}} {{name}}": rate(
                            "circuit_breaker_state_transitions_total", '<process>, state="open"', "service_name, name"
                        )
                    },
                    "Circuit breakers that open, a second: what is behind them fails.",
                    empty="no breaker opened",
                ),
            ),
        ),
        Row(
            "The telemetry itself",
            (
                Graph(
                    "Do the collectors keep up?",
                    "percentunit",
                    {
                        "{{instance}} {{exporter}}": "max by (instance, exporter) "
                        "(otelcol_exporter_queue_size / (otelcol_exporter_queue_capacity > 0))"
                    },
                    "How full the queues on disk are. One that fills waits for a store that is slow or gone.",
                    limit="collector_queue_percent",
                    most=1,
                    empty="no Collector is scraped",
                ),
                Graph(
                    "What comes in?",
                    "cps",
                    {
                        f"{{{{instance}}}} {name}": collectors("receiver_accepted", metric)
                        for name, metric in SIGNALS.items()
                    },
                    "Spans, metric points and log records a second that the Collectors took.",
                    empty="no Collector is scraped",
                ),
                Graph(
                    "What is refused or lost?",
                    "cps",
                    {
                        f"{{{{instance}}}} {what} {name}": collectors(counter, metric)
                        for what, counter in (("refused", "receiver_refused"), ("lost", "exporter_send_failed"))
                        for name, metric in SIGNALS.items()
                    }
                    | {
                        "agent of {{service_name}}, {{reason}}": rate(
                            "perfagent_telemetry_dropped_total", by="service_name, reason"
                        )
                    },
                    "Refused: a Collector is short of memory, and senders try again. Lost: an export was given up. "
                    "Agent: what programs lost on their own.",
                    empty="nothing was refused or lost",
                ),
            ),
        ),
    ),
)
