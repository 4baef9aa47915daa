"""Spans and log records of a sender that is no agent of ours, as OTLP/JSON; and a certificate for a gateway."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVER, ERROR = 2, 2


class Sender:
    """Collects requests, and posts them to a Collector.

    Args:
        url: of its OTLP/HTTP receiver.
        service: the name that is sent.
    """

    def __init__(self, url: str, service: str = "sampled") -> None:
        self._url = url
        self._resource = {"attributes": _attributes({"service.name": service, "service.instance.id": "one"})}
        self._spans: list[dict[str, Any]] = []
        self._logs: list[dict[str, Any]] = []

    def trace(
        self,
        *,
        failed: bool = False,
        seconds: float = 0.01,
        attributes: Mapping[str, str] | None = None,
        event: Mapping[str, str] | None = None,
    ) -> str:
        """Adds a trace of one server span, with an event where attributes of one are given, and returns its id."""
        trace_id, now = os.urandom(16).hex(), time.time_ns()
        self._spans.append(
            {
                "traceId": trace_id,
                "spanId": os.urandom(8).hex(),
                "name": "GET /",
                "kind": SERVER,
                "startTimeUnixNano": str(now - int(seconds * 1e9)),
                "endTimeUnixNano": str(now),
                "attributes": _attributes(attributes or {"http.route": "/"}),
                "events": [{"name": "exception", "attributes": _attributes(event)}] if event else [],
                "status": {"code": ERROR} if failed else {},
            }
        )
        return trace_id

    def log(self, body: str, attributes: Mapping[str, str]) -> None:
        """Adds a log record."""
        self._logs.append(
            {
                "timeUnixNano": str(time.time_ns()),
                "severityNumber": 17,
                "body": {"stringValue": body},
                "attributes": _attributes(attributes),
            }
        )

    def flush(self) -> None:
        """Posts what was added; raises where the Collector does not take it."""
        spans, self._spans = self._spans, []
        logs, self._logs = self._logs, []
        if spans:
            scopes = [{"scope": {"name": "tests"}, "spans": spans}]
            self._post("traces", {"resourceSpans": [{"resource": self._resource, "scopeSpans": scopes}]})
        if logs:
            scopes = [{"scope": {"name": "tests"}, "logRecords": logs}]
            self._post("logs", {"resourceLogs": [{"resource": self._resource, "scopeLogs": scopes}]})

    def _post(self, signal: str, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        request = urllib.request.Request(f"{self._url}/v1/{signal}", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200, response.read()


def certificate(directory: Path) -> None:
    """Makes `ca_file`, `certificate_file` and `key_file` for 127.0.0.1 in a folder."""
    config = directory / "openssl.cnf"
    config.write_text("[ext]\nsubjectAltName=IP:127.0.0.1\n")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout")
    openssl(*new, "ca_key", "-x509", "-days", "1", "-subj", "/CN=tests", "-out", "ca_file")
    openssl(*new, "key_file", "-subj", "/CN=127.0.0.1", "-out", "request")
    signing = ("x509", "-req", "-in", "request", "-CA", "ca_file", "-CAkey", "ca_key", "-CAcreateserial", "-days", "1")
    openssl(*signing, "-extfile", "openssl.cnf", "-extensions", "ext", "-out", "certificate_file")


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
