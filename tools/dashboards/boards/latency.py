"""Latency: how long requests take, which routes are slow, how many fail, and how fast the error budget burns."""

from __future__ import annotations

from tools.dashboards.boards.shared import RATE, REQUESTS, failing, quantile, rate, share
from tools.dashboards.parts import Board, Figure, Graph, Heatmap, Row, Table, Variable

ROUTED = '<process>, http_route=~"$route"'
ROUTE = "service_name, http_route"
SERVER = '<service>, span_kind="SPAN_KIND_SERVER"'
OUTGOING = '<service>, span_kind="SPAN_KIND_CLIENT", db_system_name=""'
SPANS = "traces_span_metrics_duration_seconds"
TRACES = {"http.route": "http_route"}

# 4 x 0.5 s would be 2 s, which is no bound of the histogram; the next one is.
APDEX = (
    f'(sum (rate({REQUESTS}_bucket{{{ROUTED}, le="0.5"}}{RATE})) '
    f'+ sum (rate({REQUESTS}_bucket{{{ROUTED}, le="2.5"}}{RATE}))) / 2 '
    f"/ (sum (rate({REQUESTS}_count{{{ROUTED}}}{RATE})) > 0)"
)

BURN = (
    'max by (service_name, slo) (slo:error_ratio:rate{window}{{service_name=~"$service_name"}})'
    ' / max by (service_name, slo) (slo:error_budget:ratio{{service_name=~"$service_name"}})'
)
OPERATION = "service_name, span_name"
CALLS = rate("traces_span_metrics_calls_total", SERVER, OPERATION)
FAILED = rate("traces_span_metrics_calls_total", f'{SERVER}, status_code="STATUS_CODE_ERROR"', OPERATION)

BOARD = Board(
    uid="perfagent-latency",
    title="Latency",
    tells="How long requests take, by service and route; which are slow, which fail, and since when.",
    variables=(Variable("route", "Route", f"label_values({REQUESTS}_count{{<process>}}, http_route)"),),
    rows=(
        Row(
            "Requests",
            (
                Figure("Requests", "reqps", {"": rate(f"{REQUESTS}_count", ROUTED)}, "Requests answered in a second."),
                Figure(
                    "Failing",
                    "percentunit",
                    {"": failing(labels=ROUTED)},
                    "Share of the requests that were answered with a 5xx. Client errors (4xx) do not count.",
                    limit="error_rate_percent",
                ),
                Figure(
                    "Median duration",
                    "s",
                    {"": quantile(0.5, REQUESTS, ROUTED)},
                    "The median duration of a request.",
                    limit="response_time_p95_ms",
                ),
                Figure(
                    "p95 duration",
                    "s",
                    {"": quantile(0.95, REQUESTS, ROUTED)},
                    "The 95th percentile of the duration of a request.",
                    limit="response_time_p95_ms",
                ),
                Figure(
                    "p99 duration",
                    "s",
                    {"": quantile(0.99, REQUESTS, ROUTED)},
                    "The 99th percentile of the duration of a request.",
                    limit="response_time_p95_ms",
                ),
                Figure(
                    "Apdex",
                    "none",
                    {"": APDEX},
                    "1 where everyone is satisfied (at most 0.5 s); who waits for at most 2.5 s counts half. "
                    "Failed requests count as what they took.",
                    most=1,
                ),
                Graph(
                    "How many requests come in?",
                    "reqps",
                    {"{{service_name}} {{http_route}}": rate(f"{REQUESTS}_count", ROUTED, ROUTE)},
                    "Requests a second, by route. A fall without a cause here has one in front of the service.",
                    traces=TRACES,
                    empty="no requests in this time",
                ),
                Graph(
                    "Which routes fail?",
                    "percentunit",
                    {"{{service_name}} {{http_route}}": failing(ROUTE, ROUTED)},
                    "Share of each route's requests that were answered with a 5xx.",
                    limit="error_rate_percent",
                    traces={"http.route": "http_route", "error": '"true"'},
                    empty="no requests in this time",
                ),
                Graph(
                    "Which routes are slow?",
                    "s",
                    {"{{service_name}} {{http_route}}": quantile(0.95, REQUESTS, ROUTED, ROUTE)},
                    "The 95th percentile of the duration, by route. A point leads to a trace that was that slow.",
                    limit="response_time_p95_ms",
                    traces=TRACES,
                    empty="no requests in this time",
                ),
            ),
        ),
        Row(
            "Objectives",
            (
                Graph(
                    "How fast do error budgets burn?",
                    "none",
                    {"{{slo}} over 1 h": BURN.format(window="1h"), "{{slo}} over 6 h": BURN.format(window="6h")},
                    "How many times faster than the objective allows. At 1 the budget lasts as long as it should; "
                    "at 14.4 it is gone in two days.",
                    limit="slo_burn",
                    empty="no objective for these services",
                ),
                Graph(
                    "How much of the budgets is left?",
                    "percentunit",
                    {"{{slo}}": f"clamp_min(1 - {BURN.format(window='3d')} * 3 / 30, 0)"},
                    "Of what a month allows, after the last three days alone.",
                    limit="error_budget_remaining_percent",
                    most=1,
                    empty="no objective for these services",
                ),
                Graph(
                    "Which objectives are missed?",
                    "percentunit",
                    {"{{slo}}": 'max by (service_name, slo) (slo:error_ratio:rate1h{service_name=~"$service_name"})'},
                    "Share of bad requests in the last hour: failed, or slower than the objective says.",
                    traces={"error": '"true"'},
                    empty="no objective for these services",
                ),
            ),
        ),
        Row(
            "Distribution",
            (
                Heatmap(
                    "How are durations spread?",
                    "s",
                    {"{{le}}": f"sum by (le) (increase({REQUESTS}_bucket{{{ROUTED}}}{RATE}))"},
                    "How many requests took how long. Two bands are two kinds of requests: hits and misses of a cache.",
                    width=12,
                    empty="no requests in this time",
                ),
                Graph(
                    "How long do requests take?",
                    "s",
                    {f"p{q:g}": quantile(q / 100, REQUESTS, ROUTED) for q in (50, 90, 95, 99)},
                    "Percentiles of all selected requests. A p99 that leaves the p50 is a few requests that wait; both "
                    "together is all of them.",
                    limit="response_time_p95_ms",
                    width=12,
                    empty="no requests in this time",
                ),
                Table(
                    "Routes",
                    "s",
                    {
                        "total": f"sum by ({ROUTE}) (increase({REQUESTS}_sum{{{ROUTED}}}[$__range]))",
                        "requests": f"sum by ({ROUTE}) (increase({REQUESTS}_count{{{ROUTED}}}[$__range]))",
                        "p95": f"histogram_quantile(0.95, sum by (le, {ROUTE}) "
                        f"(increase({REQUESTS}_bucket{{{ROUTED}}}[$__range])))",
                    },
                    "The routes that took the most time altogether: where a second saved is saved most often.",
                    labels={"service_name": "service", "http_route": "route"},
                    units={"requests": "short", "p95": "s"},
                    limits={"p95": "response_time_p95_ms"},
                ),
            ),
        ),
        Row(
            "Around the requests",
            (
                Graph(
                    "How many requests are under way?",
                    "short",
                    {"{{service_name}}": "sum by (service_name) (http_server_active_requests{<process>})"},
                    "Requests that have begun and not ended. A rise at the same rate is a queue.",
                ),
                Graph(
                    "How large are the answers?",
                    "bytes",
                    {
                        "{{service_name}} {{http_route}}": quantile(
                            0.95, "http_server_response_body_size_bytes", ROUTED, ROUTE
                        )
                    },
                    "The 95th percentile of the size of the bodies, by route.",
                ),
                Graph(
                    "How long do others take to answer?",
                    "s",
                    {
                        "{{service_name}} → {{server_address}}": quantile(
                            0.95, "http_client_request_duration_seconds", by="service_name, server_address"
                        )
                    },
                    "The 95th percentile of the HTTP requests that the services make.",
                    limit="response_time_p95_ms",
                    traces={"server.address": "server_address", "span.kind": '"client"'},
                    empty="no requests to others in this time",
                ),
            ),
        ),
        Row(
            "From spans",
            (
                Graph(
                    "Which operations are busy?",
                    "reqps",
                    {"{{service_name}} {{span_name}}": CALLS},
                    "Server spans a second, before sampling, from services in any language.",
                    traces={},
                ),
                Graph(
                    "Which operations fail?",
                    "percentunit",
                    {"{{service_name}} {{span_name}}": share(FAILED, CALLS)},
                    "Share of the server spans with an error.",
                    limit="error_rate_percent",
                    traces={"error": '"true"'},
                ),
                Graph(
                    "Which operations are slow?",
                    "s",
                    {"{{service_name}} {{span_name}}": quantile(0.95, SPANS, SERVER, OPERATION)},
                    "The 95th percentile of the server spans.",
                    limit="response_time_p95_ms",
                    traces={},
                ),
                Graph(
                    "What do services wait for?",
                    "s",
                    {"{{service_name}} {{span_name}}": rate(f"{SPANS}_sum", OUTGOING, OPERATION)},
                    "Seconds a second spent in calls to others, by client span; databases have their own dashboard.",
                    stacked=True,
                    width=24,
                    traces={},
                ),
            ),
        ),
    ),
)
