"""What a dashboard is made of: boards, rows and panels, as plain data.

In an expression `<process>` stands for the labels that choose the processes of the selected services, and `<service>`
for those of series that belong to a service as a whole, such as the collectors' span metrics; `<ns>` for the prefix of
perfagent's own metrics, PERFAGENT_NAMESPACE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = 'deployment_environment_name=~"$environment", service_name=~"$service_name"'
PROCESS = f'{SERVICE}, service_instance_id=~"$instance"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; what it looks like is the subclass.

    Args:
        title: a question, or a plain noun.
        unit: Grafana's name of it.
        queries: the expressions, each by the legend of its series.
        tells: what it shows and what to do about it, for the tooltip of the title.
        limit: the threshold of the hub that colours it.
        empty: what it says where there is nothing.
        traces: where given, each series leads to its traces in Jaeger; the tags of the search, with values that are
            labels of the series, such as {"http.route": "http_route"}, or constants in quotes.
        width: of 24.
        most: the end of the axis, where a value cannot be higher.
    """

    title: str
    unit: str
    queries: Mapping[str, str]
    tells: str
    limit: str = ""
    empty: str = "nothing in this time"
    traces: Mapping[str, str] | None = None
    width: int = 8
    height: int = 8
    most: float | None = None

    def expressions(self) -> list[str]:
        """The queries as Prometheus gets them, but for Grafana's variables."""
        return [selected(expression) for expression in self.queries.values()]


@dataclass(frozen=True, slots=True)
class Graph(Panel):
    """Lines over time.

    Args:
        stacked: for parts of a whole.
    """

    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Figure(Panel):
    """One number, coloured by its limit, over the course of it."""

    empty: str = "-"
    width: int = 4
    height: int = 4


@dataclass(frozen=True, slots=True)
class Heatmap(Panel):
    """The distribution of a histogram over time; the one query sums its buckets by `le`."""


@dataclass(frozen=True, slots=True)
class Table(Panel):
    """One line for each set of labels, one column for each query, whose legend is the column's title.

    Args:
        labels: the columns before those, as label and title.
        units: of single columns, by title.
        limits: of single columns, by title.
    """

    labels: Mapping[str, str] | None = None
    units: Mapping[str, str] | None = None
    limits: Mapping[str, str] | None = None
    width: int = 24


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a title; `folded` hides them, and spares their queries, until someone looks."""

    title: str
    panels: tuple[Panel, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard.

    Args:
        name: as the queries have it after `$`.
        title: as people see it.
        query: `label_values(SERIES, LABEL)` or `metrics(REGEX)`.
        regex: what of a value counts, by its group.
        single: whether exactly one can be chosen, in place of several or all.
    """

    name: str
    title: str
    query: str
    regex: str = ""
    single: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Args:
        uid: part of its address; never changes.
        variables: those it has besides environment, service and instance.
    """

    uid: str
    title: str
    tells: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    @property
    def panels(self) -> list[Panel]:
        """All panels, from top to bottom."""
        return [panel for row in self.rows for panel in row.panels]


def selected(expression: str) -> str:
    """An expression with what `<process>`, `<service>` and `<ns>` stand for."""
    return expression.replace("<process>", PROCESS).replace("<service>", SERVICE).replace("<ns>", "${namespace}")


_SEEN = "process_uptime_seconds|http_server_request_duration_seconds_count|traces_span_metrics_calls_total"
"""What everything that is observed has one of: our agents, other SDKs, and what sends spans alone."""

_ENVIRONMENT = 'deployment_environment_name=~"$environment"'
COMMON = (
    Variable("environment", "Environment", f'label_values({{__name__=~"{_SEEN}"}}, deployment_environment_name)'),
    Variable("service_name", "Service", f'label_values({{__name__=~"{_SEEN}", {_ENVIRONMENT}}}, service_name)'),
    Variable("instance", "Instance", f"label_values(process_uptime_seconds{{{SERVICE}}}, service_instance_id)"),
    Variable(
        "namespace", "Namespace", "metrics(.+_gc_pause_seconds_count)", regex="(.*)_gc_pause_seconds_count", single=True
    ),
)
"""What every dashboard lets choose."""
