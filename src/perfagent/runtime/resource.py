"""Who sends: the resource (OpenTelemetry semantic conventions, "Resource"), found out off the request path."""

from __future__ import annotations

import os
import sys

from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.settings import Settings

LAUNCHERS = frozenset(
    ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "celery", "fastapi", "uwsgi", "rq")
)
instance_id = ""
"""`service.instance.id` of this process; made when first needed and anew in a forked child."""


def attributes(settings: Settings) -> dict[str, object]:
    """Every attribute of the resource. The program's own (OTEL_RESOURCE_ATTRIBUTES) win over what is found.

    The command's arguments are left out: people put secrets there.
    """
    from perfagent import __version__

    found: dict[str, object] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "perfagent",
        "telemetry.sdk.version": __version__,
        "telemetry.distro.name": "perfagent",
        "telemetry.distro.version": __version__,
        "process.pid": os.getpid(),
        "process.executable.name": os.path.basename(sys.executable or "python"),
        "process.executable.path": sys.executable or "",
        "process.command": sys.argv[0] if getattr(sys, "argv", None) else "",
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": ".".join(map(str, sys.version_info[:3])),
        "process.runtime.description": sys.version,
        "service.instance.id": instance(),
    }
    found.update(_host())
    found.update(_container())
    if settings.environment:
        found["deployment.environment.name"] = settings.environment
    found.update(settings.resource_attributes)
    if settings.service_name:
        found["service.name"] = settings.service_name
    found.setdefault("service.name", program_name())
    return found


def encode(settings: Settings) -> bytes:
    """The content of an OTLP Resource message."""
    return wire.attributes(1, attributes(settings))


def program_name() -> str:
    """A name for a service that nobody named: the script, the module, or what a server was told to load."""
    name, arguments = _command()
    if name in LAUNCHERS:
        target = next((part for part in arguments if ":" in part and "/" not in part and not part.startswith("-")), "")
        name = target.partition(":")[0].partition(".")[0] or name
    return name.removesuffix(".py") or "unknown_service:python"


def _command() -> tuple[str, list[str]]:
    """What the interpreter runs, a script's or a module's name, and the words after it; "" for code and for nothing."""
    words = (getattr(sys, "orig_argv", None) or ["", *sys.argv])[1:]
    while words and words[0].startswith("-") and words[0] not in ("-c", "-m", "-"):
        del words[: 2 if words[0] in ("-W", "-X", "--check-hash-based-pycs") else 1]
    if words[:1] == ["-m"] and len(words) > 1:
        return words[1], words[2:]
    if words[:1] in (["-c"], ["-m"], ["-"], []):
        if sys.argv[0].startswith("-") or not sys.argv[0]:
            return "", []
        words = sys.argv  # a child of multiprocessing is started with code, and then told its parent's words
    path, name = os.path.split(words[0])
    return (os.path.basename(path) if name == "__main__.py" else name), words[1:]


def instance() -> str:
    """`service.instance.id` unless the program has set one: a random UUID."""
    global instance_id
    if not instance_id:
        random = bytearray(os.urandom(16))
        random[6] = random[6] & 0x0F | 0x40  # RFC 9562, version 4
        random[8] = random[8] & 0x3F | 0x80
        digits = random.hex()
        instance_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return instance_id


def _host() -> dict[str, object]:
    system = os.uname()
    found: dict[str, object] = {
        "host.name": system.nodename,
        "host.arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(system.machine, system.machine),
        "os.type": system.sysname.lower(),
        "os.version": system.release,
    }
    machine = _read("/etc/machine-id").strip() or _read("/var/lib/dbus/machine-id").strip()
    if machine:
        found["host.id"] = machine
    return found


def _container() -> dict[str, object]:
    """Container and Kubernetes attributes, from the cgroup, the mounts and what Kubernetes puts into every pod."""
    found: dict[str, object] = {}
    container = _container_id(_read("/proc/self/cgroup")) or _container_id(_read("/proc/self/mountinfo"))
    if container:
        found["container.id"] = container
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        pod = os.environ.get("K8S_POD_NAME") or os.environ.get("POD_NAME") or os.environ.get("HOSTNAME", "")
        namespace = os.environ.get("K8S_NAMESPACE") or _read("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        for key, value in (
            ("k8s.pod.name", pod),
            ("k8s.namespace.name", namespace.strip()),
            ("k8s.pod.uid", os.environ.get("K8S_POD_UID", "")),
            ("k8s.node.name", os.environ.get("K8S_NODE_NAME", "")),
            ("k8s.container.name", os.environ.get("K8S_CONTAINER_NAME", "")),
        ):
            if value:
                found[key] = value
    return found


def _container_id(text: str) -> str:
    """The 64 hexadecimal digits of a container in a cgroup or mount table, or ''."""
    for line in text.splitlines():
        if "containers/" not in line and "docker" not in line and "kubepods" not in line and "libpod" not in line:
            continue
        for part in line.replace(":", "/").replace(".", "/").replace("-", "/").replace(" ", "/").split("/"):
            if len(part) == 64 and all(digit in "0123456789abcdef" for digit in part):
                return part
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65_536)
    except OSError:
        return ""
