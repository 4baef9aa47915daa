"""From definitions to the JSON that Grafana provisions, by Grafana Labs' own models of it."""

from __future__ import annotations

import json
import urllib.parse
import zlib
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmaps
from grafana_foundation_sdk.models import prometheus as queries

from tools.dashboards import limits
from tools.dashboards.parts import COMMON, Figure, Graph, Heatmap, Table, selected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.dashboards.parts import Board, Panel, Row, Variable

METRICS = models.DataSourceRef(type_val="prometheus", uid="${metrics}")
DATASOURCES = (("metrics", "Metrics", "prometheus"), ("traces", "Traces", "jaeger"))
"""Variables, so that the dashboards also work where the data sources have other names; the values are the uids."""

TAG = "perfagent"
DOCUMENTATION = "/public/docs"
"""Where the links to the documentation lead: docs/, mounted among the files that Grafana itself serves."""

QUOTE = '"'
FINEST = "15s"  # between two points of a graph: no one scrapes or exports more often


def render(board: Board, documentation: str = DOCUMENTATION) -> str:
    """A dashboard as the text of its file; `documentation` is the address of docs/."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.tells)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .editable()
        .version(1)
        .annotation(_alerts())
    )
    for name, title, kind in DATASOURCES:
        made.with_variable(
            dashboard.DatasourceVariable(name)
            .label(title)
            .type(kind)
            .current(models.VariableOption(selected=True, text=kind, value=kind))
        )
    for variable in (*COMMON, *board.variables):
        made.with_variable(_variable(variable))
    made.with_variable(dashboard.ConstantVariable("docs").label("Documentation").value(documentation))
    made.link(
        dashboard.DashboardLink("perfagent")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
    made.link(
        dashboard.DashboardLink("Runbook")
        .type(models.DashboardLinkType.LINK)
        .icon("doc")
        .tooltip("what to do when something here is wrong")
        .url(f"${{docs}}/how-to/grafana.md#{board.title.lower().replace(' ', '-')}")
        .target_blank(True)
    )
    for row in board.rows:
        _add(made, row)
    return json.dumps(made.build(), cls=JSONEncoder, indent=2) + "\n"


def explore(tags: Mapping[str, str]) -> str:
    """The address of a search in Grafana's Explore for the traces of a series; `tags` as in `parts.Panel`."""
    words = (
        f"{tag}={what[1:-1] if what[0] == chr(34) else f'${{__field.labels.{what}}}'}" for tag, what in tags.items()
    )
    query = {
        "refId": "A",
        "queryType": "search",
        "service": "${__field.labels.service_name}",
        "tags": " ".join(words),
        "limit": 20,
    }
    query["datasource"] = {"type": "jaeger", "uid": "${traces}"}
    pane = {
        "datasource": "${traces}",
        "queries": [query],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    # Grafana fills in what looks like ${…}, so that alone stays as it is.
    text = urllib.parse.quote(json.dumps({"traces": pane}, separators=(",", ":")), safe="${}:")
    return f"/explore?schemaVersion=1&panes={text}"


def _of_series(label: str) -> str:
    """What Grafana replaces by a label's value."""
    return f"${{__field.labels.{label}}}"


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(METRICS)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertstate="firing", service_name=~"$service_name|"}')
    )


def _variable(variable: Variable) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(METRICS)
        .query(variable.query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(not variable.single)
        .include_all(not variable.single)
    )
    if variable.regex:
        made.regex(variable.regex)
    if variable.single:
        made.current(models.VariableOption(selected=True, text="perfagent", value="perfagent"))
    else:
        # Also matches what lacks the label: not everyone sets an environment.
        made.all_value(".*").current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return made


def _add(board: dashboard.Dashboard, row: Row) -> None:
    title = dashboard.Row(row.title).id(_identity(f"row {row.title}")).collapsed(row.folded)
    if row.folded:
        for panel in row.panels:
            title.with_panel(_panel(panel))
    board.with_row(title)
    if not row.folded:
        for panel in row.panels:
            board.with_panel(_panel(panel))


def _panel(panel: Panel) -> Any:
    made = _looks(panel)
    steps = [models.Threshold(value=value, color=color) for color, value in limits.steps(panel.limit, panel.unit)]
    made.id(_identity(panel.title)).title(panel.title).description(panel.tells).datasource(METRICS)
    made.height(panel.height).span(panel.width).unit(panel.unit).no_value(panel.empty).min(0)
    made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.most is not None:
        made.max(panel.most)
    if panel.limit:
        alert = limits.RUNBOOKS[panel.limit]
        runbook = dashboard.DashboardLink(f"Runbook of {alert}").url(f"${{docs}}/runbooks/{alert}.md")
        made.links([runbook.target_blank(True)])
    if panel.traces is not None:
        made.data_links([dashboard.DashboardLink("Traces in Jaeger").url(explore(panel.traces)).target_blank(True)])
    for letter, (legend, expression) in zip("ABCDEFGH", panel.queries.items(), strict=False):
        made.with_target(_query(panel, letter, legend, expression))
    return made


def _identity(title: str) -> int:
    """The number of a panel: it stays when others come and go, so that links to it stay good."""
    return zlib.crc32(title.encode()) % 1_000_000 + 1


def _query(panel: Panel, letter: str, legend: str, expression: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().ref_id(letter).datasource(METRICS).expr(selected(expression))
    query.editor_mode(queries.QueryEditorMode.CODE)
    if isinstance(panel, Table):
        return query.instant().format(queries.PromQueryFormat.TABLE).legend_format(legend)
    query.range().legend_format(legend).interval(FINEST)
    if isinstance(panel, Heatmap):
        query.format(queries.PromQueryFormat.HEATMAP)
    return query.exemplar("_bucket{" in expression and not isinstance(panel, Figure))


def _looks(panel: Panel) -> Any:
    if isinstance(panel, Graph):
        return _graph(panel)
    if isinstance(panel, Figure):
        return (
            stat.Panel()
            .graph_mode(looks.BigValueGraphMode.AREA)
            .color_mode(looks.BigValueColorMode.VALUE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        )
    if isinstance(panel, Heatmap):
        return (
            heatmap.Panel()
            .calculate(False)
            .y_axis(heatmap.YAxisConfig().unit(panel.unit))
            .color(
                heatmap.HeatmapColorOptions()
                .mode(heatmaps.HeatmapColorMode.SCHEME)
                .scheme("Oranges")
                .scale(heatmaps.HeatmapColorScale.EXPONENTIAL)
                .exponent(0.5)
                .steps(64)
            )
            .filter_values(heatmap.FilterValueRange().le(1e-9))
        )
    assert isinstance(panel, Table)
    return _table(panel)


def _graph(panel: Graph) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(looks.VisibilityMode.NEVER)
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    if panel.limit:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED))
    return made


def _table(panel: Table) -> table.Panel:
    letters = {title: f"Value #{letter}" for letter, title in zip("ABCDEFGH", panel.queries, strict=False)}
    if len(letters) == 1:
        letters = dict.fromkeys(letters, "Value")
    columns = {**dict(panel.labels or {}), **{letter: title for title, letter in letters.items()}}
    made = (
        table.Panel()
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "includeByName": {},
                    "indexByName": {name: position for position, name in enumerate(columns)},
                    "renameByName": columns,
                },
            )
        )
    )
    first = next(iter(panel.queries))
    made.sort_by([common.TableSortByFieldState().display_name(first).desc(True)])
    for title, unit in (panel.units or {}).items():
        made.override_by_name(title, [models.DynamicConfigValue("unit", unit)])
    for title, name in (panel.limits or {}).items():
        steps = [{"color": color, "value": value} for color, value in limits.steps(name, (panel.units or {})[title])]
        colored = {"thresholds": {"mode": "absolute", "steps": steps}, "custom.cellOptions": {"type": "color-text"}}
        made.override_by_name(
            title, [models.DynamicConfigValue(id_val=key, value=value) for key, value in colored.items()]
        )
    return made
