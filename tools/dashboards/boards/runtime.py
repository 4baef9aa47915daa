"""Runtime: CPU, memory, garbage collection, event loops, threads, the machines, and the agent itself."""

from __future__ import annotations

from tools.dashboards.boards.shared import RATE, quantile, rate
from tools.dashboards.parts import Board, Figure, Graph, Heatmap, Row

PROCESS = "service_name, service_instance_id"
LEGEND = "{{service_name}} {{service_instance_id}}"
LAG, PAUSE = "<ns>_eventloop_lag_seconds", "<ns>_gc_pause_seconds"
HOST = 'deployment_environment_name=~"$environment", service_name="host"'

BOARD = Board(
    uid="perfagent-runtime",
    title="Runtime",
    tells="What the processes use of their machine, and what holds them up: garbage collection, blocked event loops.",
    rows=(
        Row(
            "Processes",
            (
                Figure(
                    "Processes",
                    "short",
                    {"": f"count (count by ({PROCESS}) (process_uptime_seconds{{<process>}}))"},
                    "Programs that report.",
                ),
                Figure(
                    "Restarts",
                    "short",
                    {"": "sum (resets(process_uptime_seconds{<process>}[$__range])) or vector(0)"},
                    "How often an instance that kept its name began again, in the whole range.",
                    limit="restarts",
                ),
                Figure(
                    "Busiest process",
                    "percentunit",
                    {"": f"max (sum by ({PROCESS}) (process_cpu_utilization_ratio{{<process>}}))"},
                    "CPU of the busiest process, of all CPUs that it may use.",
                    limit="cpu_usage_percent",
                ),
                Figure(
                    "Largest process",
                    "bytes",
                    {"": f"max (sum by ({PROCESS}) (process_memory_usage_bytes{{<process>}}))"},
                    "Memory of the largest process.",
                ),
                Figure(
                    "Event-loop lag",
                    "s",
                    {"": quantile(0.99, LAG)},
                    "99 % of what was ready to run waited for less.",
                    limit="event_loop_lag_p99_ms",
                ),
                Figure(
                    "Longest block now",
                    "s",
                    {"": "max (<ns>_eventloop_stalled_seconds{<process>})"},
                    "For how long the event loop that is stuck longest has run nothing.",
                    limit="event_loop_lag_p99_ms",
                ),
                Graph(
                    "How much CPU do they use?",
                    "percentunit",
                    {LEGEND: f"sum by ({PROCESS}) (process_cpu_utilization_ratio{{<process>}})"},
                    "CPU of each process, of all CPUs that it may use.",
                    limit="cpu_usage_percent",
                ),
                Graph(
                    "What do they use CPU for?",
                    "short",
                    {
                        "{{service_name}} {{cpu_mode}}": rate(
                            "process_cpu_time_seconds_total", by="service_name, cpu_mode"
                        )
                    },
                    "CPU seconds a second: in the program (user) and in the kernel for it (system).",
                    stacked=True,
                ),
                Graph(
                    "How much memory do they use?",
                    "bytes",
                    {LEGEND: f"sum by ({PROCESS}) (process_memory_usage_bytes{{<process>}})"},
                    "Physical memory of each process. What only rises is a leak: `perfagent memory` tells where.",
                ),
                Graph(
                    "How many threads?",
                    "short",
                    {LEGEND: f"sum by ({PROCESS}) (process_thread_count{{<process>}})"},
                    "Threads of each process.",
                ),
                Graph(
                    "How many open files?",
                    "short",
                    {LEGEND: f"sum by ({PROCESS}) (process_unix_file_descriptor_count{{<process>}})"},
                    "File descriptors of each process: files, sockets, pipes. The limit is that of `ulimit -n`.",
                ),
                Graph(
                    "Are they held up by the kernel?",
                    "ops",
                    {
                        "{{service_name}} switches {{process_context_switch_type}}": rate(
                            "process_context_switches_total", by="service_name, process_context_switch_type"
                        ),
                        "{{service_name}} faults {{system_paging_fault_type}}": rate(
                            "process_paging_faults_total", by="service_name, system_paging_fault_type"
                        ),
                    },
                    "Involuntary context switches: too few CPUs. Major page faults: too little memory.",
                ),
            ),
        ),
        Row(
            "Garbage collection",
            (
                Graph(
                    "How long does the collector stop the program?",
                    "s",
                    {
                        "{{service_name}} generation {{cpython_gc_generation}}": quantile(
                            0.99, PAUSE, by="service_name, cpython_gc_generation"
                        )
                    },
                    "The 99th percentile of the pauses. Long ones of generation 2: many objects live long; "
                    "`gc.freeze()` after start, or PERFAGENT_GC_THRESHOLD.",
                ),
                Graph(
                    "What does it cost?",
                    "percentunit",
                    {"{{service_name}}": rate(f"{PAUSE}_sum", by="service_name")},
                    "Share of the time that the collector had the program stopped; over all processes of a service.",
                    limit="gc_pause_percent",
                ),
                Graph(
                    "How often does it run?",
                    "ops",
                    {
                        "{{service_name}} generation {{cpython_gc_generation}}": rate(
                            "cpython_gc_collections_total", by="service_name, cpython_gc_generation"
                        )
                    },
                    "Collections a second.",
                ),
            ),
        ),
        Row(
            "Event loops",
            (
                Graph(
                    "Do event loops block?",
                    "s",
                    {"{{service_name}}": quantile(0.99, LAG, by="service_name")},
                    "The 99th percentile of how late an event loop ran what was ready: something ran in it that does "
                    "not await. The hub's page names the function.",
                    limit="event_loop_lag_p99_ms",
                    width=12,
                    traces={},
                    empty="no event loop in these services",
                ),
                Heatmap(
                    "How late do callbacks run?",
                    "s",
                    {"{{le}}": f"sum by (le) (increase({LAG}_bucket{{<process>}}{RATE}))"},
                    "The distribution of the lag.",
                    width=12,
                    empty="no event loop in these services",
                ),
            ),
        ),
        Row(
            "Machines",
            (
                Graph(
                    "How busy are the machines?",
                    "percentunit",
                    {
                        "{{host_name}}": "1 - avg by (host_name) "
                        f'(sum by (host_name, cpu) (system_cpu_utilization_ratio{{{HOST}, state="idle"}}))'
                    },
                    "CPU in use, of all CPUs.",
                    limit="cpu_usage_percent",
                    most=1,
                    empty="no Collector reports a machine",
                ),
                Graph(
                    "How full is their memory?",
                    "percentunit",
                    {"{{host_name}}": f'sum by (host_name) (system_memory_utilization_ratio{{{HOST}, state="used"}})'},
                    "Memory in use, without what the kernel gives back when asked.",
                    limit="memory_usage_percent",
                    most=1,
                    empty="no Collector reports a machine",
                ),
                Graph(
                    "How full are their disks?",
                    "percentunit",
                    {
                        "{{host_name}} {{mountpoint}}": "max by (host_name, mountpoint) "
                        f"(system_filesystem_utilization_ratio{{{HOST}}})"
                    },
                    "Space in use, by file system.",
                    limit="disk_usage_percent",
                    most=1,
                    empty="no Collector reports a machine",
                ),
            ),
        ),
        Row(
            "The agent itself",
            (
                Graph(
                    "What do the agents send?",
                    "cps",
                    {
                        "{{service_name}} {{signal}}": rate(
                            "perfagent_telemetry_exported_total", by="service_name, signal"
                        )
                    },
                    "Spans, metric points and log records a second that a receiver took.",
                ),
                Graph(
                    "What do the agents lose?",
                    "cps",
                    {
                        "{{service_name}} {{signal}} {{reason}}": rate(
                            "perfagent_telemetry_dropped_total", by="service_name, signal, reason"
                        )
                    },
                    "What was lost, by reason; the program itself is not affected.",
                    empty="nothing was lost",
                ),
                Graph(
                    "Does the agent fail?",
                    "cps",
                    {"{{service_name}} {{place}}": rate("perfagent_internal_errors_total", by="service_name, place")},
                    "Failures of perfagent's own code; the program is not affected. Please report them.",
                    empty="no failures",
                ),
            ),
        ),
    ),
)
