"""Runs a library's own test suite, bare and under the agent, and compares what became of each test.

A suite comes with the library's source distribution and runs in an environment of its own. Both are kept in
~/.cache/perfagent-suites by version, so that the second run needs no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perfagent-suites"
PYTEST = ("-m", "pytest", "-q", "--rootdir=.", "-p", "no:cacheprovider", "-p", "suite_outcomes", "-p", "no:randomly")
WORST = ("failed", "x", "skipped", "passed")


@dataclass(frozen=True)
class Suite:
    """One library's own tests."""

    distribution: str
    version: str
    packages: tuple[str, ...]
    """What its tests need besides the library itself, whose own extras may be asked for here, too."""
    tests: tuple[str, ...] = ("tests",)
    """Files and folders, or labels where the suite is not pytest's; the same kind of thing is run again to judge."""
    least: int = 100
    """How many tests there are at least."""
    spans: int = 1
    """How many spans the agent makes of them at least: else it was not there."""
    options: tuple[str, ...] = ()
    runner: tuple[str, ...] = PYTEST
    folder: str = "."
    """Where the suite is run, in the source distribution."""
    hidden: tuple[str, ...] = ()
    """What is taken out of the source distribution, such as the package's own folder: the installed one is tested."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What is put in, by name below `folder`."""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 1800
    passing: float = 0.95
    """The share that passes without the agent; the rest is skipped, or fails on this machine."""


class Outcome(NamedTuple):
    """What became of a test, and the end of its traceback."""

    what: str
    why: str

    def __repr__(self) -> str:
        return f"{self.what}\n{self.why}" if self.why else self.what


@dataclass(frozen=True)
class Comparison:
    """What both runs of a suite gave."""

    bare: Mapping[str, Outcome]
    under: Mapping[str, Outcome]
    seconds_bare: float
    seconds_under: float
    by_header: frozenset[str] = frozenset()
    """The tests that differ by the trace context alone: without it they give the same."""

    def differing(self) -> dict[str, tuple[Outcome | None, Outcome | None]]:
        """The tests that became something else under the agent, with both."""
        names = self.bare.keys() | self.under.keys()
        both = {name: (self.bare.get(name), self.under.get(name)) for name in sorted(names)}
        return {name: pair for name, pair in both.items() if _what(pair[0]) != _what(pair[1])}


def compare(suite: Suite, receiver: Receiver, run_program: RunProgram, directory: Path) -> Comparison:
    """Runs a suite both ways; the files in which tests differ are run again, for what differs once may be chance.

    Args:
        suite: what is run.
        receiver: gets the agent's telemetry.
        run_program: the fixture.
        directory: empty, for the sources.
    """
    python, folder = _prepare(suite, directory)

    def once(tests: tuple[str, ...], attempt: int, **more: str) -> Comparison:
        found, seconds = [], []
        for agent in (False, True):
            report = directory / f"{'agent' if agent else 'bare'}{attempt}.jsonl"
            # Without the agent too, for what a suite tells of such variables.
            env = {**agent_env(receiver, **more), **suite.env, "SUITE_OUTCOMES": str(report)}
            command = (*(("perfagent", "run") if agent else ()), str(python), *suite.runner, *suite.options, *tests)
            since = time.monotonic()
            program = run_program(*command, cwd=folder, env=env)
            status = program.wait(suite.timeout)
            seconds.append(round(time.monotonic() - since, 1))
            told = f"exited with {status}\n{program.stdout[-3000:]}\n{program.stderr[-3000:]}"
            assert status in (0, 1), told  # else the suite itself broke
            assert report.exists(), told
            found.append(_outcomes(report))
        return Comparison(found[0], found[1], seconds[0], seconds[1])

    whole = once(suite.tests, 0)
    bare, under = dict(whole.bare), dict(whole.under)
    for attempt in (1, 2):
        differing = Comparison(bare, under, 0, 0).differing()
        if not differing or len(differing) > len(bare) / 4:
            break
        again = once(tuple(sorted({_part(suite, name) for name in differing})), attempt)
        for name in differing:
            # A test that can become either with and without the agent says nothing of the agent.
            if _what(again.bare.get(name)) == _what(again.under.get(name)):
                bare[name] = under[name] = again.bare.get(name) or Outcome("gone", "")
    differing = Comparison(bare, under, 0, 0).differing()
    by_header: set[str] = set()
    if differing and len(differing) <= len(bare) / 4:
        again = once(tuple(sorted({_part(suite, name) for name in differing})), 3, OTEL_PROPAGATORS="none")
        by_header = {name for name in differing if _what(again.bare.get(name)) == _what(again.under.get(name))}
    return Comparison(bare, under, whole.seconds_bare, whole.seconds_under, frozenset(by_header))


def _part(suite: Suite, test: str) -> str:
    """The file of a test, or its class where the suite is run by labels."""
    return test.partition("::")[0] if suite.runner[:2] == ("-m", "pytest") else test.rpartition(".")[0]


def _what(outcome: Outcome | None) -> str:
    return "gone" if outcome is None else outcome.what


def _outcomes(report: Path) -> dict[str, Outcome]:
    """The worst of what was reported of each test."""
    found: dict[str, Outcome] = {}
    for line in report.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        outcome, before = Outcome(told["outcome"], told["why"]), found.get(told["test"])
        if before is None or _rank(outcome) < _rank(before):
            found[told["test"]] = outcome
    return found


def _rank(outcome: Outcome) -> int:
    return next(rank for rank, start in enumerate(WORST) if outcome.what.startswith(start))


def _prepare(suite: Suite, directory: Path) -> tuple[Path, Path]:
    """The suite's interpreter, and the folder to run it in."""
    python = _environment(suite)
    archive = _source(suite)
    with tarfile.open(archive) as source:
        source.extractall(directory, filter="data")
    (root,) = (path for path in directory.iterdir() if path.is_dir())
    for name in suite.hidden:
        shutil.rmtree(root / name)
    folder = root / suite.folder
    for name, text in suite.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return python, folder


def _source(suite: Suite) -> Path:
    """The source distribution's archive."""
    pattern = f"{suite.distribution.replace('-', '[-_]')}-{suite.version}.tar.gz"
    found = list(CACHE.glob(pattern))
    if not found:
        exact = f"{suite.distribution}=={suite.version}"
        only = ("--no-deps", "--no-binary", suite.distribution)
        _run(sys.executable, "-m", "pip", "download", "--quiet", *only, "--dest", str(CACHE), exact)
        found = list(CACHE.glob(pattern))
    return found[0]


def _environment(suite: Suite) -> Path:
    """The interpreter of an environment that has what the suite needs; made anew when that changes."""
    needs = (f"{suite.distribution}=={suite.version}", "pytest", *suite.packages)
    tag = hashlib.sha256(repr((sys.version_info[:3], needs)).encode()).hexdigest()[:12]
    folder = CACHE / f"{suite.distribution}-{suite.version}-{tag}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=False)
        _run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *needs)
        ready.touch()
    (site,) = folder.glob("lib/python*/site-packages")
    shutil.copy(Path(__file__).with_name("suite_outcomes.py"), site)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=900)
