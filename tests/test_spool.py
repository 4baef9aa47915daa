"""The disk spool loses nothing when the collector is away and the program ends, and sends nothing twice."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.cli import doctor
from perfagent.runtime.pipeline import Payload
from perfagent.runtime.spool import segment
from perfagent.runtime.spool.folder import Folder, name
from perfagent.settings import Settings
from tests import otlp
from tests.agent import agent_env
from tests.patience import AT_ONCE, PATIENCE
from tests.test_docs import blocks
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver
    from tests.program import Program
    from tests.web import StartWeb

MADE = ("perfagent", "run", "python", "-m", "tests.apps.counted")


class Losses(Counter[str]):
    def __call__(self, signal: str, count: int) -> None:
        self[signal] += count


def folder_at(path: Path, limit: int = 1_000_000, service: str = "tested") -> tuple[Folder, Losses]:
    losses = Losses()
    return Folder(str(path), service, limit, losses), losses


def payload(number: int, size: int = 100) -> Payload:
    return Payload("traces", str(number).encode().ljust(size, b"."), number)


def counts(folder: Folder) -> list[int]:
    return [record.count for file in folder.files() for record in file.waiting()]


def kept(path: Path, service: str = "tested") -> Counter[str]:
    """How many items of each signal wait on disk; read without a lock, for the program that writes them runs."""
    found: Counter[str] = Counter()
    for file in (path / name(service)).glob("*.otlp"):
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # it has just been sent
            continue
        at = len(segment.MAGIC)
        while at + segment.HEADER.size <= len(content):
            state, letter, count, length, _ = segment.HEADER.unpack_from(content, at)
            if state == segment.WAITING:
                found[segment.SIGNALS[letter]] += count
            at += segment.HEADER.size + length
    return found


def test_requests_are_read_as_they_were_written_and_in_their_order(tmp_path: Path) -> None:
    folder, losses = folder_at(tmp_path)
    for number in range(1, 40):
        folder.append(payload(number, size=10_000))
    assert len(folder.names()) > 3
    read = [file.read(record) for file in folder.files() for record in file.waiting()]
    assert [(one.signal, one.count, one.body) for one in read if one] == [
        ("traces", number, payload(number, size=10_000).body) for number in range(1, 40)
    ]
    assert not losses


def test_what_was_sent_is_not_there_for_the_next_process(tmp_path: Path) -> None:
    folder, _ = folder_at(tmp_path)
    for number in (1, 2, 3):
        folder.append(payload(number))
    for file in folder.files():
        first = next(file.waiting())
        file.done(first)
    assert counts(folder_at(tmp_path)[0]) == [2, 3]


def test_a_folder_never_grows_beyond_its_size_and_counts_what_gives_way(tmp_path: Path) -> None:
    folder, losses = folder_at(tmp_path, limit=1_000_000)
    for number in range(1, 400):
        folder.append(payload(number, size=9_000))
        assert folder.size() <= 1_000_000
    left = counts(folder)
    assert left == list(range(400 - len(left), 400)), "the oldest gave way"
    assert 90 < len(left) < 111
    assert losses["traces"] + sum(left) == sum(range(1, 400))


def test_a_request_that_is_larger_than_all_of_the_spool_stays_in_memory(tmp_path: Path) -> None:
    folder, losses = folder_at(tmp_path, limit=1_000_000)
    folder.append(payload(1))
    with pytest.raises(OSError, match="larger than PERFAGENT_SPOOL_SIZE"):
        folder.append(payload(2, size=1_000_001))
    assert counts(folder) == [1]
    assert not losses


@pytest.mark.parametrize(("cut", "told"), [(1, True), (50, True), (100, True), (104, False), (113, False)])
def test_a_record_that_was_torn_is_told_by_its_header_and_those_before_it_are_whole(
    tmp_path: Path, cut: int, told: bool
) -> None:
    folder, _ = folder_at(tmp_path)
    for number in (1, 2):
        folder.append(payload(number))
    (file,) = (Path(folder.path) / own for own in folder.names())
    os.truncate(file, file.stat().st_size - cut)
    for opened in folder.files():
        read = [(record.count, opened.read(record) is not None) for record in opened.waiting()]
    assert read == [(1, True), (2, False)] if told else [(1, True)]


def test_a_record_whose_bytes_changed_is_not_sent(tmp_path: Path) -> None:
    folder, _ = folder_at(tmp_path)
    for number in (1, 2, 3):
        folder.append(payload(number))
    (file,) = (Path(folder.path) / own for own in folder.names())
    content = bytearray(file.read_bytes())
    content[len(segment.MAGIC) + segment.HEADER.size + 100 + segment.HEADER.size + 50] ^= 255
    file.write_bytes(content)
    for opened in folder.files():
        assert [(record.count, opened.read(record) is not None) for record in opened.waiting()] == [
            (1, True), (2, False), (3, True),
        ]  # fmt: skip


def test_no_two_processes_have_one_file(tmp_path: Path) -> None:
    folder, _ = folder_at(tmp_path)
    folder.append(payload(1))
    code = """
import sys
from perfagent.runtime.spool.folder import Folder
found = Folder(sys.argv[1], "tested", 1_000_000, print)
print([record.count for file in found.files() for record in file.waiting()])
"""
    ask = [sys.executable, "-c", code, str(tmp_path)]
    for _file in folder.files():
        assert subprocess.check_output(ask, cwd=ROOT, text=True) == "[]\n"
    assert subprocess.check_output(ask, cwd=ROOT, text=True) == "[1]\n"


def test_who_adds_while_its_file_is_being_sent_begins_another(tmp_path: Path) -> None:
    folder, _ = folder_at(tmp_path)
    folder.append(payload(1))
    for file in folder.files():
        folder.append(payload(2))
        file.remove()
        break
    assert counts(folder) == [2]


def test_what_is_kept_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder, _ = folder_at(tmp_path / "new" / "spool")
        folder.append(payload(1))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "new").rglob("*")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("trap", ["a link", "open to others", "a file"])
def test_a_folder_that_another_user_could_have_prepared_is_not_used(tmp_path: Path, trap: str) -> None:
    folder, _ = folder_at(tmp_path)
    path = Path(folder.path)
    if trap == "a link":
        (tmp_path / "elsewhere").mkdir(0o700)
        path.symlink_to(tmp_path / "elsewhere")
    elif trap == "a file":
        path.write_bytes(b"")
    else:
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(OSError, match="not a folder that this user alone may use"):
        folder.append(payload(1))
    assert not list(path.glob("*"))


def test_services_do_not_send_each_others_telemetry(tmp_path: Path) -> None:
    names = [name(service) for service in ("shop", "Shop", "shop/../shop", "..", "", "läden", "x" * 500)]
    assert len(set(names)) == len(names)
    assert all("/" not in own and not own.startswith(".") and len(own) < 100 for own in names)
    folder_at(tmp_path, service="shop")[0].append(payload(1))
    assert counts(folder_at(tmp_path, service="other")[0]) == []


def test_a_program_without_a_spool_imports_nothing_of_it(run_text: RunText) -> None:
    code = "import sys; print([name for name in sys.modules if 'spool' in name or name == 'fcntl'])"
    assert run_text(code).stdout == "[]\n"


def start(run: RunProgram, receiver: Receiver, spool: Path, spans: int, seconds: float, **env: str) -> Program:
    variables = agent_env(receiver, PERFAGENT_SPOOL_DIR=str(spool), **env)
    program = run(*MADE, str(spans), str(seconds), env=variables, cwd=ROOT)
    program.wait_for_output("made")
    return program


def wait_for(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def arrived_once(receiver: Receiver) -> int:
    ids = [span.span_id for span in receiver.spans]
    assert len(ids) == len(set(ids))
    return len(ids)


@pytest.mark.slow
def test_what_a_killed_program_kept_is_sent_by_its_next_start_each_span_once(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    receiver.stop()
    program = start(run_program, receiver, tmp_path, 500, 60)
    wait_for(lambda: kept(tmp_path)["traces"] == 500, "the spans were not kept")
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    assert str(tmp_path) in program.stderr
    receiver.start()
    start(run_program, receiver, tmp_path, 7, 1).check()
    assert arrived_once(receiver) == 507
    assert not kept(tmp_path)
    assert receiver.total("perfagent.spool.sent", signal="span").value == 500


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "hangs", "503"])
def test_an_exit_while_the_collector_is_away_keeps_everything_in_time(
    fault: str, receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    receiver.fault = otlp.hang() if fault == "hangs" else otlp.status(503)
    if fault == "refused":
        receiver.stop()
    program = start(run_program, receiver, tmp_path, 300, 0, OTEL_BSP_SCHEDULE_DELAY="30000", **AT_ONCE)
    began = time.monotonic()
    assert program.wait() == 0
    assert time.monotonic() - began < 8  # the promise is 2 s, and the collector would be waited for for 10 s
    assert "perhaps lost" not in program.stderr
    assert kept(tmp_path)["traces"] == 300
    receiver.fault = otlp.ok()
    if fault == "refused":
        receiver.start()
    start(run_program, receiver, tmp_path, 1, 0.5).check()
    assert arrived_once(receiver) == 301


@pytest.mark.slow
def test_a_collector_that_hangs_holds_up_nobody(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    """The queue has room for 1000 spans, an export may take 10 s: without the disk all the others would be lost."""
    receiver.fault = otlp.hang()
    variables = agent_env(receiver, PERFAGENT_SPOOL_DIR=str(tmp_path), OTEL_BSP_MAX_QUEUE_SIZE="1000")
    program = run_program("perfagent", "run", "python", "-m", "tests.apps.busy", "4", "0.001", env=variables, cwd=ROOT)
    program.wait_until(lambda: kept(tmp_path)["traces"] > 1500, "nothing was kept")
    receiver.fault = otlp.ok()
    made = int(program.check().split()[-1])
    start(run_program, receiver, tmp_path, 0, 0.5).check()
    assert len({span.span_id for span in receiver.spans}) == made
    assert receiver.total("perfagent.telemetry.dropped", signal="span").value == 0


@pytest.mark.slow
def test_what_is_refused_for_good_and_what_is_refused_in_part_is_counted_and_sent_no_more(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    receiver.stop()
    start(run_program, receiver, tmp_path, 500, 0, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100").check()
    assert kept(tmp_path)["traces"] == 500
    receiver.fault = otlp.status(400, path="/v1/traces", times=2)
    receiver.start()
    program = start(run_program, receiver, tmp_path, 0, 30)
    wait_for(lambda: not kept(tmp_path), "not all of it was sent")
    assert program.terminate() == -signal.SIGTERM
    arrived = arrived_once(receiver)
    dropped = receiver.total("perfagent.telemetry.dropped", signal="span", reason="rejected").value
    assert (arrived, dropped) == (300, 200)


@pytest.mark.slow
def test_a_spool_that_is_full_drops_the_oldest_and_tells_how_many(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    receiver.stop()
    env = {"PERFAGENT_SPOOL_SIZE": "1MB", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200", "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
    program = start(run_program, receiver, tmp_path, 20_000, 60, **env)
    wait_for(lambda: sum(kept(tmp_path).values()) > 2000, "nothing was kept")
    time.sleep(2)  # for the last of them
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.otlp")) < 1_100_000
    receiver.start()
    wait_for(lambda: not kept(tmp_path)["traces"], "not all of it was sent", 60)
    assert program.terminate() == -signal.SIGTERM
    dropped = receiver.total("perfagent.telemetry.dropped", signal="span", reason="spool_full").value
    assert dropped > 0
    assert arrived_once(receiver) + dropped == 20_000


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_it_to_memory(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    receiver.stop()
    program = start(run_program, receiver, tmp_path, 0, 0)
    program.check()
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({50_000}, {50_000}))\n"
    code = limit + (ROOT / "tests" / "apps" / "counted.py").read_text().replace("import sys", "import sys", 1)
    script = tmp_path / "limited.py"
    script.write_text(code)
    variables = agent_env(receiver, PERFAGENT_SPOOL_DIR=str(tmp_path / "s"), OTEL_BSP_MAX_EXPORT_BATCH_SIZE="500")
    program = run_program("perfagent", "run", "python", str(script), "3000", "60", env=variables)
    program.wait_for_output("nothing can be kept")
    assert "File too large" in program.stderr
    receiver.start()
    receiver.wait_for_spans(3000, 60)
    receiver.wait_for_metric("perfagent.spool.failures", where=lambda point: point.attributes["error.type"] == "EFBIG")
    program.terminate()
    assert arrived_once(receiver) == 3000
    assert receiver.total("perfagent.telemetry.dropped", signal="span").value == 0


@pytest.mark.slow
def test_what_a_killed_worker_kept_is_sent_by_its_neighbours_each_request_once(
    receiver: Receiver, start_web: StartWeb, tmp_path: Path
) -> None:
    receiver.stop()
    gunicorn = ("gunicorn", "-b", "127.0.0.1:PORT", "--no-control-socket", "-w", "3", "tests.apps.process_app:wsgi")
    web = start_web(*gunicorn, PERFAGENT_SPOOL_DIR=str(tmp_path))
    web.program.wait_until(lambda: web.program.stderr.count("Booting worker") >= 3, "did not boot")
    answered = Counter(int(web.ask("/").body) for _ in range(60))  # type: ignore[attr-defined]
    wait_for(lambda: kept(tmp_path)["traces"] >= 60, "the spans were not kept")
    os.kill(next(iter(answered)), signal.SIGKILL)
    receiver.start()
    wait_for(lambda: len(receiver.spans) >= 60, "not all of it was sent", 60)
    assert web.program.terminate() == 0
    assert Counter(span.resource["process.pid"] for span in receiver.spans if span.kind == "SERVER") == answered
    arrived_once(receiver)


@pytest.mark.slow
def test_a_collector_that_comes_back_while_the_program_runs_gets_what_was_kept_and_what_is_new(
    run_program: RunProgram, receiver: Receiver, tmp_path: Path
) -> None:
    variables = agent_env(receiver, PERFAGENT_SPOOL_DIR=str(tmp_path))
    program = run_program("perfagent", "run", "python", "-m", "tests.apps.busy", "60", "0.01", env=variables, cwd=ROOT)
    receiver.wait_for_spans(1)
    receiver.stop()
    wait_for(lambda: kept(tmp_path)["traces"] > 50, "the spans were not kept")
    receiver.start()
    wait_for(lambda: not kept(tmp_path)["traces"], "not all of it was sent", 60)
    program.terminate()
    assert arrived_once(receiver) == int(program.stdout.split()[-1])


@pytest.mark.nightly
def test_the_sdk_pipeline_says_that_it_keeps_nothing(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path
) -> None:
    env = agent_env(receiver, PERFAGENT_SPOOL_DIR=str(tmp_path), PERFAGENT_PIPELINE="sdk")
    env |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    program = run_program("perfagent", "run", "python", "-c", "pass", env=env)
    program.check()
    assert "PERFAGENT_SPOOL_DIR is of no effect" in program.stderr


def test_config_tells_the_spools_settings_and_what_is_wrong_with_them(run_program: RunProgram) -> None:
    env = {"PERFAGENT_SPOOL_DIR": "/var/spool/perfagent", "PERFAGENT_SPOOL_SIZE": "2GiB"}
    told = json.loads(run_program("perfagent", "config", "spool", "--output", "json", env=env).check())
    assert {row["name"]: row["value"] for row in told["settings"]} == {
        "PERFAGENT_SPOOL_DIR": "/var/spool/perfagent",
        "PERFAGENT_SPOOL_SIZE": 2 << 30,
    }
    program = run_program("perfagent", "config", "spool", env={"PERFAGENT_SPOOL_SIZE": "10"})
    assert program.wait() == 1
    assert "PERFAGENT_SPOOL_SIZE='10' is not accepted: a size of at least 1MB" in program.stderr


@pytest.mark.slow
def test_the_page_shows_what_happens(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    page = "docs/how-to/spool.md"
    run, ask = blocks(page, "sh")
    (tmp_path / "app.py").write_text((ROOT / "tests" / "apps" / "counted.py").read_text())
    run = run.replace("app.py", "app.py 3 0")
    receiver.stop()
    env = agent_env(receiver, HOME=str(tmp_path), OTEL_SERVICE_NAME="")
    program = run_program("sh", "-ec", run, env=env, cwd=tmp_path)
    assert program.check() == "made 3\n"
    said = next(line for line in (ROOT / page).read_text().splitlines() if "cannot be delivered" in line).split("…")
    assert [part.strip() in program.stderr.replace(str(tmp_path), "/home/me") for part in said[:-1]] == [True, True]
    env |= {"PERFAGENT_SPOOL_DIR": str(tmp_path / "spool"), "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}
    told = run_program("sh", "-c", ask, env=env, cwd=tmp_path)
    assert told.wait() == 1  # for there is no receiver
    shown = next(line for line in (ROOT / page).read_text().splitlines() if line.strip().startswith("ok      spool"))
    assert shown.strip().replace("/home/me", str(tmp_path)) in told.stdout
    receiver.start()
    run_program("sh", "-ec", run.replace("3 0", "0 0.5"), env=env, cwd=tmp_path).check()
    assert [span.name for span in receiver.spans] == ["SELECT"] * 3
    assert {span.resource["service.name"] for span in receiver.spans} == {"app"}


def test_the_doctor_tells_of_a_folder_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PERFAGENT_SPOOL_DIR", str(tmp_path / "file" / "spool"))
    (step,) = doctor.Examination(Settings(), ["python"])._spool()
    assert (step.ok, step.found) == (False, f"{tmp_path}/file/spool: Not a directory")
    assert step.remedy


@pytest.mark.nightly
def test_forks_while_the_collector_is_away_keep_each_span_once_and_warn_of_nothing(
    receiver: Receiver, run_text: RunText, run_program: RunProgram, tmp_path: Path
) -> None:
    receiver.stop()
    program = run_text(
        """
        import os, sqlite3, time, warnings
        warnings.simplefilter("error", DeprecationWarning)
        connection = sqlite3.connect(":memory:")
        for _ in range(30):
            connection.execute("select 1")
            child = os.fork()
            if not child:
                connection.execute("select 2")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            time.sleep(0.05)
        """,
        PERFAGENT_SPOOL_DIR=str(tmp_path / "spool"),
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert "Warning" not in program.stderr
    assert kept(tmp_path / "spool")["traces"] == 60
    receiver.start()
    start(run_program, receiver, tmp_path / "spool", 0, 1).check()
    assert arrived_once(receiver) == 60


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_workers_that_are_killed_while_they_send_lose_nothing_and_repeat_a_request_each_at_most(
    receiver: Receiver, start_web: StartWeb, tmp_path: Path
) -> None:
    receiver.stop()
    gunicorn = ("gunicorn", "-b", "127.0.0.1:PORT", "--no-control-socket", "-w", "3", "tests.apps.process_app:wsgi")
    web = start_web(*gunicorn, PERFAGENT_SPOOL_DIR=str(tmp_path), OTEL_BSP_SCHEDULE_DELAY="20")
    web.program.wait_until(lambda: web.program.stderr.count("Booting worker") >= 3, "did not boot")
    workers = list({int(web.ask("/").body) for _ in range(300)})  # type: ignore[attr-defined]
    wait_for(lambda: kept(tmp_path)["traces"] >= 300, "the spans were not kept")
    receiver.fault = otlp.slow(0.05)
    receiver.start()
    killed = 0
    for worker in workers:
        before = len(receiver.spans)
        wait_for(
            lambda before=before: len(receiver.spans) > before or not kept(tmp_path)["traces"], "nothing comes", 90
        )
        os.kill(worker, signal.SIGKILL)
        killed += 1
    wait_for(lambda: len({span.span_id for span in receiver.spans}) >= 300, "not all of it was sent", 120)
    web.program.terminate()
    ids = Counter(span.span_id for span in receiver.spans)
    assert len(ids) == 300
    largest = max(request.body.count(b"GET") for request in receiver.requests if request.path == "/v1/traces")
    assert sum(ids.values()) - 300 <= killed * largest
    assert not kept(tmp_path)["traces"]
