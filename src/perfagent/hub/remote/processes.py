"""Which process a series is of: one for each service and instance, however many sources tell of it.

A process is told of by the labels of its series, by `target_info`, and by the resource of its spans, each with other
attributes; a hash of all of them, as for what arrives, would make three of one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import orjson

from perfagent.hub.receive.attributes import dumps
from perfagent.hub.remote.names import RESOURCE
from perfagent.hub.store.rows import Resource, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NUMBERS = frozenset(("process.pid",))
LONGEST = 255  # characters of a name
MOST = 20_000  # processes that are remembered


class Processes:
    """What was told of processes so far; may be asked from any thread.

    Args:
        known: rows of the table `resources`.
    """

    def __init__(self, known: Iterable[Mapping[str, Any]] = ()) -> None:
        self._told: dict[int, dict[str, Any]] = {row["id"]: orjson.loads(row["attributes"]) for row in known}
        self._by_target: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def info(self, labels: Mapping[str, str]) -> Resource:
        """The process of a `target_info` series, whose labels from now on stand for its job and instance."""
        if "exported_instance" in labels:  # a Collector's own target tells of the processes that it heard of
            exported = {"job": labels.get("exported_job", ""), "instance": labels["exported_instance"]}
            labels = {**labels, **exported}
        attributes = self._attributes(labels)
        with self._lock:
            self._by_target[labels.get("job", ""), labels.get("instance", "")] = attributes
            if len(self._by_target) > MOST:
                self._by_target.pop(next(iter(self._by_target)))
        return self._known(attributes, labels)

    def of(self, labels: Mapping[str, str]) -> Resource | None:
        """The process of a series; None where nothing says of which service it is."""
        target = self._by_target.get((labels.get("job", ""), labels.get("instance", "")), {})
        attributes = {**target, **self._attributes(labels)}
        if not attributes.get("service.name"):
            job = labels.get("job", "").rpartition("/")[2]
            if not job:
                return None
            attributes["service.name"] = job
        return self._known(attributes, labels)

    def of_spans(self, attributes: dict[str, Any]) -> Resource:
        """The process of a resource of OTLP.

        Its service is `service.name` alone: a namespace is no label of span metrics.
        """
        return self._known(attributes, {})

    @staticmethod
    def _attributes(labels: Mapping[str, str]) -> dict[str, Any]:
        return {
            RESOURCE[label]: int(value) if RESOURCE[label] in NUMBERS and value.isdecimal() else value
            for label, value in labels.items()
            if label in RESOURCE and value
        }

    def _known(self, attributes: Mapping[str, Any], labels: Mapping[str, str]) -> Resource:
        service = str(attributes.get("service.name") or labels.get("job") or "unknown_service")[:LONGEST]
        instance = str(attributes.get("service.instance.id") or labels.get("instance") or "")
        if not instance:
            names = ("k8s.pod.name", "container.id", "host.name", "process.pid")
            instance = ":".join(str(attributes[name]) for name in names if attributes.get(name)) or service
        instance = instance[:LONGEST]
        number = identity("remote", service, instance)
        own = {"service.name": service, "service.instance.id": instance}
        with self._lock:
            told = self._told[number] = {**self._told.get(number, {}), **attributes, **own}
            if len(self._told) > MOST:
                self._told.pop(next(iter(self._told)))
        return Resource(
            number,
            service,
            instance,
            str(told.get("service.version") or "")[:LONGEST],
            str(told.get("deployment.environment.name") or told.get("deployment.environment") or "")[:LONGEST],
            dumps({key: told[key] for key in sorted(told)}),
        )
