"""Deprecation usage: what is deprecated and still called, by whom, and whether it fades."""

from __future__ import annotations

from tools.dashboards.boards.shared import rate
from tools.dashboards.parts import Board, Figure, Graph, Row, Table

CALLS = "deprecated_function_calls_total"
FUNCTION = "service_name, function"

BOARD = Board(
    uid="perfagent-deprecations",
    title="Deprecation usage",
    tells="What is deprecated and still called: what has to move before it can be taken away.",
    rows=(
        Row(
            "Calls",
            (
                Figure(
                    "Calls",
                    "cps",
                    {"": f"{rate(CALLS)} or vector(0)"},
                    "Calls of deprecated functions in a second.",
                    width=6,
                ),
                Figure(
                    "Functions still called",
                    "short",
                    {"": f"count (sum by (function) (increase({CALLS}{{<process>}}[$__range])) > 0) or vector(0)"},
                    "Deprecated functions with at least one call in the whole range.",
                    width=6,
                ),
                Figure(
                    "Services that call them",
                    "short",
                    {"": f"count (sum by (service_name) (increase({CALLS}{{<process>}}[$__range])) > 0) or vector(0)"},
                    "Services with at least one such call in the whole range.",
                    width=6,
                ),
                Figure(
                    "Calls in this range",
                    "short",
                    {"": f"sum (increase({CALLS}{{<process>}}[$__range])) or vector(0)"},
                    "Calls of deprecated functions in the whole range.",
                    width=6,
                ),
                Graph(
                    "Which deprecated functions are called?",
                    "cps",
                    {"{{service_name}} {{function}}": rate(CALLS, by=FUNCTION)},
                    "Calls a second, by function. One that stays at 0 over a full cycle of the business can go.",
                    stacked=True,
                    width=12,
                    traces={},
                    empty="no deprecated function was called",
                ),
                Graph(
                    "Do the calls fade?",
                    "short",
                    {"{{function}}": f"sum by (function) (increase({CALLS}{{<process>}}[1d]))"},
                    "Calls in the last 24 hours at each moment: choose a range of weeks to see the trend.",
                    width=12,
                    empty="no deprecated function was called",
                ),
                Table(
                    "What is left to move?",
                    "short",
                    {
                        "calls": f"sum by ({FUNCTION}) (increase({CALLS}{{<process>}}[$__range]))",
                        "a second now": rate(CALLS, by=FUNCTION),
                    },
                    "By service and function. The program says once who calls, with file and line.",
                    labels={"service_name": "service", "function": "function"},
                    units={"a second now": "cps"},
                    empty="no deprecated function was called",
                    height=10,
                ),
            ),
        ),
    ),
)
