"""Load test: whether consumers keep up with what is produced, and how long a message takes."""

from __future__ import annotations

from tools.dashboards.boards.shared import RATE, mean, quantile, rate
from tools.dashboards.parts import Board, Figure, Graph, Heatmap, Row, Variable

SENT, CONSUMED = "messaging_client_sent_messages_total", "messaging_client_consumed_messages_total"
DURATION, WAIT, LATENCY = (
    "messaging_process_duration_seconds",
    "<ns>_messaging_wait_seconds",
    "<ns>_messaging_latency_seconds",
)
OF_TOPIC = '<process>, messaging_destination_name=~"$topic"'
TOPIC, GROUP = "messaging_destination_name", "messaging_consumer_group_name"
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
                    "Messages that consumers processed in a minute. A load test passes from 2,500 on.",
                    width=6,
                ),
                Figure(
                    "Mean latency",
                    "s",
                    {"": mean(LATENCY, OF_TOPIC)},
                    "Mean time from when a message is made until it has been processed. A load test passes below 1 s.",
                    width=6,
                ),
                Figure(
                    "p95 latency",
                    "s",
                    {"": quantile(0.95, LATENCY, OF_TOPIC)},
                    "The 95th percentile of the time from when a message is made until it has been processed.",
                    width=6,
                ),
                Figure(
                    "Left behind",
                    "short",
                    {
                        "": f"clamp_min(sum (increase({SENT}{{{OF_TOPIC}}}[$__range])) "
                        f"- min (sum by ({GROUP}) (increase({CONSUMED}{{{OF_TOPIC}}}[$__range]))), 0)"
                    },
                    "Messages sent in the whole range that the slowest consumer group has not taken.",
                    width=6,
                ),
                Graph(
                    "Do consumers keep up?",
                    "cps",
                    {
                        "produced {{messaging_destination_name}}": rate(SENT, OF_TOPIC, TOPIC),
                        "taken {{messaging_destination_name}} {{messaging_consumer_group_name}}": rate(
                            CONSUMED, OF_TOPIC, f"{TOPIC}, {GROUP}"
                        ),
                        "processed {{messaging_destination_name}} {{messaging_consumer_group_name}}": rate(
                            f"{DURATION}_count", OF_TOPIC, f"{TOPIC}, {GROUP}"
                        ),
                    },
                    "Messages a second. Where the lines part, a backlog grows.",
                    width=12,
                ),
                Graph(
                    "How long does a message take?",
                    "s",
                    {
                        f"{{{{service_name}}}} {{{{messaging_destination_name}}}} p{q:g}": quantile(
                            q / 100, LATENCY, OF_TOPIC, f"service_name, {TOPIC}"
                        )
                        for q in (50, 95, 99)
                    },
                    "Percentiles of the time from when a message is made until it has been processed.",
                    width=12,
                    traces=TRACES,
                ),
                Heatmap(
                    "How are durations spread?",
                    "s",
                    {"{{le}}": f"sum by (le) (increase({LATENCY}_bucket{{{OF_TOPIC}}}{RATE}))"},
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
                    "Where does the time go?",
                    "s",
                    {
                        "{{service_name}} waiting": mean(WAIT, OF_TOPIC, "service_name"),
                        "{{service_name}} processing": mean(DURATION, OF_TOPIC, "service_name"),
                    },
                    "Mean time until a message is received, then until it is processed. Waiting that grows: too few "
                    "consumers or partitions.",
                ),
                Graph(
                    "How much CPU do the consumers use?",
                    "percentunit",
                    {
                        "{{service_name}}": "sum by (service_name) (process_cpu_utilization_ratio{<process>}) "
                        f"and on (service_name) sum by (service_name) (rate({DURATION}_count{{{OF_TOPIC}}}{RATE}))"
                    },
                    "CPU of the services that process messages.",
                    limit="cpu_usage_percent",
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
                    empty="no errors",
                    traces={"error": '"true"'},
                ),
            ),
        ),
    ),
)
