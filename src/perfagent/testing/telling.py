"""What is told at the end of a run: a line in the terminal, annotations for GitHub, a report, recorded budgets."""

from __future__ import annotations

import json
import os

import pytest

from perfagent.testing import github, record
from perfagent.testing.told import Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Telling:
    """The plugin of the process that shows a run's outcome.

    Args:
        config: pytest's.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tests: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        wanted = config.option.perfagent_output
        self.annotates = wanted == "github" or (wanted == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps what a test used; what came from a worker as text is made as good as it was."""
        told = getattr(report, "perfagent", None)
        if told is None or report.when != "call":
            return
        self.tests[report.nodeid] = {**told, "outcome": report.outcome}
        if told["over"] and report.failed and not isinstance(report.longrepr, Told):
            report.longrepr = Told.of(told)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Writes the files."""
        option = self.config.option
        here = str(self.config.invocation_params.dir)
        try:
            if option.perfagent_report:
                path = os.path.join(here, option.perfagent_report)
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(record.report(self.tests), file, indent=2)
                    file.write("\n")
                self.written.append(f"what each test used is in {option.perfagent_report}")
            if option.perfagent_record:
                kept = record.write(os.path.join(here, option.perfagent_record), self.tests)
                self.written.append(f"budgets of {kept} are in {option.perfagent_record}")
        except OSError as error:
            raise pytest.UsageError(f"perfagent: {error.filename}: {error.strerror}") from None
        if self.annotates:
            github.summarise(os.environ.get("GITHUB_STEP_SUMMARY", ""), self.tests)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line of what was measured, and the annotations."""
        over = [test for test in self.tests.values() if test["over"]]
        terminalreporter.section("performance budgets", sep="-")
        said = f"{len(self.tests)} tests measured, {len(over)} over budget"
        terminalreporter.line("; ".join((said, *self.written)), red=bool(over), green=not over)
        if self.annotates:
            for line in github.errors(self.tests.values(), str(self.config.rootpath)):
                terminalreporter.line(line)
