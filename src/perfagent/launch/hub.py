"""Sends what a program measures to the user's own hub, where nobody has said another place.

`perfagent run python -c pass` takes 3 ms longer with a hub that runs than with PERFAGENT_HUB=off, and 16 ms longer
where it starts one, which it does not wait for. With the hub and the agent it is 35 ms over the bare interpreter.
"""

from __future__ import annotations

import os

from perfagent.hub import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from perfagent.hub.lock import Found
    from perfagent.settings import Settings

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PROGRAM = "PERFAGENT_HUB_PROGRAM"
"""Carries the process that `perfagent run` became: of all those that it starts, it alone tells the page's address."""

STARTED = "PERFAGENT_HUB_STARTED"
"""Carries when a hub was started for the program, in seconds since the epoch: until it answers, the exit waits."""


READS = (
    "the hub reads from Prometheus and Jaeger (PERFAGENT_PROMETHEUS_URL, PERFAGENT_JAEGER_URL) and takes no telemetry; "
    f"set {ENDPOINT} to the Collector in front of them"
)


def reads_elsewhere(settings: Settings, found: Found | None) -> bool:
    """Whether the hub that there is, or the one that these settings would start, takes no telemetry."""
    if found is not None:
        return not found.takes
    return bool(settings.prometheus_url or settings.jaeger_url)


def why_not(settings: Settings) -> str:
    """Why the telemetry of a program is not for a hub to have; "" where it is."""
    if settings.disabled:
        return "OTEL_SDK_DISABLED is set"
    for name in ("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "jaeger_endpoint"):
        if getattr(settings, name):
            return f"{settings.option(name).name} is set"
    exporters = {*settings.traces_exporter, *settings.metrics_exporter, *settings.logs_exporter}
    if "otlp" not in exporters:
        return "no exporter is `otlp`"
    for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"):
        if settings.environ.get(name):
            return f"{name} is set"
    return "PERFAGENT_HUB=off" if settings.hub == "off" else ""


def find(settings: Settings) -> Found | None:
    """The hub that this program's telemetry should go to, if one runs; starts none."""
    if why_not(settings):
        return None
    found = lock.find(lock.directory(settings))
    return found if found is not None and found.takes and address(settings, found) else None


def own(settings: Settings) -> Found | None:
    """The user's own hub, where it takes what this process sends; another receiver serves browsers no script."""
    found = lock.find(lock.directory(settings))
    if found is None or not found.takes or settings.endpoint.rstrip("/") != address(settings, found):
        return None
    return found


def address(settings: Settings, found: Found) -> str:
    """Where a program sends to, by the protocol that it is told to use; "" where the hub does not take that."""
    return found.grpc if is_grpc(settings) else found.address


def is_grpc(settings: Settings) -> bool:
    """Whether OTEL_EXPORTER_OTLP_PROTOCOL asks for gRPC."""
    return settings.protocol.strip().lower() == "grpc"


def send_to(environ: MutableMapping[str, str], settings: Settings, found: Found) -> None:
    """Makes a program and its children send to a hub.

    Args:
        environ: what the program gets.
        settings: its own; they are read anew where that is their environment.
        found: the hub.
    """
    environ[ENDPOINT] = address(settings, found)
    if found.guarded and "authorization" not in {name.lower() for name in settings.headers}:
        from perfagent.hub import access

        token = access.Access(access.secret(lock.directory(settings))).token("agent")
        headers = environ.get(HEADERS, "")
        environ[HEADERS] = f"{headers}{',' if headers else ''}authorization=Bearer%20{token}"
    for name in ("endpoint", "headers"):
        settings.__dict__.pop(name, None)


def join(settings: Settings) -> None:
    """Sends what this process measures to a hub that runs already: where `perfagent run` was not there to find one."""
    found = find(settings)
    if found is not None:
        send_to(os.environ, settings, found)


def use(settings: Settings, environ: MutableMapping[str, str]) -> str:
    """Finds or starts a hub for the program that this process is about to become, and sends it there.

    Args:
        settings: those of the program.
        environ: what the program gets.

    Returns:
        What to tell the user, in one line; "" where there is nothing to tell.

    Raises:
        lock.Unavailable: there is no hub, and none can be started.
    """
    directory = lock.directory(settings)
    found = lock.find(directory)
    if reads_elsewhere(settings, found):
        return f"nothing is sent: {READS}"
    if found is None:
        if is_grpc(settings) or _is_taken_by_receiver(settings):
            return ""
        if os.getpid() == 1:  # of a container: what it starts and leaves behind would become a child of the program
            return f"no hub is started in a container of one program: set {ENDPOINT} to see traces and history"
        from perfagent.hub import spawn

        found = spawn.start(settings, by_itself=True, opens=_opens(settings))
    if not address(settings, found):
        return ""
    send_to(environ, settings, found)
    environ[PROGRAM] = str(os.getpid())
    if found.is_new:
        from time import time

        environ[STARTED] = str(int(time()))
    return f"{link(directory, found)} shows what this program does{_other_version(found)}"


def _is_taken_by_receiver(settings: Settings) -> bool:
    """Whether somebody asked for `otlp` by name, which means http://localhost:4318, and something listens there."""
    if not any(settings.environ.get(f"OTEL_{signal}_EXPORTER") for signal in ("TRACES", "METRICS", "LOGS")):
        return False
    import _socket

    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", 4318)) == 0
    finally:
        probe.close()


def _opens(settings: Settings) -> bool:
    """Whether a hub that is started shows its page: the hub itself looks whether there is a screen."""
    if settings.hub_open == "auto":
        return not settings.environ.get("CI") and os.isatty(2)
    return settings.hub_open == "always"


def _other_version(found: Found) -> str:
    from perfagent import __version__

    if found.version in (__version__, ""):
        return ""
    return (
        f" (the hub is of version {found.version}, this is {__version__}: `perfagent hub --stop` lets it be replaced)"
    )


def link(directory: str, found: Found) -> str:
    """The address that opens the page, good for 15 minutes."""
    from perfagent.hub import access

    try:
        return f"{found.address}/?code={access.Access(access.secret(directory)).code()}"
    except OSError:  # the page asks for a token then
        return found.address
