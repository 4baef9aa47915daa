"""What Prometheus knows of a topic's consumers: counters over a window, to the very message.

`increase()` extrapolates to the window's edges and cannot count; here the raw samples are read. A series' count is that
of its last sample, less that of the last one before the window began; a series that began within the window began at
zero, and one that falls has been reset.
"""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

LOOK_BACK = 300  # seconds before the window in which a series' last sample is looked for, as Prometheus itself does
CONSUMED = "messaging_client_consumed_messages_total"
PROCESSED = "messaging_process_duration_seconds_count"
PROCESSING = "messaging_process_duration_seconds_sum"
GROUP = "messaging_consumer_group_name"

Labels = dict[str, str]
Bucket = tuple[float, float]  # upper bound in seconds, and how many are not above it


class Growth(NamedTuple):
    """By how much one series has grown, and the moment of the sample that showed all of it first; else 0."""

    labels: Labels
    value: float
    moment: float


class PrometheusError(Exception):
    """Why Prometheus did not answer, for people."""


class Prometheus:
    """A Prometheus' HTTP interface.

    Args:
        url: its address, http or https, such as http://localhost:9090; a path is put before the interface's.
        headers: sent with every request, such as an Authorization.
        tls: how its certificate is checked; the system's way when left out.
        timeout: longest wait for an answer, in seconds.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10,
    ) -> None:
        self.url = url
        self._headers = dict(headers or {})
        self._tls = tls
        self.timeout = timeout

    def increments(self, metric: str, topic: str, since: float, until: float) -> list[Growth]:
        """By how much each series of a topic has grown in a window.

        Args:
            metric: the name of a counter.
            topic: `messaging_destination_name`.
            since: when the window begins, in seconds since the epoch.
            until: when it ends.

        Raises:
            PrometheusError: there is no answer.
        """
        name = topic.replace("\\", "\\\\").replace('"', '\\"')
        window = math.ceil((until - since + LOOK_BACK) * 1000)
        query = f'{metric}{{messaging_destination_name="{name}"}}[{window}ms]'
        found = self.ask(query, until)
        return [Growth(one["metric"], *growth(one["values"], since)) for one in found]

    def ask(self, query: str, moment: float) -> list[Any]:
        """The result of an instant query; raises PrometheusError."""
        words = urlencode({"query": query, "time": f"{moment:.3f}"})
        # Who has made us has checked the scheme.
        request = urllib.request.Request(f"{self.url}/api/v1/query?{words}", headers=self._headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self.timeout, context=self._tls) as answer:  # noqa: S310
                told = json.load(answer)
            return list(told["data"]["result"])
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"Prometheus at {self.url} answered {error.code}: {_reason(error)}") from None
        except urllib.error.URLError as error:
            raise PrometheusError(f"Prometheus at {self.url} cannot be asked: {error.reason}") from None
        except OSError as error:
            raise PrometheusError(f"Prometheus at {self.url} cannot be asked: {error}") from None
        except (ValueError, KeyError, TypeError, http.client.HTTPException):
            raise PrometheusError(f"{self.url} answers, but not as Prometheus does") from None


def growth(samples: list[tuple[float, str]], since: float) -> tuple[float, float]:
    """By how much a counter has grown after `since`, and when it did so last.

    Args:
        samples: moment and value, oldest first, as Prometheus answers.
        since: seconds since the epoch.
    """
    grown, last, before = 0.0, 0.0, 0.0
    for moment, text in samples:
        value = float(text)
        if moment > since and value != before:
            grown += value - before if value >= before else value
            last = moment
        before = value
    return grown, last


def by_group(increments: list[Growth]) -> dict[str, float]:
    """Growth added up for each consumer group; "" for consumers without one."""
    found: dict[str, float] = defaultdict(float)
    for one in increments:
        found[one.labels.get(GROUP, "")] += one.value
    return dict(found)


def ends(increments: list[Growth]) -> dict[str, float]:
    """When each consumer group's counters have grown last."""
    found: dict[str, float] = defaultdict(float)
    for one in increments:
        group = one.labels.get(GROUP, "")
        found[group] = max(found[group], one.moment)
    return dict(found)


def buckets(increments: list[Growth], group: str) -> list[Bucket]:
    """The cumulative buckets of a histogram of one group, ascending."""
    found: dict[float, float] = defaultdict(float)
    for one in increments:
        if one.labels.get(GROUP, "") == group:
            found[float(one.labels["le"])] += one.value
    return sorted(found.items())


def quantile(share: float, cumulative: list[Bucket]) -> float | None:
    """A quantile of cumulative buckets, as `histogram_quantile` interpolates it; None where they are empty.

    Args:
        share: from 0 to 1.
        cumulative: as `buckets` returns them.
    """
    total = cumulative[-1][1] if cumulative else 0
    if not total:
        return None
    wanted = share * total
    low = below = 0.0
    for bound, count in cumulative:
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / (count - below) if count > below else bound
        low, below = bound, count
    return low


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)
