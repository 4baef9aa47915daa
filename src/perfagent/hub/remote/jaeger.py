"""Jaeger's query API, version 3: traces as OTLP in JSON.

It has no cursor and no order but the newest first; an older page is asked for by an earlier end. Its HTTP form knows no
filter by attributes, so these are looked for in what it gives.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from perfagent.hub.remote.client import Answer, said
from perfagent.hub.remote.errors import RemoteError

if TYPE_CHECKING:
    from perfagent.hub.remote.client import Client

BASE = "/api/v3"
MOST = 1_500
"""Traces of one answer: what Jaeger's own page asks for at most."""


class Jaeger:
    """The questions that the hub asks.

    Args:
        client: of its address.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def services(self) -> list[str]:
        """The services that it has traces of; raises RemoteError."""
        found = self._documents(self.client.ask(f"{BASE}/services"))
        names = found[0].get("services") if found else None
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def find(
        self,
        service: str,
        begin: float,
        end: float,
        most: int,
        operation: str = "",
        least_ms: float | None = None,
        most_ms: float | None = None,
    ) -> list[dict[str, Any]]:
        """The newest traces with a span that is as told, as documents of OTLP.

        Args:
            service: that the span is of.
            begin, end: when the trace began, seconds since the epoch.
            most: traces.
            operation: the span's name; any when empty.
            least_ms, most_ms: how long the span took.

        Raises:
            RemoteError: there is no answer.
        """
        fields: dict[str, Any] = {
            "query.service_name": service,
            "query.start_time_min": _moment(begin),
            "query.start_time_max": _moment(end),
            "query.num_traces": min(most, MOST),
        }
        if operation:
            fields["query.operation_name"] = operation
        if least_ms:
            fields["query.duration_min"] = f"{least_ms * 1000:.0f}us"
        if most_ms is not None:
            fields["query.duration_max"] = f"{most_ms * 1000:.0f}us"
        return self._traces(self.client.ask(f"{BASE}/traces?{urlencode(fields)}"))

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of one trace, as documents of OTLP; none where there is no such trace. Raises RemoteError."""
        return self._traces(self.client.ask(f"{BASE}/traces/{quote(trace_id, safe='')}"))

    def _traces(self, answer: Answer) -> list[dict[str, Any]]:
        if answer.status == 404:
            return []
        found = [document.get("result") for document in self._documents(answer)]
        if not all(isinstance(one, dict) for one in found):
            raise self._garbage()
        return [one for one in found if one]

    def _documents(self, answer: Answer) -> list[dict[str, Any]]:
        """The documents of an answer: a stream of them, one a line, where there is more than one."""
        if answer.status != 200:
            raise RemoteError(f"{self.client.name} does not accept a question: {said(answer)}", "refused")
        try:
            try:
                found = [orjson.loads(answer.body)]
            except orjson.JSONDecodeError:
                found = [orjson.loads(line) for line in answer.body.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            raise self._garbage() from None
        if not found or not all(isinstance(one, dict) for one in found):
            raise self._garbage()
        if error := found[0].get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            raise RemoteError(f"{self.client.name} failed: {str(message)[:200]}", "refused")
        return found

    def _garbage(self) -> RemoteError:
        shown = self.client.address.shown
        error = RemoteError(
            f"what answers at {shown} is no Jaeger 2: is PERFAGENT_JAEGER_URL its query address, port 16686?", "garbage"
        )
        self.client.health.count("garbage")
        self.client.health.problem = str(error)
        return error


def _moment(seconds: float) -> str:
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{round((seconds - whole) * 1e6):06d}Z"
