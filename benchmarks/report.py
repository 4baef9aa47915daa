"""The results as tables for people and as JSON for machines."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import servers, sink, start
from .budgets import Verdict
from .figures import Figure, Figures
from .plan import Plan

_PACKAGES = (
    "perfagent", "opentelemetry-sdk", "opentelemetry-distro", "ddtrace",
    "fastapi", "starlette", "uvicorn", "flask", "werkzeug", "gunicorn",
)  # fmt: skip
_NOTHING = "-"


def show(figures: Figures, verdicts: list[Verdict]) -> None:
    """Print every table that has something in it, the budgets last."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    for program in servers.PROGRAMS.values():
        for route in servers.ROUTES:
            case = f"{program.name} {route}"
            _print(console, f"{program.title}, {route}", _ROUTE_COLUMNS, figures, case)
        _print(console, f"{program.title}: memory and what arrived", _PROGRAM_COLUMNS, figures, program.name)
    _print(console, "python -c pass", _START_COLUMNS, figures, start.CASE)
    _print_faults(console, figures)
    _print_budgets(console, verdicts)


# Heading, quantity, format of the number.
_ROUTE_COLUMNS = (
    ("one by one: CPU us a request", "cpu_us", ".0f"),
    ("added us", "added_cpu_us", "+.1f"),
    ("400/s: added us", "steady_added_cpu_us", "+.0f"),
    ("p50 ms", "steady_p50_ms", ".2f"),
    ("p99 ms", "steady_p99_ms", ".2f"),
    ("full speed: requests/s", "full_requests_per_s", ".0f"),
    ("of bare", "throughput_ratio", ".0%"),
)
# The ones shown with their uncertainty: those that a budget hangs on.
_UNCERTAIN = ("added_cpu_us", "added_wall_ms", "p99_change_ms")
_PROGRAM_COLUMNS = (
    ("PSS MB", "pss_mb", ".1f"),
    ("added MB", "added_pss_mb", "+.1f"),
    ("RSS MB", "rss_mb", ".1f"),
    ("idle CPU ms/s", "idle_cpu_ms_per_s", ".2f"),
    ("spans a request", "spans_per_request", ".4f"),
    ("spans a query", "spans_per_query", ".4f"),
    ("other spans a request", "other_spans_per_request", ".2f"),
    ("metric points", "metric_points", ".0f"),
    ("bytes a request", "bytes_per_request", ".0f"),
    ("full speed: spans a request", "full_spans_per_request", ".4f"),
)
_START_COLUMNS = (
    ("wall ms", "wall_ms", ".0f"),
    ("added ms", "added_wall_ms", "+.1f"),
    ("CPU ms", "cpu_ms", ".0f"),
    ("added CPU ms", "added_cpu_ms", "+.1f"),
)
_FAULT_COLUMNS = (
    ("p99 ms", "p99_ms", ".2f"),
    ("change ms", "p99_change_ms", "+.2f"),
    ("PSS MB", "pss_mb", ".1f"),
    ("change MB", "pss_change_mb", "+.1f"),
    ("growth under load MB", "pss_growth_mb", "+.1f"),
    ("exit s, uvicorn", "fastapi_exit_s", ".2f"),
    ("spans a request", "fastapi_delivered", ".4f"),
    ("exit s, gunicorn", "flask_exit_s", ".2f"),
    ("spans a request", "flask_delivered", ".4f"),
)


def _print(
    console: Console, title: str, columns: tuple[tuple[str, str, str], ...], figures: Figures, case: str
) -> None:
    agents = figures.agents(case)
    if not agents:
        return
    table = _table(title, "agent", [heading for heading, _, _ in columns])
    for agent in agents:
        table.add_row(agent, *(_cell(figures.get(case, agent, what), form) for _, what, form in columns))
    console.print(table)


def _print_faults(console: Console, figures: Figures) -> None:
    table = _table("perfagent by state of the receiver", "receiver", [heading for heading, _, _ in _FAULT_COLUMNS])
    for mode in (sink.HEALTHY, *sink.FAULTS):
        case = f"receiver {mode}"
        for agent in figures.agents(case):
            table.add_row(mode, *(_cell(figures.get(case, agent, what), form) for _, what, form in _FAULT_COLUMNS))
    if table.row_count:
        console.print(table)


def _print_budgets(console: Console, verdicts: list[Verdict]) -> None:
    table = _table("Budgets", "what", ["budget", "measured", "verdict"])
    for verdict in verdicts:
        if verdict.figure is None:
            continue
        unit = verdict.budget.unit
        measured = f"{verdict.figure.median:.3g}"
        if verdict.figure.uncertainty:
            measured += f" ± {verdict.figure.uncertainty:.2g}"
        word = "[red]missed" if verdict.missed else "[green]kept"
        if not verdict.sure:
            word += ", not sure"
        table.add_row(verdict.budget.title, f"{verdict.budget.limit:g} {unit}", f"{measured} {unit}", f"{word}[/]")
    if table.row_count:
        console.print(table)
    if left_out := len(verdicts) - table.row_count:
        console.print(f"{left_out} of {len(verdicts)} budgets are not measured in this run.")


def _table(title: str, first: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _cell(figure: Figure | None, form: str) -> str:
    """The median, and for some how far it may be off."""
    if figure is None:
        return _NOTHING
    if figure.what not in _UNCERTAIN or figure.uncertainty is None:
        return format(figure.median, form)
    return f"{figure.median:{form}} [dim]± {figure.uncertainty:{form.lstrip('+')}}[/]"


def write(
    folder: Path,
    figures: Figures,
    verdicts: list[Verdict],
    plan: Plan,
    arguments: list[str],
    before: dict[str, object],
) -> Path:
    """Write everything as JSON into a new file in `folder` and return its path; `before` is what `machine` gave."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%S.json")
    result = {
        "arguments": arguments,
        "plan": dataclasses.asdict(plan),
        "machine": before,
        "budgets": [
            {
                "title": verdict.budget.title,
                "case": verdict.budget.case,
                "what": verdict.budget.what,
                "limit": verdict.budget.limit,
                "measured": verdict.figure.median if verdict.figure else None,
                "missed": verdict.missed,
                "sure": verdict.sure,
            }
            for verdict in verdicts
        ],
        "figures": figures.as_json(),
    }
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def machine() -> dict[str, object]:
    """The machine, what else it was doing when the run began, and the versions of all that was measured."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "packages": versions,
    }
