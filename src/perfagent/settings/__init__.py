"""Every option of perfagent: its name, type, default and help.

A value comes from the environment, else from `perfagent.toml` or `[tool.perfagent]` in `pyproject.toml` of the working
directory, else from the default. A malformed value is reported in one line on standard error, and the default serves.
"""

from __future__ import annotations

from perfagent.settings.hub import HubOptions
from perfagent.settings.options import Choice, Flag, Number, Pairs, Text, Whole, Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings.source import Table

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
EXCLUDED_COMMANDS = (
    "pip",
    "pip3",
    "uv",
    "pipx",
    "poetry",
    "conda",
    "virtualenv",
    "venv",
    "ensurepip",
    "twine",
    "build",
)


class Settings(HubOptions):
    """What the agent and the hub are told; arguments as for `Table`."""

    title = "Agent and hub"

    # What is sent, and where to.
    disabled = Flag("OTEL_SDK_DISABLED", False, "Turns everything off: nothing is hooked, nothing is sent.")
    pipeline = Choice(
        "PERFAGENT_PIPELINE",
        "auto",
        "Who makes the signals: `lean`, ours; `sdk`, the stock OpenTelemetry SDK; `auto` takes ours wherever it can.",
        ("auto", "lean", "sdk"),
    )
    service_name = Text("OTEL_SERVICE_NAME", "", "The name of the service; `service.name` of the resource.")
    resource_attributes = Pairs("OTEL_RESOURCE_ATTRIBUTES", {}, "Further attributes of the resource.")
    environment = Text(
        "PERFAGENT_ENVIRONMENT",
        "",
        "Where the program runs, such as `production`: `deployment.environment.name` of the resource, and the "
        "`[environments.production]` of a settings file goes before the rest of that file.",
    )
    traces_exporter = Words(
        "OTEL_TRACES_EXPORTER", ("otlp",), "Where spans go: `otlp`, `none`, or one that the SDK knows."
    )
    metrics_exporter = Words(
        "OTEL_METRICS_EXPORTER", ("otlp",), "Where metrics go: `otlp`, `prometheus`, `none`, or one that the SDK knows."
    )
    logs_exporter = Words(
        "OTEL_LOGS_EXPORTER", ("otlp",), "Where log records go: `otlp`, `none`, or one the SDK knows."
    )
    endpoint = Text("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Base address of the receiver, such as http://localhost:4318.")
    traces_endpoint = Text(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "Full address for spans; else the base and /v1/traces."
    )
    metrics_endpoint = Text(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "", "Full address for metrics; else the base and /v1/metrics."
    )
    logs_endpoint = Text("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "", "Full address for logs; else the base and /v1/logs.")
    protocol = Text(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "How to send: `http/protobuf`; `grpc` is done by the sdk pipeline.",
        others=("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",),
    )
    headers = Pairs("OTEL_EXPORTER_OTLP_HEADERS", {}, "HTTP headers sent with every export, such as an API key.")
    traces_headers = Pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS", {}, "Headers for spans, over the common ones.")
    metrics_headers = Pairs("OTEL_EXPORTER_OTLP_METRICS_HEADERS", {}, "Headers for metrics, over the common ones.")
    logs_headers = Pairs("OTEL_EXPORTER_OTLP_LOGS_HEADERS", {}, "Headers for logs, over the common ones.")
    compression = Choice(
        "OTEL_EXPORTER_OTLP_COMPRESSION", "none", "Compression of what is sent.", ("none", "gzip", "deflate")
    )
    timeout = Whole("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, "Longest wait for one export.", "ms", 1, 600_000)
    certificate = Text(
        "OTEL_EXPORTER_OTLP_CERTIFICATE", "", "File of the certificates that the receiver is checked by."
    )
    client_certificate = Text("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "", "File of our certificate, for mutual TLS.")
    client_key = Text("OTEL_EXPORTER_OTLP_CLIENT_KEY", "", "File of our private key, for mutual TLS.")
    temporality = Choice(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative",
        "Whether counters are sent since the start or since the last export.",
        ("cumulative", "delta", "lowmemory"),
    )
    histogram_aggregation = Choice(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "explicit_bucket_histogram",
        "The form of histograms.",
        ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    )

    # Sampling, limits, queues.
    sampler = Text(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        f"Which traces are kept: {', '.join(SAMPLERS)}; another name is looked up by the sdk pipeline.",
    )
    sampler_arg = Text("OTEL_TRACES_SAMPLER_ARG", "", "The share of traces kept by a ratio sampler, from 0 to 1.")
    propagators = Words("OTEL_PROPAGATORS", ("tracecontext", "baggage"), "Which headers carry the context.")
    exemplar_filter = Choice(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "trace_based",
        "Which measurements may become exemplars.",
        ("always_on", "always_off", "trace_based"),
    )
    attribute_count = Whole(
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        128,
        "Most attributes a span keeps.",
        "attributes",
        others=("OTEL_ATTRIBUTE_COUNT_LIMIT",),
    )
    attribute_length = Whole(
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        32_768,
        "Longest text an attribute keeps; bounds the memory that one 100 MB value can take.",
        "characters",
        others=("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",),
    )
    event_count = Whole("OTEL_SPAN_EVENT_COUNT_LIMIT", 128, "Most events a span keeps.", "events")
    link_count = Whole("OTEL_SPAN_LINK_COUNT_LIMIT", 128, "Most links a span keeps.", "links")
    event_attribute_count = Whole(
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        128,
        "Most attributes an event keeps.",
        "attributes",
        others=("OTEL_ATTRIBUTE_COUNT_LIMIT",),
    )
    link_attribute_count = Whole(
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        128,
        "Most attributes a link keeps.",
        "attributes",
        others=("OTEL_ATTRIBUTE_COUNT_LIMIT",),
    )
    span_queue = Whole(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        8192,
        "Most finished spans that wait in memory; more are dropped and counted.",
        "spans",
        1,
    )
    span_batch = Whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 2048, "Most spans in one export.", "spans", 1)
    span_delay = Whole("OTEL_BSP_SCHEDULE_DELAY", 1000, "Longest wait of a finished span before it is sent.", "ms", 1)
    log_queue = Whole("OTEL_BLRP_MAX_QUEUE_SIZE", 8192, "Most log records that wait in memory.", "records", 1)
    metric_interval = Whole(
        "OTEL_METRIC_EXPORT_INTERVAL",
        15_000,
        "Time between two exports of metrics.",
        "ms",
        50,
        others=("PERFORMANCE_FLUSH_INTERVAL", "PERFAGENT_FLUSH_INTERVAL"),
    )
    cardinality = Whole(
        "PERFAGENT_METRIC_CARDINALITY_LIMIT",
        2000,
        "Most attribute sets a metric keeps apart; the rest share one marked `otel.metric.overflow`.",
        "series",
        2,
    )
    exit_timeout = Whole("PERFAGENT_EXIT_TIMEOUT", 1500, "Longest wait at exit for the last export.", "ms", 0, 60_000)

    # What is measured.
    disabled_instruments = Words(
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", (), "Libraries that are left alone, by name; `*` for all."
    )
    excluded_urls = Words(
        "OTEL_PYTHON_EXCLUDED_URLS", (), "Regular expressions of URLs that are neither traced nor counted."
    )
    fastapi_excluded_urls = Words("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", (), "The same for FastAPI, in its place.")
    starlette_excluded_urls = Words("OTEL_PYTHON_STARLETTE_EXCLUDED_URLS", (), "The same for Starlette, in its place.")
    flask_excluded_urls = Words("OTEL_PYTHON_FLASK_EXCLUDED_URLS", (), "The same for Flask, in its place.")
    django_excluded_urls = Words("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", (), "The same for Django, in its place.")
    tornado_excluded_urls = Words("OTEL_PYTHON_TORNADO_EXCLUDED_URLS", (), "The same for Tornado, in its place.")
    requests_excluded_urls = Words("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", (), "The same for requests, in its place.")
    urllib_excluded_urls = Words("OTEL_PYTHON_URLLIB_EXCLUDED_URLS", (), "The same for urllib, in its place.")
    urllib3_excluded_urls = Words("OTEL_PYTHON_URLLIB3_EXCLUDED_URLS", (), "The same for urllib3, in its place.")
    httpx_excluded_urls = Words("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", (), "The same for httpx, in its place.")
    aiohttp_client_excluded_urls = Words(
        "OTEL_PYTHON_AIOHTTP_CLIENT_EXCLUDED_URLS", (), "The same for aiohttp's client, in its place."
    )
    tornado_client_excluded_urls = Words(
        "OTEL_PYTHON_TORNADO_CLIENT_EXCLUDED_URLS", (), "The same for Tornado's client, in its place."
    )
    capture_request_headers = Words(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", (), "Request headers kept on server spans."
    )
    capture_response_headers = Words(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", (), "Response headers kept on server spans."
    )
    capture_client_request_headers = Words(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", (), "Request headers kept on client spans."
    )
    capture_client_response_headers = Words(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE", (), "Response headers kept on client spans."
    )
    sanitize_headers = Words(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
        (),
        "Captured headers whose values are replaced by [REDACTED], beyond the known secret ones.",
    )
    capture_query = Flag(
        "PERFAGENT_CAPTURE_URL_QUERY", False, "Keeps the query part of URLs, values included, on spans."
    )
    scrub = Flag(
        "PERFAGENT_SCRUB",
        True,
        "Replaces passwords, tokens, card numbers and the like in exceptions and log records by [REDACTED].",
    )
    scrub_pattern = Text(
        "PERFAGENT_SCRUB_PATTERN", "", "A regular expression of what else is replaced there, such as `cust-[0-9]{6}`."
    )
    log_correlation = Flag(
        "OTEL_PYTHON_LOG_CORRELATION",
        True,
        "Puts otelTraceID, otelSpanID and otelServiceName on every record; trace_id, span_id and trace_flags on "
        "what structlog and loguru write.",
    )
    query_callers = Choice(
        "PERFAGENT_QUERY_CALLERS",
        "auto",
        "Whether query spans tell file, line and function of who ran them: `auto`, the first calls of a statement, one "
        "in 32 of the others and every slow one; `off`, none.",
        ("auto", "off"),
    )
    sqlcommenter = Choice(
        "PERFAGENT_SQLCOMMENTER",
        "off",
        "Whether statements get a comment that tells the database who asks: `route`, driver, framework and route; "
        "`traceparent`, the trace too, but with psycopg and asyncpg, whose prepared statements would be useless; "
        "`everywhere`, with these too.",
        ("off", "route", "traceparent", "everywhere"),
    )
    profiling = Flag(
        "ENABLE_PROFILING", False, "Measures CPU time and memory of each request; a hub can turn it on and off, too."
    )
    time_parts = Flag(
        "PERFAGENT_TIME_PARTS",
        True,
        "Tells where the time of each request went: CPU, garbage collection, locks, pools, event loop, network.",
    )
    max_overhead = Number(
        "PERFAGENT_MAX_OVERHEAD",
        1.0,
        "Most that perfagent itself may take of one core, its hooks included; above that it looks less often, then "
        "into less detail, then sends fewer traces, but every failed span. 0: no limit.",
        "%",
        0,
        100,
    )
    profiler = Flag(
        "PERFAGENT_PROFILER", True, "Looks all the time at which lines run, for how long, and for which requests."
    )
    profiler_at_once = Flag("PERFAGENT_PROFILER_AT_ONCE", False, "Looks from the first line on, not only after 1.5 s.")
    log_level = Choice(
        "PERFAGENT_LOGS_LEVEL",
        "warning",
        "The least severe log record that is sent.",
        ("debug", "info", "warning", "error", "critical", "off"),
    )
    vitals = Flag(
        "PERFAGENT_VITALS",
        True,
        "Measures the process: CPU, memory, GC, event loop.",
        others=("PERFORMANCE_MONITORING_ENABLED",),
    )
    blocked_loop = Whole(
        "PERFAGENT_BLOCKED_LOOP",
        100,
        "From how long a block of an event loop on its line of code is told; 0 does not look for it.",
        "ms",
        0,
        60_000,
    )
    leaks = Flag("PERFAGENT_LEAKS", True, "Looks for what the program keeps more and more of.")
    habits = Flag(
        "PERFAGENT_HABITS",
        True,
        "Tells of calls without a time-out, endless retries, what is not closed, clients for one call, leaked threads.",
    )
    explain = Flag("PERFAGENT_EXPLAIN", False, "Asks databases for plans of slow statements and for better indexes.")
    lru_caches = Flag("PERFAGENT_LRU_CACHES", True, "Reports hits and misses of functools.lru_cache.")
    cache_economics = Flag("PERFAGENT_CACHE_ECONOMICS", True, "Tells what caches save, and what others would bring.")
    gc_threshold = Text(
        "PERFAGENT_GC_THRESHOLD", "", "Thresholds for gc.set_threshold, such as 1000,10,10; `true` for exactly these."
    )
    rum = Flag(
        "PERFAGENT_RUM",
        False,
        "Puts one script into the program's HTML pages, which measures them in the browser and tells the hub.",
    )
    short_lived = Flag("SHORT_LIVED_PROCESS", False, "Collects garbage once at start and then turns the collector off.")

    # How the agent behaves.
    excluded_commands = Words(
        "PERFAGENT_EXCLUDED_COMMANDS",
        EXCLUDED_COMMANDS,
        "Programs that are never instrumented when the program starts them.",
    )
    quiet = Flag("PERFAGENT_QUIET", False, "Says nothing on standard error but errors.")
    strict = Flag("PERFAGENT_STRICT", False, "Raises perfagent's own failures instead of counting them; for our tests.")
    flight = Flag(
        "PERFAGENT_FLIGHT",
        True,
        "Keeps what this process is doing in a file in memory, so that it is told of when the process is killed.",
    )
    flight_directory = Text(
        "PERFAGENT_FLIGHT_DIR",
        "",
        "Folder of these files; one in shared memory when left out. A container's is gone with it: give a volume.",
    )
    namespace = Text("PERFAGENT_NAMESPACE", "perfagent", "Prefix of the metrics that bear one.")
    prometheus_host = Text("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost", "Address that /metrics listens on.")
    prometheus_port = Whole("OTEL_EXPORTER_PROMETHEUS_PORT", 9464, "Port that /metrics listens on.", "", 0, 65_535)
    prometheus_dir = Text(
        "PERFAGENT_PROMETHEUS_DIR", "", "Folder that a prefork server's workers share; made by itself when left out."
    )
    jaeger_endpoint = Text("JAEGER_ENDPOINT", "", "An old Jaeger collector address; mapped to OTLP on the same host.")
    control = Choice(
        "PERFAGENT_CONTROL",
        "auto",
        "Whether this process obeys a hub's commands: `auto`, those of the user's own hub; `on`, also those of the "
        "endpoint, signed with PERFAGENT_CONTROL_KEY; `off`, none.",
        ("auto", "on", "off"),
    )
    control_key = Text("PERFAGENT_CONTROL_KEY", "", "The secret that signs commands of a hub elsewhere.")


SUBJECTS: dict[str, str] = {
    "optimizer": "OptimizerSettings",
    "cache": "CacheSettings",
    "indexes": "IndexSettings",
    "limits": "LimitSettings",
    "data": "DataSettings",
    "monitor": "MonitorSettings",
    "rum": "RumSettings",
    "resilience": "ResilienceSettings",
    "exits": "ExitSettings",
    "deprecations": "DeprecationSettings",
    "sources": "SourceSettings",
    "spool": "SpoolSettings",
    "habits": "HabitSettings",
    "profiler": "ProfilerSettings",
    "leaks": "LeakSettings",
    "economics": "EconomicsSettings",
    "explain": "ExplainSettings",
}
"""The tables of the library's subjects: each one's module in this package, and its class."""


def tables() -> tuple[type[Table], ...]:
    """Every table there is: the agent's and the hub's, then those of the subjects, which are imported by this."""
    from importlib import import_module

    found = (getattr(import_module(f"perfagent.settings.{module}"), name) for module, name in SUBJECTS.items())
    return (Settings, *found)


def current() -> Settings:
    """The agent's and the hub's settings in this process."""
    return Settings.current()
