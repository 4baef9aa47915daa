"""Load test: whether consumers keep up with what is produced, and how long a message takes."""

from __future__ import annotations

from tools.dashboards.boards.shared import RATE, mean, quantile, rate
from tools.dashboards.parts import Board, Figure, Graph, Heatmap, Row, Variable

SENT, CONSUMED = "messaging_client_sent_messages_total", "messaging_client_consumed_messages_total"
DURATION = "messaging_process_duration_seconds"
OF_TOPIC = '<process>, messaging_destination_name=~"$topic"'
TOPIC = "messaging_destination_name"
TRACES = {"messaging.destination.name": TOPIC}

BOARD = Board(
    uid="perfagent-load",
    title="Load-test throughput",
    tells="What `perfagent load kafka` produces, what the consumers process of it, and how long that takes.",
    variables=(Variable("topic", "Topic", f"label_values({DURATION}_count{{<process>}}, messaging_destination_name)"),),
    rows=(
        Row(
            "Throughput",
            (
                Figure(
                    "Processed a minute",
                    "short",
                    {"": f"60 * {rate(f'{DURATION}_count', OF_TOPIC)}"},
                    "Messages that consumers processed in a minute.",
                    width=6,
                ),
                Figure(
                    "Mean latency",
                    "s",
                    {"": mean(DURATION, OF_TOPIC)},
                    "Mean time that processing a message takes.",
                    width=6,
                ),
                Figure(
                    "p95 duration",
                    "s",
                    {"": quantile(0.95, DURATION, OF_TOPIC)},
                    "The 95th percentile of the time that processing a message takes.",
                    width=6,
                ),
                Figure(
                    "Left behind",
                    "short",
                    {
                        "": f"clamp_min(sum (increase({SENT}{{{OF_TOPIC}}}[$__range])) "
                        f"- sum (increase({CONSUMED}{{{OF_TOPIC}}}[$__range])), 0)"
                    },
                    "Messages sent and not consumed, over the whole range.",
                    width=6,
                ),
                Graph(
                    "Do consumers keep up?",
                    "cps",
                    {
                        "produced {{messaging_destination_name}}": rate(SENT, OF_TOPIC, TOPIC),
                        "consumed {{messaging_destination_name}}": rate(CONSUMED, OF_TOPIC, TOPIC),
                        "processed {{messaging_destination_name}}": rate(f"{DURATION}_count", OF_TOPIC, TOPIC),
                    },
                    "Messages a second. Where the lines part, a backlog grows.",
                    width=12,
                ),
                Graph(
                    "How long does a message take?",
                    "s",
                    {
                        f"{{{{service_name}}}} {{{{messaging_destination_name}}}} p{q:g}": quantile(
                            q / 100, DURATION, OF_TOPIC, f"service_name, {TOPIC}"
                        )
                        for q in (50, 95, 99)
                    },
                    "Percentiles of the time that processing takes.",
                    width=12,
                    traces=TRACES,
                ),
                Heatmap(
                    "How are durations spread?",
                    "s",
                    {"{{le}}": f"sum by (le) (increase({DURATION}_bucket{{{OF_TOPIC}}}{RATE}))"},
                    "How many messages took how long.",
                    width=12,
                ),
                Graph(
                    "Which consumers do the work?",
                    "cps",
                    {
                        "{{service_name}} {{service_instance_id}}": rate(
                            f"{DURATION}_count", OF_TOPIC, "service_name, service_instance_id"
                        )
                    },
                    "Messages a second by consumer. Uneven is a key that most messages share.",
                    stacked=True,
                    width=12,
                ),
            ),
        ),
        Row(
            "What it costs",
            (
                Graph(
                    "How much CPU do the consumers use?",
                    "percentunit",
                    {
                        "{{service_name}}": "sum by (service_name) (process_cpu_utilization_ratio{<process>}) "
                        f"and on (service_name) sum by (service_name) (rate({DURATION}_count{{{OF_TOPIC}}}{RATE}))"
                    },
                    "CPU of the services that process messages.",
                    limit="cpu_usage_percent",
                    width=12,
                ),
                Graph(
                    "Do consumers fail?",
                    "cps",
                    {
                        "{{service_name}} {{error_type}}": rate(
                            f"{DURATION}_count", f'{OF_TOPIC}, error_type!=""', "service_name, error_type"
                        )
                    },
                    "Messages a second whose processing raised an error.",
                    width=12,
                    empty="no errors",
                    traces={"error": '"true"'},
                ),
            ),
        ),
    ),
)
