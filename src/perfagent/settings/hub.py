"""What the hub is told: where it listens, what it keeps, whom it tells, and what it reads in place of taking it in."""

from __future__ import annotations

from perfagent.settings.options import Choice, Flag, Json, Number, Pairs, Text, Whole, Words
from perfagent.settings.source import Table


class HubOptions(Table):
    """The hub's part of `Settings`: the agent, which finds or starts the hub, reads some of it."""

    hub = Choice(
        "PERFAGENT_HUB",
        "auto",
        "Whether `perfagent run` finds or starts a hub: `auto` where no OTLP endpoint is set; `off` never.",
        ("auto", "off"),
    )
    hub_host = Text("PERFAGENT_HUB_HOST", "127.0.0.1", "Address that the hub listens on.")
    hub_port = Whole(
        "PERFAGENT_HUB_PORT", 4318, "Port of the hub; a free one where that is taken and nobody set it.", "", 0, 65_535
    )
    hub_url = Text(
        "PERFAGENT_HUB_URL",
        "",
        "Address of the hub that commands such as `perfagent top` ask; the user's own when left out.",
    )
    hub_token = Text("PERFAGENT_HUB_TOKEN", "", "What they show to that hub; the user's own hub needs none.")
    hub_grpc_port = Whole(
        "PERFAGENT_HUB_GRPC_PORT", 0, "Port for OTLP/gRPC, such as 4317; 0 listens on none.", "", 0, 65_535
    )
    hub_directory = Text(
        "PERFAGENT_HUB_DIR", "", "Folder of the hub's data; `perfagent` in the user's state folder when left out."
    )
    hub_open = Choice(
        "PERFAGENT_HUB_OPEN",
        "auto",
        "Whether a browser opens the page when a hub starts; `auto` where there is a terminal and a screen.",
        ("auto", "always", "never"),
    )
    hub_idle = Whole(
        "PERFAGENT_HUB_IDLE",
        1800,
        "How long a hub that was started by itself stays without telemetry or a visitor; 0 for ever.",
        "s",
        0,
    )
    hub_hosts = Words(
        "PERFAGENT_HUB_ALLOWED_HOSTS", (), "Further Host names that the hub answers to, as behind a proxy."
    )
    hub_body = Whole("PERFAGENT_HUB_MAX_BODY", 67_108_864, "Largest request, unpacked, that the hub reads.", "By", 1024)
    hub_queue = Whole("PERFAGENT_HUB_QUEUE", 134_217_728, "Most bytes of requests that wait to be stored.", "By", 1024)
    hub_rate = Whole(
        "PERFAGENT_HUB_RATE", 100_000, "Most items a second that one sender may store; more are refused.", "items/s", 1
    )
    hub_memory = Whole("PERFAGENT_HUB_MEMORY", 512, "Memory of the database.", "MiB", 64)
    hub_thresholds = Json(
        "PERFAGENT_ALERT_THRESHOLDS",
        "",
        "Limits that differ from the defaults, for the hub and `perfagent rules export`, such as "
        '{"error_rate_percent": {"warning": 2, "violations": 1}}; what is changed at run time wins. In a settings file '
        "also a table.",
        others=("PERFORMANCE_ALERT_THRESHOLDS",),
    )
    insight_correlation = Flag(
        "ENABLE_INSIGHT_CORRELATION",
        True,
        "Looks for figures that move together, across services: GET correlations.",
        others=("PERFAGENT_INSIGHT_CORRELATION",),
    )
    hub_channels = Text(
        "PERFAGENT_ALERT_CHANNELS",
        "",
        "Who is told of alerts: Apprise URLs separated by spaces, such as `mailtos://…` or `slack://…`; `[[channel]]` "
        "tables of perfagent.toml say more.",
    )
    hub_retry = Number(
        "PERFAGENT_ALERT_RETRY", 6, "How long a notification that cannot be delivered is tried again.", "h", 0, 168
    )
    hub_public_url = Text(
        "PERFAGENT_HUB_PUBLIC_URL",
        "",
        "Address of the page that links in notifications begin with, such as https://perf.example.com; where the hub "
        "listens when left out.",
    )
    slo = Text(
        "PERFAGENT_SLO",
        "",
        "Objectives without a file, such as `shop:99.9` (availability) or `shop:99<250` (share of requests below "
        "250 ms), with commas between them, or JSON with the keys of `[[slo]]` tables, which are those of a file.",
    )
    optimise = Choice(
        "PERFAGENT_OPTIMISE",
        "advise",
        "What the hub does where an optimisation rule holds: `advise` tells what it would do, `act` does it, `off` "
        "does not look.",
        ("advise", "act", "off"),
    )
    alert_interval = Number("PERFAGENT_ALERT_INTERVAL", 10, "How often the hub looks for what is wrong.", "s", 1, 3600)
    retention_hours = Whole("PERFAGENT_RETENTION_HOURS", 48, "How long spans, logs and points are kept.", "h", 1)
    retention_days = Whole("PERFAGENT_RETENTION_DAYS", 90, "How long hourly roll-ups are kept.", "d", 1)
    retention_size = Whole("PERFAGENT_RETENTION_SIZE", 4096, "Largest database; the oldest hours go first.", "MiB", 64)
    prometheus_url = Text(
        "PERFAGENT_PROMETHEUS_URL",
        "",
        "Prometheus, Mimir or Thanos that the hub reads from, in place of taking telemetry in: the base of its API.",
    )
    prometheus_headers = Pairs(
        "PERFAGENT_PROMETHEUS_HEADERS", {}, "Headers of the hub's requests to it, such as `authorization=Bearer%20…`."
    )
    jaeger_url = Text("PERFAGENT_JAEGER_URL", "", "Query address of the Jaeger that the hub reads traces from.")
    jaeger_headers = Pairs("PERFAGENT_JAEGER_HEADERS", {}, "Headers of the hub's requests to it.")
    remote_ca_file = Text(
        "PERFAGENT_REMOTE_CA_FILE", "", "Certificates that the hub trusts there, in PEM; the system's when left out."
    )
    remote_timeout = Whole("PERFAGENT_REMOTE_TIMEOUT", 10, "Longest wait for one answer of theirs.", "s", 1, 600)
    remote_interval = Whole("PERFAGENT_REMOTE_INTERVAL", 30, "How often the hub asks them for news.", "s", 5, 600)
    remote_series = Whole(
        "PERFAGENT_REMOTE_SERIES", 50_000, "Most series of one answer; what is left out is counted.", "series", 10
    )
    remote_body = Whole(
        "PERFAGENT_REMOTE_MAX_BODY", 33_554_432, "Largest answer, unpacked, that the hub reads.", "By", 65_536
    )
