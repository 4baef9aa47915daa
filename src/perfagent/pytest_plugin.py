"""What pytest loads of perfagent: its options and its marker. The rest is imported where a run asks for budgets.

What that costs every other start: 1 ms for this module, and 50 ms that pytest takes to read the list of our files, as
it does for each distribution with a plugin, to know whose assertions to rewrite. A distribution of its own, of this
module alone, would save these.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

MARKER = (
    "perfagent(queries=…, duplicate_queries=…, calls=…, cache_calls=…, time=…, cpu=…, memory=…): the most that the "
    'test may use, such as queries=5, time="200ms"; judged with --perfagent'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("perfagent", "performance budgets (perfagent)")
    group.addoption(
        "--perfagent", action="store_true", help="measure the tests, and fail those that are over their budget"
    )
    group.addoption(
        "--perfagent-output",
        choices=("auto", "text", "github"),
        default="auto",
        help="github: an annotation at the line, and the job's summary; auto: that where GITHUB_ACTIONS is true",
    )
    group.addoption("--perfagent-report", metavar="FILE", default="", help="write what each test used, as JSON")
    group.addoption(
        "--perfagent-record",
        metavar="FILE",
        default="",
        help="write budgets made of what the tests use, with headroom, and judge nothing",
    )
    group.addoption(
        "--perfagent-budgets",
        metavar="FILE",
        default="",
        help="recorded budgets, in place of perfagent-budgets.json",
    )
    parser.addini("perfagent", type="bool", default=False, help="as --perfagent, in every run")


def wanted(options: Namespace, config: pytest.Config) -> bool:
    """Whether a run is to be measured."""
    return bool(options.perfagent or options.perfagent_report or options.perfagent_record or config.getini("perfagent"))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Starts the agent before the tests' conftests import what is to be measured."""
    if wanted(early_config.known_args_namespace, early_config):
        from perfagent.testing import start

        start.agent()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known, and begins where the run is to be measured."""
    config.addinivalue_line("markers", MARKER)
    if wanted(config.option, config):
        from perfagent.testing import start

        start.measuring(config)
