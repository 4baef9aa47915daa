"""Prometheus' HTTP API, and those of Mimir and Thanos, which answer as it does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import orjson

from perfagent.hub.remote.client import Answer, said
from perfagent.hub.remote.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfagent.hub.remote.client import Client

QUERY = "/api/v1/query"
RANGE = "/api/v1/query_range"


class Line(NamedTuple):
    """One series of an answer: its labels, and its values by time in whole seconds since the epoch."""

    labels: dict[str, str]
    values: list[tuple[int, float]]


class Found(NamedTuple):
    """The series of an answer.

    Args:
        lines: at most as many as were asked for.
        more: whether there are others.
    """

    lines: list[Line]
    more: bool


class Stretch(NamedTuple):
    """Steps of a range: the first one ends at `begin + step`, the last one at `end`; seconds since the epoch."""

    begin: int
    end: int
    step: int

    @property
    def steps(self) -> int:
        """How many."""
        return (self.end - self.begin) // self.step


class Prometheus:
    """The questions that the hub asks.

    Args:
        client: of its address.
        most: series of an answer; what is beyond them is counted and left out.
    """

    def __init__(self, client: Client, most: int) -> None:
        self.client, self.most = client, most

    def range(self, expression: str, stretch: Stretch) -> Found:
        """The values of an expression at the end of each step.

        Raises:
            RemoteError: there is no answer.
        """
        fields = {
            "query": expression,
            "start": stretch.begin + stretch.step,
            "end": stretch.end,
            "step": stretch.step,
            "limit": self.most + 1,
            "timeout": f"{self.client.timeout:g}s",
        }
        data = self._data(self.client.ask(RANGE, urlencode(fields).encode()))
        return self._found(data, "matrix", "values")

    def now(self, expression: str, moment: float | None = None) -> Found:
        """The values of an expression at one moment; now where none is given. Raises RemoteError."""
        fields: dict[str, Any] = {"query": expression, "limit": self.most + 1, "timeout": f"{self.client.timeout:g}s"}
        if moment is not None:
            fields["time"] = moment
        data = self._data(self.client.ask(QUERY, urlencode(fields).encode()))
        return self._found(data, "vector", "value")

    def labels(self, selector: str, begin: int, end: int) -> set[str]:
        """The names of the labels of a selector's series; raises RemoteError."""
        query = urlencode({"match[]": selector, "start": begin, "end": end, "limit": 1000})
        data = self._data(self.client.ask(f"/api/v1/labels?{query}"))
        return {name for name in data if isinstance(name, str)} if isinstance(data, list) else set()

    def names(self, selector: str, begin: int, end: int) -> list[str]:
        """The names of the metrics that a selector matches, from the index; raises RemoteError."""
        query = urlencode({"match[]": selector, "start": begin, "end": end, "limit": 2000})
        data = self._data(self.client.ask(f"/api/v1/label/__name__/values?{query}"))
        return sorted(name for name in data if isinstance(name, str)) if isinstance(data, list) else []

    def born(self) -> float | None:
        """When its latest hours of samples begin, seconds since the epoch; None where it cannot tell."""
        answer = self.client.ask("/api/v1/status/tsdb?limit=1")
        if answer.status != 200:
            return None  # Mimir and Thanos
        try:
            moment = orjson.loads(answer.body)["data"]["headStats"]["minTime"] / 1000
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return moment if 0 < moment < 1e11 else None

    def _data(self, answer: Answer) -> Any:
        if answer.status != 200:
            raise RemoteError(f"{self.client.name} does not accept a question: {said(answer)}", "refused")
        try:
            document = orjson.loads(answer.body)
            if document["status"] == "success":
                return document["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass
        raise self._garbage()

    def _found(self, data: Any, kind: str, key: str) -> Found:
        try:
            if data["resultType"] != kind:
                raise self._garbage()
            results = data["result"]
            lines = list(_lines(results[: self.most], key))
            return Found(lines, len(results) > self.most)
        except (KeyError, TypeError, ValueError, IndexError):
            raise self._garbage() from None

    def _garbage(self) -> RemoteError:
        shown = self.client.address.shown
        error = RemoteError(
            f"what answers at {shown} is no Prometheus: is PERFAGENT_PROMETHEUS_URL the base of its API?", "garbage"
        )
        self.client.health.count("garbage")
        self.client.health.problem = str(error)
        return error


def _lines(results: Iterable[Any], key: str) -> Iterator[Line]:
    """The series of a result; native histograms, which have no `key`, and what is no finite number are passed over."""
    for one in results:
        pairs = one.get(key)
        if not pairs:
            continue
        values = [
            (round(moment), value)
            for moment, value in ((pair[0], float(pair[1])) for pair in (pairs if key == "values" else [pairs]))
            if math.isfinite(value)
        ]
        if values:
            yield Line(one["metric"], values)
