"""What the deprecation ledger is told."""

from __future__ import annotations

from perfagent.settings.options import Flag, Whole
from perfagent.settings.source import Table


class DeprecationSettings(Table):
    """Whether deprecated calls are counted, which, and how many places are told apart; arguments as for `Table`."""

    title = "Deprecations"

    counted = Flag(
        "PERFAGENT_DEPRECATIONS",
        True,
        "Whether every DeprecationWarning and every call of what PEP 702 marks is counted with the line that makes it.",
    )
    future = Flag(
        "PERFAGENT_DEPRECATIONS_FUTURE",
        True,
        "Whether a FutureWarning counts too: Python's own category for what is deprecated for the users of a program, "
        "and the one that pandas, NumPy and scikit-learn use.",
    )
    sites = Whole(
        "PERFAGENT_DEPRECATIONS_SITES",
        1000,
        "Most places a process tells apart; calls from further ones are counted together.",
        "sites",
        1,
        100_000,
    )
