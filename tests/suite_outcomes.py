"""Writes what became of each test of a library's own suite: a plugin of pytest, and a test runner for Django's.

`tests.suites` puts this file into the suite's environment, so it needs nothing of ours. SUITE_OUTCOMES is the file
that it writes to, a line a test.
"""

from __future__ import annotations

import json
import os
import unittest
from typing import Any

_SKIPPED = {True: "xfailed", False: "skipped"}
# Opened before a test can clear the environment or forbid the opening of files; a process that a test forks writes to
# the same file.
_file = os.open(os.environ["SUITE_OUTCOMES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _write(test: str, outcome: str, why: str = "") -> None:
    os.write(_file, json.dumps({"test": test, "outcome": outcome, "why": why[-2000:]}).encode() + b"\n")


def pytest_runtest_logreport(report: Any) -> None:
    if report.failed:
        _write(report.nodeid, f"failed in {report.when}", report.longreprtext)
    elif report.skipped:
        _write(report.nodeid, _SKIPPED[hasattr(report, "wasxfail")])
    elif report.when == "call":
        _write(report.nodeid, "xpassed" if hasattr(report, "wasxfail") else "passed")


def pytest_collectreport(report: Any) -> None:
    if report.failed:
        _write(report.nodeid, "failed in collection", report.longreprtext)


class Outcomes(unittest.TextTestResult):
    """The result that Django's runner reports to."""

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        _write(test.id(), "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        _write(test.id(), "skipped")

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        _write(test.id(), "xfailed")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        _write(test.id(), "xpassed")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        _write(test.id(), "failed in call", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        _write(test.id(), "failed in call", self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            _write(test.id(), "failed in call", self._exc_info_to_string(err, subtest))


def __getattr__(name: str) -> Any:
    """Django's runner with our result, made when its settings ask for it: pytest's plugin knows no Django."""
    if name != "DjangoRunner":
        raise AttributeError(name)
    from django.test.runner import DiscoverRunner

    class DjangoRunner(DiscoverRunner):
        def get_resultclass(self) -> type[Outcomes]:
            return Outcomes

    return DjangoRunner
