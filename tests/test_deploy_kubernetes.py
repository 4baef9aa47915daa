"""deploy/kubernetes as kustomize renders it: Kubernetes' own schemas, the restricted level of Pod Security, references
that lead somewhere, and the Collectors' own check of what they are given.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from tools.stack.parts import PARTS

from perfagent import __version__
from tests.deploy import KUBERNETES, ROOT, kustomize, tool
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = ("stack", "shop", "overlays/injected", "overlays/operator")
CUSTOM = {"Instrumentation"}  # not Kubernetes' own

Manifest = dict[str, Any]


@pytest.fixture(params=FOLDERS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return kustomize(KUBERNETES / request.param)


def pods(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """What makes pods, and the pods' template."""
    for one in manifests:
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            yield one, one["spec"]["template"]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def selected(manifests: list[Manifest], namespace: str, labels: dict[str, str]) -> list[Manifest]:
    """The templates that a selector chooses."""
    return [
        template
        for owner, template in pods(manifests)
        if owner["metadata"]["namespace"] == namespace and labels.items() <= template["metadata"]["labels"].items()
    ]


def port_names(template: Manifest) -> set[str | int]:
    found: set[str | int] = set()
    for container in template["spec"]["containers"]:
        for port in container.get("ports", []):
            found |= {port["name"], port["containerPort"]}
    return found


def test_kubernetes_takes_every_manifest(manifests: list[Manifest]) -> None:
    for one in manifests:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, "1.37", strict=True)


def test_a_misspelt_field_is_found() -> None:
    wrong = json.loads(json.dumps(kustomize(KUBERNETES / "shop")))
    deployment = named(wrong, "Deployment", "shop")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_names_are_there_once(manifests: list[Manifest]) -> None:
    keys = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests]
    assert len(set(keys)) == len(keys)
    spaces = {one["metadata"]["name"] for one in manifests if one["kind"] == "Namespace"}
    for one in manifests:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] in spaces


def test_pods_are_restricted(manifests: list[Manifest]) -> None:
    """Pod Security Standards, level `restricted`; the node's file system, where it is mounted, is the one exception."""
    for owner, template in pods(manifests):
        name, spec = owner["metadata"]["name"], template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostIPC", "hostPID"} & spec.keys(), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" not in container["resources"]["limits"], f"{name}: a throttled agent slows its program"
        kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"configMap", "emptyDir", "hostPath"}, name
        (space,) = (one for one in manifests if one["kind"] == "Namespace" and _is_of(one, owner))
        level = space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        assert level == ("privileged" if _uses_host(manifests, owner) else "restricted")
        for volume in spec["volumes"]:
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], name
        if "hostPath" in kinds:
            assert name == "collector"
            (mount,) = (one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "node")
            assert mount["readOnly"] is True


def _is_of(space: Manifest, owner: Manifest) -> bool:
    return bool(space["metadata"]["name"] == owner["metadata"]["namespace"])


def _uses_host(manifests: list[Manifest], owner: Manifest) -> bool:
    """Whether any pod in the namespace mounts the node's file system."""
    same = [pod for one, pod in pods(manifests) if one["metadata"]["namespace"] == owner["metadata"]["namespace"]]
    return any("hostPath" in volume for pod in same for volume in pod["spec"]["volumes"])


def test_each_container_is_probed_where_it_listens(manifests: list[Manifest]) -> None:
    for owner, template in pods(manifests):
        for container in template["spec"]["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[kind]["httpGet"]["port"] in port_names(template), (
                    f"{owner['metadata']['name']}: {kind}"
                )
            started, alive = container["startupProbe"], container["livenessProbe"]
            assert started["periodSeconds"] * started["failureThreshold"] >= 60, "a slow start is not a death"
            assert alive["periodSeconds"] * alive["failureThreshold"] >= 30, "a short pause is not a death"


def test_the_probes_pages_are_those_of_the_programs() -> None:
    from examples.shop import payments
    from examples.shop.app import app

    rendered = kustomize(KUBERNETES / "shop")
    for name, program in (("shop", app), ("payments", payments.app)):
        (container,) = named(rendered, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        served = set(program.openapi()["paths"])
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[kind]["httpGet"]["path"] in served


def has(manifests: list[Manifest], kind: str, space: str, name: str) -> bool:
    """Whether there is a manifest of this name."""
    keys = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests}
    return (kind, space, name) in keys


def test_what_pods_name_is_there(manifests: list[Manifest]) -> None:
    for owner, template in pods(manifests):
        space, spec = owner["metadata"]["namespace"], template["spec"]
        assert owner["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        if "serviceAccountName" in spec:
            assert has(manifests, "ServiceAccount", space, spec["serviceAccountName"])
        if "serviceName" in owner["spec"]:
            assert has(manifests, "Service", space, owner["spec"]["serviceName"])
        volumes = {volume["name"] for volume in spec["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
        maps = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            maps += [source["configMapRef"]["name"] for source in container.get("envFrom", [])]
        assert all(has(manifests, "ConfigMap", space, name) for name in maps)


def test_what_services_budgets_and_autoscalers_name_is_there(manifests: list[Manifest]) -> None:
    for one in manifests:
        space, kind = one["metadata"].get("namespace"), one["kind"]
        if kind == "Service":
            chosen = selected(manifests, space, one["spec"]["selector"])
            assert chosen, one["metadata"]["name"]
            targets = {port["targetPort"] for port in one["spec"]["ports"]}
            assert all(targets <= port_names(template) for template in chosen)
        elif kind == "PodDisruptionBudget":
            assert selected(manifests, space, one["spec"]["selector"]["matchLabels"])
        elif kind == "HorizontalPodAutoscaler":
            target = one["spec"]["scaleTargetRef"]
            assert "replicas" not in named(manifests, target["kind"], target["name"])["spec"], "who would win?"


def test_nothing_passes_but_what_is_named(manifests: list[Manifest]) -> None:
    policies = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    for space in {owner["metadata"]["namespace"] for owner, _ in pods(manifests)}:
        closed = [one["spec"] for one in policies if one["metadata"]["namespace"] == space]
        assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in closed
    for one in policies:
        space, spec = one["metadata"]["namespace"], one["spec"]
        chosen = selected(manifests, space, spec["podSelector"].get("matchLabels", {}))
        assert chosen, one["metadata"]["name"]
        for rule in spec.get("ingress", []):
            assert rule["from"], "an empty list is everybody"
            for port in rule["ports"]:
                assert all(port["port"] in port_names(template) for template in chosen), one["metadata"]["name"]
        for rule in spec.get("egress", []):
            assert rule["to"]
            assert rule["ports"]


@pytest.mark.parametrize(
    ("sender", "taker", "port"),
    [("shop/shop", "shop/payments", 8001), ("shop/shop", "perfagent/collector", 4318),
     ("shop/payments", "perfagent/collector", 4318), ("perfagent/collector", "perfagent/gateway", 4317)],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["overlays/injected", "overlays/operator"])
def test_telemetry_and_calls_may_pass(folder: str, sender: str, taker: str, port: int) -> None:
    manifests = kustomize(KUBERNETES / folder)
    (from_space, from_name), (to_space, to_name) = sender.split("/"), taker.split("/")
    labels = {
        one["metadata"]["name"]: {**one["metadata"]["labels"], "kubernetes.io/metadata.name": one["metadata"]["name"]}
        for one in manifests
        if one["kind"] == "Namespace"
    }
    (target,) = selected(manifests, to_space, {"app.kubernetes.io/name": to_name})
    numbers = {one["name"]: one["containerPort"] for one in target["spec"]["containers"][0]["ports"]}

    def allows(peers: list[Manifest], own: str, space: str, name: str) -> bool:
        for peer in peers:
            spaces = peer.get("namespaceSelector")
            near = space == own if spaces is None else spaces["matchLabels"].items() <= labels[space].items()
            wanted = peer.get("podSelector", {}).get("matchLabels", {})
            if near and wanted.items() <= {"app.kubernetes.io/name": name}.items():
                return True
        return False

    def passes(direction: str, space: str, name: str, other_space: str, other_name: str) -> bool:
        peers = {"egress": "to", "ingress": "from"}[direction]
        for one in manifests:
            if one["kind"] != "NetworkPolicy" or one["metadata"]["namespace"] != space:
                continue
            wanted = one["spec"]["podSelector"].get("matchLabels", {})
            if not wanted.items() <= {"app.kubernetes.io/name": name}.items():
                continue
            for rule in one["spec"].get(direction, []):
                open_ports = {numbers.get(given["port"], given["port"]) for given in rule["ports"]}
                if port in open_ports and allows(rule[peers], space, other_space, other_name):
                    return True
        return False

    assert passes("egress", from_space, from_name, to_space, to_name)
    assert passes("ingress", to_space, to_name, from_space, from_name)
    assert not passes("ingress", to_space, to_name, "perfagent", "hub")


def test_configmaps_are_the_files_of_the_collector() -> None:
    rendered = kustomize(KUBERNETES / "stack")
    content = {}
    for one in rendered:
        if one["kind"] == "ConfigMap":
            content.update(one["data"])
    for name in ("agent.yaml", "gateway.yaml"):
        assert content[name] == (ROOT / "collector" / name).read_text()


def test_images_are_of_the_versions_that_are_tested(manifests: list[Manifest]) -> None:
    for owner, template in pods(manifests):
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            image, _, tag = container["image"].rpartition(":")
            wanted = PARTS["collector"].version if image.startswith("otel/") else __version__
            assert tag == wanted, owner["metadata"]["name"]


class Mounted:
    """The container of a workload, with what its volumes hold in a folder.

    Args:
        owner: its name.
        kind: of the owner.
        directory: where the volumes are.
    """

    def __init__(self, kind: str, owner: str, directory: Path) -> None:
        rendered = kustomize(KUBERNETES / "stack")
        template = named(rendered, kind, owner)["spec"]["template"]
        (self.container,) = template["spec"]["containers"]
        held = {
            volume["name"]: named(rendered, "ConfigMap", volume["configMap"]["name"])["data"]
            for volume in template["spec"]["volumes"]
            if "configMap" in volume
        }
        self.arguments = list(self.container["args"])
        for mount in sorted(self.container["volumeMounts"], key=lambda one: -len(one["mountPath"])):
            folder = directory / mount["name"]
            folder.mkdir(parents=True)
            for name, text in held.get(mount["name"], {}).items():
                (folder / name).write_text(text)
            self.arguments = [word.replace(f"={mount['mountPath']}/", f"={folder}/") for word in self.arguments]
        self.environ = {one["name"]: one["value"] for one in self.container["env"] if "value" in one}
        for source in self.container.get("envFrom", []):
            self.environ |= named(rendered, "ConfigMap", source["configMapRef"]["name"])["data"]
        self.environ |= {"HOSTNAME": "a-node", "STORAGE": str(directory / "storage")}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("DaemonSet", "collector"), ("StatefulSet", "gateway")])
def test_the_collectors_take_what_the_pods_give_them(tmp_path: Path, kind: str, name: str) -> None:
    mounted = Mounted(kind, name, tmp_path)
    done = subprocess.run(
        [tool("collector"), "validate", *mounted.arguments],
        env=mounted.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    limit = int(mounted.environ["MEMORY_MIB"])
    text = mounted.container["resources"]["limits"]["memory"]
    assert int(text.removesuffix("Mi")) >= 1.3 * limit


@pytest.mark.slow
def test_the_collectors_find_gateways_by_name(tmp_path: Path) -> None:
    """Both as the pods run them, where the name `gateways` is this machine: a log record ends in the gateway's file."""
    ports = {name: str(find_free_port()) for name in ("grpc", "http")}
    gateway = Mounted("StatefulSet", "gateway", tmp_path / "gateway")
    collector = Mounted("DaemonSet", "collector", tmp_path / "collector")
    path = tmp_path / "collector" / "resolver" / "resolver.yaml"
    resolver = path.read_text()
    assert yaml.safe_load(resolver)["exporters"]["load_balancing/logs"]["resolver"]["dns"]["hostname"] == "gateways"
    path.write_text(resolver.replace("hostname: gateways", "hostname: 127.0.0.1").replace("4317", ports["grpc"]))
    logs = tmp_path / "logs.jsonl"
    programs: list[Program] = []
    try:
        for mounted, own in ((gateway, {"OTLP_GRPC_PORT": ports["grpc"], "LOGS": str(logs)}),
                             (collector, {"OTLP_HTTP_PORT": ports["http"]})):  # fmt: skip
            names = ("OTLP_GRPC", "OTLP_HTTP", "HEALTH", "TELEMETRY", "SPAN_METRICS")
            free = {f"{name}_PORT": str(find_free_port()) for name in names}
            output = tmp_path / f"output-{len(programs)}"
            output.mkdir()
            env = {**mounted.environ, **free, **own, "LISTEN": "127.0.0.1"}
            programs.append(Program((tool("collector"), *mounted.arguments), output, env))
        programs[0].wait_for_port(int(ports["grpc"]))
        programs[1].wait_for_port(int(ports["http"]))
        record = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": "from a pod"}, "traceId": "5b" * 16}
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
        url = f"http://127.0.0.1:{ports['http']}/v1/logs"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()
        programs[0].wait_until(lambda: logs.exists() and "from a pod" in logs.read_text(), "the gateway got nothing")
    finally:
        for program in programs:
            program.stop()


# What the operator's CustomResourceDefinition (0.158) knows of these objects; the operator is not to be had as a Go
# module, so its file cannot be asked.
KNOWN = {
    "spec": {
        "exporter",
        "propagators",
        "sampler",
        "initContainerSecurityContext",
        "python",
        "resource",
        "env",
        "defaults",
    },
    "exporter": {"endpoint", "tls"},
    "sampler": {"type", "argument"},
    "python": {"image", "env", "volumeLimitSize", "volumeClaimTemplate", "resourceRequirements"},
}


def test_the_operator_finds_its_resource_and_the_pods_that_it_is_for() -> None:
    rendered = kustomize(KUBERNETES / "overlays/operator")
    (one,) = (one for one in rendered if one["kind"] == "Instrumentation")
    assert one["apiVersion"] == "opentelemetry.io/v1alpha1"
    spec = one["spec"]
    assert spec.keys() <= KNOWN["spec"]
    for part in ("exporter", "sampler", "python"):
        assert spec[part].keys() <= KNOWN[part], part
    assert spec["python"]["image"] == f"perfagent-agent:{__version__}"
    for name in ("shop", "payments"):
        deployment = named(rendered, "Deployment", name)
        template = deployment["spec"]["template"]
        assert template["metadata"]["annotations"] == {
            "instrumentation.opentelemetry.io/inject-python": one["metadata"]["name"]
        }
        assert deployment["metadata"]["namespace"] == one["metadata"]["namespace"]
        # The operator puts PYTHONPATH itself, and refuses one that comes from elsewhere than a value.
        assert "PYTHONPATH" not in {given["name"] for given in template["spec"]["containers"][0]["env"]}
    # The init container gets this, so the pod stays what its namespace admits.
    context = spec["initContainerSecurityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
