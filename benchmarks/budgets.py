"""The budgets of the agent: what it may cost at most."""

from __future__ import annotations

from dataclasses import dataclass

from . import sink
from .figures import Figure, Figures


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper bound of one figure of perfagent's."""

    title: str
    case: str
    what: str
    limit: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget and what was measured; None where the run left it out."""

    budget: Budget
    figure: Figure | None

    @property
    def missed(self) -> bool:
        """Whether the median is above the budget."""
        return self.figure is not None and self.figure.median > self.budget.limit

    @property
    def sure(self) -> bool:
        """Whether the budget lies outside the median's uncertainty; more rounds make it surer."""
        if self.figure is None or self.figure.uncertainty is None:
            return True
        return abs(self.figure.median - self.budget.limit) > self.figure.uncertainty


BUDGETS = (
    Budget("CPU added, FastAPI /hello", "fastapi /hello", "added_cpu_us", 30, "us"),
    Budget("- in relation to opentelemetry-instrument", "fastapi /hello", "added_cpu_ratio_to_otel", 1 / 10),
    Budget("CPU added, FastAPI, five queries", "fastapi /queries", "added_cpu_us", 60, "us"),
    Budget("- in relation to opentelemetry-instrument", "fastapi /queries", "added_cpu_ratio_to_otel", 1 / 10),
    Budget("- in relation to ddtrace-run", "fastapi /queries", "added_cpu_ratio_to_ddtrace", 1 / 5),
    Budget("CPU added, Flask /hello", "flask /hello", "added_cpu_us", 40, "us"),
    Budget("CPU added, Flask, five queries", "flask /queries", "added_cpu_us", 90, "us"),
    Budget("start of `python -c pass`, added", "start", "added_wall_ms", 60, "ms"),
    Budget("- with a hub that it finds", "start, hub", "added_wall_ms", 60, "ms"),
    Budget("memory added, FastAPI", "fastapi", "added_pss_mb", 12, "MB"),
    Budget("memory added, Flask", "flask", "added_pss_mb", 12, "MB"),
    *(
        Budget(f"receiver {mode}: {title}", f"receiver {mode}", what, limit, unit)
        for mode in sink.FAULTS
        for title, what, limit, unit in (
            ("p99 change", "p99_change_ms", 1, "ms"),
            # The queue is bounded: 2,048 spans of about 1 kB, and what a failed export holds on to.
            ("memory over a healthy one", "pss_change_mb", 12, "MB"),
            ("exit on SIGTERM, uvicorn", "fastapi_exit_s", 2, "s"),
            ("exit on SIGTERM, gunicorn", "flask_exit_s", 2, "s"),
        )
    ),
)


def judge(figures: Figures) -> list[Verdict]:
    """The verdict on every budget."""
    return [Verdict(budget, figures.get(budget.case, "perfagent", budget.what)) for budget in BUDGETS]
