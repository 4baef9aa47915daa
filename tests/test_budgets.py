"""Error budgets are counted exactly, by any number of processes, over restarts; what cannot be done is told once."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from perfagent import alert_if_exhausted, get_remaining_budget, on_budget_exhausted, record_error
from perfagent.resilience import budgets
from perfagent.resilience.budgets import budget as own
from perfagent.resilience.budgets import ledger
from perfagent.resilience.budgets.ledger import Ledger
from perfagent.settings.resilience import ResilienceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfagent.resilience.budgets import Exhausted
    from tests.conftest import RunProgram


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Budgets of this test's own."""
    environ = {
        "ERROR_BUDGET_DIR": str(tmp_path / "budgets"),
        "ERROR_BUDGETS": "api=10, worker=500",
        "ERROR_BUDGET_DEFAULT": "7",
    }
    table = ResilienceSettings(environ, str(tmp_path))
    monkeypatch.setattr(ResilienceSettings, "current", classmethod(lambda _: table))
    monkeypatch.setattr(budgets, "_started", False)
    own.budgets.clear()
    own.subscribers.clear()
    own._said.clear()
    yield
    own.write()
    own.budgets.clear()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kept(folder: Path, service: str = "api") -> int:
    return sum(json.loads((folder / f"{service}.json").read_text())["hours"].values())


def test_what_is_recorded_is_missing_from_what_is_left() -> None:
    assert get_remaining_budget("api") == 10
    record_error("api")
    record_error("api", 3)
    assert get_remaining_budget("api") == 6
    record_error("api", 100)
    assert get_remaining_budget("api") == 0
    assert get_remaining_budget("worker") == 500
    assert get_remaining_budget("another") == 7


def test_it_is_written_within_a_second_by_a_thread_that_ends_again(tmp_path: Path) -> None:
    for _ in range(20):
        record_error("api")
    until(lambda: (tmp_path / "budgets/api.json").exists() and kept(tmp_path / "budgets") == 20)
    until(lambda: all(thread.name != "perfagent-budgets" for thread in threading.enumerate()))
    assert not own.writer.running


def test_threads_lose_no_error(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(lambda: [record_error("worker") for _ in range(5000)])
    own.write()
    assert kept(tmp_path / "budgets", "worker") == 40_000


@pytest.mark.slow
def test_an_exhausted_budget_is_told_once_and_again_after_there_was_something_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exhausted] = []
    end = on_budget_exhausted(told.append)
    record_error("api", 9)
    assert not alert_if_exhausted("api")
    record_error("api", 3)
    until(lambda: bool(told))  # by itself
    assert alert_if_exhausted("api")
    assert alert_if_exhausted("api")
    assert [(one.service, one.limit, one.spent, one.window_days) for one in told] == [("api", 10, 12, 30)]
    (record,) = (one for one in caplog.records if one.name == "perfagent.budgets")
    assert record.levelname == "ERROR"
    assert record.getMessage() == "error budget of api is exhausted: 12 errors within 30 days, 10 are allowed"
    real = time.time
    own.write()
    monkeypatch.setattr(ledger, "time", lambda: real() + 31 * 86_400)
    assert not alert_if_exhausted("api")
    assert get_remaining_budget("api") == 10
    record_error("api", 10)
    until(lambda: len(told) == 2)
    end()
    end()


def test_a_subscriber_that_fails_is_told_of_once_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exhausted] = []

    def broken(_: Exhausted) -> None:
        raise KeyError("mine")

    on_budget_exhausted(broken)
    on_budget_exhausted(told.append)
    record_error("api", 10)
    record_error("another", 7)
    assert alert_if_exhausted("api")
    assert alert_if_exhausted("another")
    until(lambda: len(told) == 2)
    failures = [record for record in caplog.records if "subscriber" in record.getMessage()]
    assert len(failures) == 1
    with pytest.raises(TypeError, match="callback=5 is not accepted"):
        on_budget_exhausted(5)  # type: ignore[arg-type]


def test_an_error_counts_for_the_window_and_files_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(ledger, "time", lambda: now)
    book = Ledger(str(tmp_path), "api", 24)
    for _ in range(200):
        book.add(1)
        now += 3600
    assert book.spent() == 23  # the last 24 hours, of which this one has none yet
    assert len(json.loads((tmp_path / "api.json").read_text())["hours"]) <= 24


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: record_error(""), ValueError, 'service="" is not accepted: a name'),
        (lambda: record_error(5), TypeError, "service=5 is not accepted: a text"),  # type: ignore[arg-type]
        (lambda: record_error("api", 0), ValueError, "n=0 is not accepted: a whole number from 1"),
        (lambda: record_error("api", -1), ValueError, "n=-1 is not accepted"),
        (lambda: record_error("api", 1.5), TypeError, "n=1.5 is not accepted"),  # type: ignore[arg-type]
        (lambda: get_remaining_budget(None), TypeError, "service=None"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_is_an_error(call: Callable[[], Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        call()


def test_wrong_entries_are_told_one_by_one_and_the_others_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "api=1000, worker=many,=3,mail,web=0,api=5,worker=-1,queue=20,"
    table = ResilienceSettings({"ERROR_BUDGETS": told, "ERROR_BUDGET_DIR": str(tmp_path)}, str(tmp_path))
    ResilienceSettings.current = classmethod(lambda _: table)  # type: ignore[method-assign, assignment]
    assert [get_remaining_budget(name) for name in ("api", "queue", "worker")] == [1000, 20, 1000]
    rule = "is not accepted: service=errors, the errors a whole number from 1; e.g. ERROR_BUDGETS=api=1000,worker=500"
    assert capsys.readouterr().err.splitlines() == [
        f"perfagent: ERROR_BUDGETS: entry 'worker=many' {rule}",
        f"perfagent: ERROR_BUDGETS: entry '=3' {rule}",
        f"perfagent: ERROR_BUDGETS: entry 'mail' {rule}",
        f"perfagent: ERROR_BUDGETS: entry 'web=0' {rule}",
        "perfagent: ERROR_BUDGETS: entry 'api=5' is not accepted: it stands there twice; "
        "e.g. ERROR_BUDGETS=api=1000,worker=500",
        f"perfagent: ERROR_BUDGETS: entry 'worker=-1' {rule}",
    ]


def test_names_that_a_program_makes_up_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MOST", 5)
    for number in range(50):
        record_error(f"made-up-{number}")
    assert len(own.budgets) <= 6
    assert get_remaining_budget(budgets.OTHERS) == 0


@pytest.mark.parametrize("service", ["a/b", "..", "ä ö", "x" * 5000, "a\nb", "%2F"])
def test_any_name_makes_a_file_in_the_folder(tmp_path: Path, service: str) -> None:
    record_error(service, 2)
    own.write()
    assert Ledger(str(tmp_path / "budgets"), service, 24).spent() == 2
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "budgets"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"hours": 5}', '{"hours": {"x": 1}}', '{"hours": {"1": null}}', '{"hours": {"1": Infinity}}',
     "\udcff\udcfe\udc80"],
)  # fmt: skip
def test_a_file_that_is_none_is_put_aside_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "budgets").mkdir()
    (tmp_path / "budgets/api.json").write_bytes(os.fsencode(text))
    record_error("api", 2)
    own.write()
    assert get_remaining_budget("api") == 8
    assert (tmp_path / "budgets/api.json.broken").read_bytes() == os.fsencode(text)
    assert capsys.readouterr().err.count("was no file of errors, and was put aside") == 1


def test_a_folder_that_cannot_be_made_is_told_once_and_counting_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "budgets").write_text("a file where the folder should be")
    for _ in range(3):
        record_error("api")
        own.write()
    assert get_remaining_budget("api") == 7
    told = capsys.readouterr().err
    assert told.count("cannot be written, errors are counted in this process alone (") == 1
    (tmp_path / "budgets").unlink()
    own.write()
    assert kept(tmp_path / "budgets") == 3
    assert get_remaining_budget("api") == 7


PROGRAM = """
import os, signal, sys, time
from perfagent import get_remaining_budget, record_error
record_error("api", 4)
"""


def budget_env(folder: Path) -> dict[str, str]:
    return {"ERROR_BUDGET_DIR": str(folder), "ERROR_BUDGETS": "api=1000"}


ENDINGS: dict[str, int] = {
    "print(get_remaining_budget('api'))": 0,
    "sys.exit(3)": 3,
    "raise KeyError": 1,
    "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)": 143,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_lost_at_the_end_of_a_program(run_program: RunProgram, tmp_path: Path, ending: str) -> None:
    for runs in (1, 2):
        program = run_program(sys.executable, "-c", PROGRAM + ending, env=budget_env(tmp_path))
        assert program.wait() == ENDINGS[ending]
        assert kept(tmp_path) == 4 * runs


def test_a_killed_program_loses_its_last_second_alone(run_program: RunProgram, tmp_path: Path) -> None:
    code = PROGRAM + "print('recorded', flush=True)\ntime.sleep(60)"
    program = run_program(sys.executable, "-c", code, env=budget_env(tmp_path))
    program.wait_until(lambda: (tmp_path / "api.json").exists(), "nothing was written")
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    assert kept(tmp_path) == 4


def test_forked_children_count_their_own(run_program: RunProgram, tmp_path: Path) -> None:
    code = (
        PROGRAM
        + """
children = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        record_error("api", 10)
        sys.exit()
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
record_error("api")
print(get_remaining_budget("api"))
"""
    )
    program = run_program(sys.executable, "-W", "error", "-c", code, env=budget_env(tmp_path))
    assert program.check() == "955\n"
    assert program.stderr == ""
    assert kept(tmp_path) == 45
