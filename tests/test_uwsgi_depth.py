"""What looks deeper than spans, in uWSGI's workers: which line takes the time, where it went, and an end as ever."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests import pythons
from tests.test_process_matrix import HERE, PACKAGES
from tests.web import ROOT, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tests.otlp import Receiver, Span

UWSGI = "uwsgi --http-socket 127.0.0.1:PORT --die-on-term --need-app --module tests.apps.process_app:wsgi"
ROWS = {
    "one process": f"{UWSGI} --enable-threads",
    "prefork": f"{UWSGI} --master --processes 2 --enable-threads",
    "prefork without threads": f"{UWSGI} --master --processes 2",
    "prefork threads": f"{UWSGI} --master --processes 2 --threads 2",
    "lazy-apps": f"{UWSGI} --master --processes 2 --lazy-apps --enable-threads",
    "lazy-apps without threads": f"{UWSGI} --master --processes 2 --lazy-apps",
}
DEPTH = {
    "PERFAGENT_TIME_PARTS": "true",
    "PERFAGENT_BLOCKED_LOOP": "100",
    "PERFAGENT_MAX_OVERHEAD": "50",
}  # percent: a busy machine is no reason to leave something out
SOON, LONGEST_END = 90.0, 30.0  # seconds
APPLICATION = ROOT / "tests" / "apps" / "process_app.py"
LINES = {number for number, line in enumerate(APPLICATION.read_text().splitlines(), 1) if "thread_time" in line}
LINES |= {line + 1 for line in LINES}
"""Those of the function that computes."""


class Workers(Web):
    """A uWSGI whose answers are counted by the process that gave them."""

    def __init__(self, receiver: Receiver, folder: Path, command: list[str], **env: str) -> None:
        super().__init__(receiver, folder, *command, PYTHONPATH=str(ROOT), **DEPTH, **env)
        self.answered: Counter[object] = Counter()
        self.gone: set[object] = set()

    def burn(self) -> None:
        """A request of 60 ms of CPU time."""
        self.answered[int(self.ask("/burn").body)] += 1  # type: ignore[attr-defined]

    def timed(self) -> list[Span]:
        """The requests so far, of workers that are not `gone`, whose time is told by parts."""
        spans = [one for one in self.spans_of("/burn") if one.resource["process.pid"] not in self.gone]
        return [one for one in spans if "perfagent.time.cpu" in one.attributes]

    def burn_until(self, seen: Callable[[], object]) -> None:
        """Asks on until something is seen; a master that starts anew may refuse or drop a connection."""
        deadline = time.monotonic() + SOON
        while not seen():
            assert time.monotonic() < deadline, self.program.stderr
            with contextlib.suppress(http.client.HTTPException, OSError):
                self.burn()


@pytest.fixture
def serve(receiver: Receiver, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Starts a row with further words; it is killed at the end."""
    started: list[Workers] = []

    def start(row: str, version: str, *words: str, **env: str) -> Workers:
        packages = ("uwsgi", "flask") if version == HERE else PACKAGES
        first, *rest = ROWS[row].split()
        command = [str(pythons.environment(version, *packages).parent / first), *rest, *words]
        started.append(Workers(receiver, tmp_path, command, **env))
        return started[-1]

    yield start
    for web in started:
        web.program.stop()


def assert_deep(web: Workers) -> None:
    """The line that computes is seen, and what a request computes is told within a tenth."""
    calls = lambda: {call for one in web.receiver.samples for call in one.stack if call.name == "burn"}  # noqa: E731
    web.burn_until(lambda: len(web.timed()) >= 4 and calls())
    told = [float(str(one.attributes["perfagent.time.cpu"])) / 1e6 for one in web.timed()]
    assert min(told) >= 57
    assert median(told) == pytest.approx(60, rel=0.1)  # one may import something, or collect garbage
    assert {Path(call.file) for call in calls()} == {APPLICATION}
    assert {call.line for call in calls()} <= LINES


def assert_ended(web: Workers, losing: Collection[object] = ()) -> None:
    """Each request was told once, by the process that answered it, and SIGTERM ends it in time.

    Args:
        web: the server.
        losing: processes whose exit uWSGI skips, with what they have not sent by then.
    """
    if "threads" in " ".join(web.program.command):  # uWSGI skips the exit of a worker that it holds for busy
        web.server_spans("/burn", web.answered.total())
    began = time.monotonic()
    status = web.program.terminate()
    assert time.monotonic() - began < LONGEST_END
    assert status == (0 if "--master" in web.program.command else 30), web.program.stderr
    told = Counter(one.resource["process.pid"] for one in web.spans_of("/burn"))
    assert all(told.pop(pid, 0) <= web.answered.pop(pid) for pid in losing)
    assert told == web.answered
    assert "Traceback" not in web.program.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", ["prefork", "prefork without threads"])
def test_uwsgis_workers_tell_which_line_takes_the_time_and_end_as_ever(row: str, serve: Callable[..., Workers]) -> None:
    web = serve(row, HERE)
    assert_deep(web)
    assert_ended(web)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("at_once", ["false", "true"])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("version", pythons.found())
def test_they_do_so_however_they_are_forked(
    version: str, row: str, at_once: str, serve: Callable[..., Workers]
) -> None:
    web = serve(row, version, PERFAGENT_PROFILER_AT_ONCE=at_once)
    assert_deep(web)
    assert_ended(web)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", [row for row in ROWS if "--master" in ROWS[row]])
@pytest.mark.parametrize("version", pythons.found())
def test_they_do_so_after_a_reload(version: str, row: str, serve: Callable[..., Workers]) -> None:
    web = serve(row, version)
    assert_deep(web)
    web.gone = set(web.answered)
    os.kill(web.program.pid, signal.SIGHUP)
    web.burn_until(lambda: set(web.answered) - web.gone)
    web.receiver.samples.clear()
    assert_deep(web)
    assert_ended(web)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", [row for row in ROWS if "--master" in ROWS[row]])
@pytest.mark.parametrize("version", pythons.found())
def test_one_that_takes_too_long_is_killed_and_replaced(version: str, row: str, serve: Callable[..., Workers]) -> None:
    web = serve(row, version, "--harakiri", "2")
    assert_deep(web)
    web.server_spans("/burn", web.answered.total())
    with pytest.raises((http.client.HTTPException, OSError)):
        web.ask("/hang")
    before = set(web.answered)
    web.burn_until(lambda: {one.resource["process.pid"] for one in web.spans_of("/burn")} - before)
    # The new worker has the old one's place, of which uWSGI still believes that it answers a request.
    assert_ended(web, losing=set(web.answered) - before)
