"""Database: which statements take the time, by system, operation and collection; pools, errors, replication."""

from __future__ import annotations

from tools.dashboards.boards.shared import RATE, REQUESTS, mean, quantile, rate, share
from tools.dashboards.parts import Board, Figure, Graph, Heatmap, Row, Table, Variable

DURATION = "db_client_operation_duration_seconds"
CHOSEN = '<process>, db_system_name=~"$system"'
SPANS = '<service>, span_kind="SPAN_KIND_CLIENT", db_system_name=~"$system", db_system_name!=""'
STATEMENT = "service_name, db_system_name, db_operation_name, db_collection_name"
LEGEND = "{{service_name}} {{db_operation_name}} {{db_collection_name}}"
TRACES = {
    "db.system.name": "db_system_name",
    "db.operation.name": "db_operation_name",
    "db.collection.name": "db_collection_name",
}
FAILED = rate(f"{DURATION}_count", f'{CHOSEN}, error_type!=""', "service_name, db_system_name")
POOL = "service_name, db_client_connection_pool_name"

BOARD = Board(
    uid="perfagent-database",
    title="Database",
    tells="Which statements take the time, and whether connections run out.",
    variables=(Variable("system", "System", f"label_values({DURATION}_count{{<process>}}, db_system_name)"),),
    rows=(
        Row(
            "Statements",
            (
                Figure("Statements", "ops", {"": rate(f"{DURATION}_count", CHOSEN)}, "Statements in a second."),
                Figure(
                    "Mean duration",
                    "s",
                    {"": mean(DURATION, CHOSEN)},
                    "Mean duration of a statement.",
                    limit="database_time_average_ms",
                ),
                Figure(
                    "p99 duration",
                    "s",
                    {"": quantile(0.99, DURATION, CHOSEN)},
                    "The 99th percentile of the duration of a statement.",
                    limit="slow_query_ms",
                ),
                Figure(
                    "Failing",
                    "percentunit",
                    {
                        "": share(
                            rate(f"{DURATION}_count", f'{CHOSEN}, error_type!=""'), rate(f"{DURATION}_count", CHOSEN)
                        )
                    },
                    "Share of the statements that raised an error.",
                    limit="error_rate_percent",
                ),
                Figure(
                    "Statements a request",
                    "none",
                    {"": f"{rate(f'{DURATION}_count', CHOSEN)} / ({rate(f'{REQUESTS}_count')} > 0)"},
                    "How many statements a request runs on average. A rise is a loop that asks row by row (N+1).",
                ),
                Figure(
                    "Connections in use",
                    "percentunit",
                    {
                        "": "max (sum by (service_name, service_instance_id, db_client_connection_pool_name) "
                        '(db_client_connection_count{<process>, db_client_connection_state="used"}) / '
                        "sum by (service_name, service_instance_id, db_client_connection_pool_name) "
                        "(db_client_connection_max{<process>} > 0))"
                    },
                    "Of those that the fullest pool may open.",
                    limit="database_pool_percent",
                    most=1,
                ),
                Graph(
                    "How many statements run?",
                    "ops",
                    {
                        "{{service_name}} {{db_system_name}}": rate(
                            f"{DURATION}_count", CHOSEN, "service_name, db_system_name"
                        )
                    },
                    "Statements a second, by service and database system.",
                    traces={"db.system.name": "db_system_name"},
                ),
                Graph(
                    "How long do statements take?",
                    "s",
                    {
                        "{{service_name}} {{db_system_name}} p95": quantile(
                            0.95, DURATION, CHOSEN, "service_name, db_system_name"
                        ),
                        "{{service_name}} {{db_system_name}} mean": mean(
                            DURATION, CHOSEN, "service_name, db_system_name"
                        ),
                    },
                    "The 95th percentile and the mean, by service and database system.",
                    limit="database_time_average_ms",
                    traces={"db.system.name": "db_system_name"},
                ),
                Graph(
                    "Which databases fail?",
                    "percentunit",
                    {
                        "{{service_name}} {{db_system_name}}": share(
                            FAILED, rate(f"{DURATION}_count", CHOSEN, "service_name, db_system_name")
                        )
                    },
                    "Share of the statements that raised an error.",
                    limit="error_rate_percent",
                    traces={"db.system.name": "db_system_name", "error": '"true"'},
                ),
            ),
        ),
        Row(
            "By operation and collection",
            (
                Graph(
                    "Where does the time go?",
                    "s",
                    {LEGEND: f"topk(10, {rate(f'{DURATION}_sum', CHOSEN, STATEMENT)})"},
                    "Seconds a second spent in each kind of statement; 1 is one connection that is always busy.",
                    stacked=True,
                    width=12,
                    traces=TRACES,
                ),
                Graph(
                    "Which statements are slow?",
                    "s",
                    {LEGEND: f"topk(10, {quantile(0.95, DURATION, CHOSEN, STATEMENT)})"},
                    "The 95th percentile by operation and collection, the ten slowest.",
                    limit="slow_query_ms",
                    width=12,
                    traces=TRACES,
                ),
                Table(
                    "Statements by time",
                    "s",
                    {
                        "total": f"topk(25, sum by ({STATEMENT}) (increase({DURATION}_sum{{{CHOSEN}}}[$__range])))",
                        "calls": f"sum by ({STATEMENT}) (increase({DURATION}_count{{{CHOSEN}}}[$__range]))",
                        "p95": f"histogram_quantile(0.95, sum by (le, {STATEMENT}) "
                        f"(increase({DURATION}_bucket{{{CHOSEN}}}[$__range])))",
                    },
                    "What took the most time altogether: where an index or a cache pays.",
                    labels={
                        "service_name": "service",
                        "db_system_name": "system",
                        "db_operation_name": "operation",
                        "db_collection_name": "collection",
                    },
                    units={"calls": "short", "p95": "s"},
                    limits={"p95": "slow_query_ms"},
                ),
                Heatmap(
                    "How are durations spread?",
                    "s",
                    {"{{le}}": f"sum by (le) (increase({DURATION}_bucket{{{CHOSEN}}}{RATE}))"},
                    "How many statements took how long.",
                    width=12,
                ),
                Graph(
                    "Which queries take the time?",
                    "s",
                    {
                        "{{service_name}} {{db_query_summary}}": "topk(10, "
                        + rate("traces_span_metrics_duration_seconds_sum", SPANS, "service_name, db_query_summary")
                        + ")"
                    },
                    "Seconds a second by the summary of the query, from spans before sampling.",
                    stacked=True,
                    width=12,
                    traces={"db.query.summary": "db_query_summary"},
                ),
            ),
        ),
        Row(
            "Connections",
            (
                Graph(
                    "Are the pools used up?",
                    "percentunit",
                    {
                        "{{service_name}} {{db_client_connection_pool_name}}": (
                            f"sum by ({POOL}) (db_client_connection_count"
                            '{<process>, db_client_connection_state="used"}) '
                            f"/ sum by ({POOL}) (db_client_connection_max{{<process>}} > 0)"
                        )
                    },
                    "Connections in use of those that the pools may open. At 100 % requests wait for one.",
                    limit="database_pool_percent",
                    most=1,
                    empty="no pool in these services",
                ),
                Graph(
                    "Connections",
                    "short",
                    {
                        "{{service_name}} {{db_client_connection_pool_name}} {{db_client_connection_state}}": (
                            f"sum by ({POOL}, db_client_connection_state) (db_client_connection_count{{<process>}})"
                        )
                    },
                    "Connections of the pools, in use and idle.",
                    stacked=True,
                    empty="no pool in these services",
                ),
                Graph(
                    "How far behind are the replicas?",
                    "s",
                    {"{{service_name}}": "max by (service_name) (replication_lag_seconds{<process>})"},
                    "Seconds that a replica is behind its primary: what a reader there does not see yet.",
                    limit="replication_lag_ms",
                    empty="no replica is watched",
                ),
            ),
        ),
    ),
)
