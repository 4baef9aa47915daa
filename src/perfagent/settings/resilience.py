"""What circuit breakers, error budgets and the replication monitor are told."""

from __future__ import annotations

from perfagent.settings.options import Number, Text, Whole
from perfagent.settings.source import Table


class ResilienceSettings(Table):
    """Where the breakers' file is, what services may fail, and which replica is watched; arguments as for `Table`."""

    title = "Circuit breakers, error budgets, replication lag"

    breakers_file = Text(
        "CIRCUIT_BREAKERS_FILE",
        "config/circuit-breakers.yaml",
        "The breakers' settings, in YAML; without that file every breaker has the defaults.",
        others=("PERFAGENT_CIRCUIT_BREAKERS_FILE",),
    )
    breakers_storage = Text(
        "CIRCUIT_BREAKERS_STORAGE",
        "",
        "Redis by which processes share their breakers' states, such as redis://localhost:6379/0; before the file's.",
        others=("PERFAGENT_CIRCUIT_BREAKERS_STORAGE",),
    )

    error_budgets = Text(
        "ERROR_BUDGETS",
        "",
        "Errors that each service may make within the window, such as api=1000,worker=500; the agent counts this "
        "program's own 5xx answers where its service is named.",
        others=("PERFAGENT_ERROR_BUDGETS",),
    )
    error_budget_default = Whole(
        "ERROR_BUDGET_DEFAULT",
        1000,
        "Errors that a service may make which ERROR_BUDGETS does not name.",
        "errors",
        1,
        others=("PERFAGENT_ERROR_BUDGET_DEFAULT",),
    )
    error_budget_days = Number(
        "ERROR_BUDGET_WINDOW_DAYS",
        30,
        "The window: an error counts for so long, to the hour, and is forgiven then.",
        "d",
        1 / 24,
        366,
        others=("PERFAGENT_ERROR_BUDGET_WINDOW_DAYS",),
    )
    error_budget_directory = Text(
        "ERROR_BUDGET_DIR",
        "",
        "Folder that keeps what was spent, shared by all processes that name it; `perfagent/error-budgets` in the "
        "user's state folder when left out.",
        others=("PERFAGENT_ERROR_BUDGET_DIR",),
    )

    replication_dsn = Text(
        "REPLICATION_DSN",
        "",
        "The replica that is watched, such as postgresql://monitor@replica:5432/shop or mysql://…; never shown.",
        others=("PERFAGENT_REPLICATION_DSN",),
    )
    replication_query = Text(
        "REPLICATION_QUERY",
        "",
        "A query whose first value is the lag in seconds; one for PostgreSQL or MySQL when left out.",
        others=("PERFAGENT_REPLICATION_QUERY",),
    )
    replication_interval = Number(
        "REPLICATION_INTERVAL",
        10,
        "Time between two looks at the replica.",
        "s",
        0.05,
        86_400,
        others=("PERFAGENT_REPLICATION_INTERVAL",),
    )
    replication_port = Whole(
        "REPLICATION_METRICS_PORT",
        8004,
        "Port that the monitor serves its own /metrics on, at REPLICATION_METRICS_HOST.",
        "",
        0,
        65_535,
        others=("PERFAGENT_REPLICATION_METRICS_PORT",),
    )
    replication_host = Text(
        "REPLICATION_METRICS_HOST",
        "127.0.0.1",
        "Address that it listens on; 0.0.0.0 for every one of the machine's.",
        others=("PERFAGENT_REPLICATION_METRICS_HOST",),
    )
