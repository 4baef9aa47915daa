"""The hub's thresholds as the coloured steps of a panel, so that a limit is defined once."""

from __future__ import annotations

from typing import NamedTuple

from perfagent.hub.analyse.thresholds import DEFAULTS
from perfagent.hub.rules.burn import BURNS, FAST
from perfagent.hub.rules.figures import FIGURES

FACTORS = {("ms", "s"): 0.001, ("ms", "ms"): 1.0, ("%", "percentunit"): 0.01, ("%", "percent"): 1.0}
"""From a threshold's unit to a panel's."""

BURN = "slo_burn"
"""Stands for the factors of the burn-rate alerts: how many times faster than allowed an error budget burns."""

RUNBOOKS = {figure.threshold: figure.alert for figure in FIGURES} | {BURN: FAST}
"""The runbook of each limit, which has the name of its alert."""

MONTH = 30 * 24  # hours that an error budget is for, where an objective says nothing else


class Step(NamedTuple):
    """A colour from a value on; None is from the lowest."""

    color: str
    value: float | None


def steps(name: str, unit: str) -> list[Step]:
    """The steps of a threshold in the unit of a panel; one green one for no name.

    Raises:
        KeyError: there is no such threshold.
        ValueError: the units do not fit.
    """
    if not name:
        return [Step("green", None)]
    if name == BURN:
        factors = [burn.spent * MONTH / burn.hours for burn in BURNS]
        return [Step("green", None), Step("yellow", min(factors)), Step("red", max(factors))]
    threshold = DEFAULTS[name]
    if threshold.unit == unit or not threshold.unit:
        factor = 1.0
    elif (threshold.unit, unit) in FACTORS:
        factor = FACTORS[threshold.unit, unit]
    else:
        raise ValueError(f"threshold {name} is in {threshold.unit!r}, and a panel in {unit!r} cannot show it")
    warning, critical = (
        None if limit is None else round(limit * factor, 9) for limit in (threshold.warning, threshold.critical)
    )
    if threshold.comparison == "less":
        # Of one limit there is no yellow: below it is what the limit is for.
        lowest = "red" if critical is not None else "yellow"
        least = warning if warning is not None else critical
        found = [Step(lowest, None), Step("yellow", critical), Step("green", least)]
        return [found[0], *(step for step in found[1:] if step.value is not None and step.color != lowest)]
    found = [Step("green", None), Step("yellow", warning), Step("red", critical)]
    return [found[0], *(step for step in found[1:] if step.value is not None)]
