"""The hub's process: found or started by `perfagent run`, alone in its folder, and gone without a loss."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub import lock
from tests.hubs import Home, one_span
from tests.program import clean_environment
from tests.stack import eventually

if TYPE_CHECKING:
    from tests.conftest import RunProgram

pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part

SOURCE = Path(__file__).parent.parent / "src"
QUERY = "import sqlite3; sqlite3.connect(':memory:').execute('select 1')"
STATE = """
import json, os
def descriptors():
    found = {}
    for number in os.listdir('/proc/self/fd'):
        try:
            kind, colon, _ = os.readlink(f'/proc/self/fd/{number}').partition(':')
            found[number] = kind if colon else os.path.basename(kind)
        except OSError:
            pass
    return found
try:
    child = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    child = 'none'
variables = sorted(name for name in os.environ if not name.startswith(('PERFAGENT_HUB', 'OTEL_EXPORTER')))
print(json.dumps({'fds': descriptors(), 'child': child, 'variables': variables, 'umask': os.umask(0)}))
"""


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def link_in(text: str) -> str:
    """The address of the page, which must be told in one line and no other."""
    (line,) = text.splitlines()
    assert line.startswith("perfagent: http://127.0.0.1:")
    assert line.endswith(" shows what this program does")
    return line.split()[1]


def test_a_program_without_an_endpoint_gets_a_hub_that_keeps_what_it_does(home: Home, run_program: RunProgram) -> None:
    env = home.env(PERFAGENT_EXIT_TIMEOUT="30000")  # a hub that has just begun may be slow on a loaded machine
    program = run_program("perfagent", "run", "python", "-c", f"{QUERY}; print(1)", env=env)
    assert program.check() == "1\n"
    told, at_exit = program.stderr.splitlines()
    assert told.startswith(f"perfagent: {home.hub.address}/?code=")
    assert at_exit.startswith(f"perfagent: {home.hub.address}/?code=")
    assert at_exit.endswith(" shows what this program did")
    home.wait_for_spans(1)
    (trace,) = home.get("traces?limit=10")["items"]
    assert trace["service"] == "tested"
    loaded = proc(home.hub.pid, "maps")
    assert "/pyarrow/" in loaded
    assert "/pandas/" not in loaded, "it takes 60 MB, and nothing uses it"


def test_two_programs_that_start_at_once_share_one_hub(home: Home, run_program: RunProgram) -> None:
    code = "import os; print(os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'])"
    programs = [run_program("perfagent", "run", "python", "-c", code, env=home.env()) for _ in range(4)]
    assert {program.check().strip() for program in programs} == {home.hub.address}
    assert home.log.count(" begins: ") <= 1


def test_nothing_of_the_hub_is_in_the_program(home: Home, run_program: RunProgram) -> None:
    def state(**env: str) -> Any:
        return json.loads(run_program("perfagent", "run", "python", "-c", STATE, env=home.env(**env)).check())

    without = state(PERFAGENT_HUB="off", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert state() == without  # starts a hub
    assert state() == without  # finds it
    assert without["child"] == "none"


def test_the_hub_has_a_session_of_its_own_and_nothing_of_its_starter(
    home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    env = clean_environment(home.env(SECRET_OF_THE_PROGRAM="s3cret", PYTHONPATH=str(tmp_path), PYTHONWARNINGS="error"))
    (tmp_path / "duckdb.py").write_text("raise SystemExit('the program has a module of this name')")
    command = ["perfagent", "run", "python", "-c", "import os; print(os.getsid(0))"]
    shown = subprocess.run(
        command, env=env, pass_fds=[writer], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b"", "the hub holds a pipe of its starter open"
    os.close(reader)
    pid = home.hub.pid
    home.get("hub")
    stat = proc(pid, "stat").rpartition(")")[2].split()
    parent, session, terminal = int(stat[1]), int(stat[3]), int(stat[4])
    assert parent != os.getpid()
    assert session not in (int(shown.stdout), os.getsid(0))
    assert terminal == 0
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert "s3cret" not in proc(pid, "environ")
    assert "PYTHONWARNINGS" not in proc(pid, "environ")
    assert {path.stat().st_mode & 0o777 for path in home.folder.iterdir()} == {0o600}
    assert home.folder.stat().st_mode & 0o777 == 0o700


def test_neither_ctrl_c_nor_the_programs_end_ends_the_hub(home: Home, run_program: RunProgram) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    program = run_program("perfagent", "run", "python", "-c", code, env=home.env())
    program.wait_for_output("ready")
    os.killpg(program.pid, signal.SIGINT)
    assert program.wait() == -signal.SIGINT
    os.kill(home.hub.pid, 0)
    assert home.get("hub")["version"] == home.hub.version


def test_a_lock_file_of_a_hub_that_was_killed_is_nobodys(home: Home, free_port: int, run_program: RunProgram) -> None:
    env = home.env(PERFAGENT_HUB_PORT=str(free_port))
    run_program("perfagent", "run", "python", "-c", QUERY, env=env).check()
    before = home.hub
    home.wait_for_spans(1)
    home.kill()
    assert (home.folder / "hub.lock").read_text().startswith("{")
    assert home.found is None
    run_program("perfagent", "run", "python", "-c", QUERY, env=env).check()
    assert home.hub.pid != before.pid
    assert home.hub.address == before.address
    home.wait_for_spans(2)


def test_what_was_acknowledged_outlives_kill_9(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    acknowledged = 0

    def send() -> None:
        nonlocal acknowledged
        for number in range(10_000):
            try:
                if home.post("/v1/traces", one_span(number)) != 200:
                    return
            except (OSError, AssertionError):
                return
            acknowledged += 1

    sender = threading.Thread(target=send)
    sender.start()
    eventually(lambda: acknowledged > 10, 60, lambda: home.log)
    home.kill()
    sender.join()
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    assert acknowledged <= home.spans() <= acknowledged + 1


def test_stop_answers_what_is_under_way_and_stores_it(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    found, statuses, begin = home.hub, [], threading.Event()

    def send(first: int) -> None:
        begin.wait()
        for number in range(first, first + 2000):
            try:
                statuses.append(home.post("/v1/traces", one_span(number)))
            except (OSError, AssertionError):
                return

    senders = [threading.Thread(target=send, args=(first,)) for first in range(0, 8000, 2000)]
    for sender in senders:
        sender.start()
    begin.set()
    eventually(lambda: statuses.count(200) > 10, 60, lambda: home.log)
    program = run_program("perfagent", "hub", "--stop", env=home.env())
    assert "has ended" in program.check()
    assert home.found is None
    for sender in senders:
        sender.join()
    assert "Traceback" not in home.log
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    assert home.hub.pid != found.pid
    assert home.spans() >= statuses.count(200) > 10


def test_a_hub_that_nobody_needs_leaves(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "run", "python", "-c", "pass", env=home.env(PERFAGENT_HUB_IDLE="1")).check()
    assert home.hub
    home.wait_until_gone()
    assert "PERFAGENT_HUB_IDLE" in home.log


def test_an_open_page_keeps_a_hub_that_was_started_by_itself(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "run", "python", "-c", "pass", env=home.env(PERFAGENT_HUB_IDLE="1")).check()
    from perfagent.cli.client import Client
    from perfagent.hub.access import Access, secret

    events = Client(home.hub.address, Access(secret(str(home.folder))).token("viewer")).events()
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert next(events)
    assert home.found is not None
    events.close()  # type: ignore[attr-defined]
    home.wait_until_gone()


def test_a_hub_that_somebody_asked_for_stays(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "hub", "--background", env=home.env(PERFAGENT_HUB_IDLE="1")).check()
    time.sleep(2.5)
    assert home.found is not None


def test_a_hub_whose_folder_was_deleted_leaves(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    pid = home.hub.pid
    (home.folder / "hub.lock").unlink()
    deadline = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_port_that_somebody_set_and_is_taken_is_named_with_what_to_do(home: Home, run_program: RunProgram) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        program = run_program("perfagent", "hub", env=home.env(PERFAGENT_HUB_PORT=port))
        assert program.wait() == 4
        (line,) = program.stderr.splitlines()
        assert f"port {port}" in line
        assert "PERFAGENT_HUB_PORT" in line
        program = run_program("perfagent", "run", "python", "-c", "print(1)", env=home.env(PERFAGENT_HUB_PORT=port))
        assert program.check() == "1\n"
        (line,) = program.stderr.splitlines()
        assert f"port {port}" in line
        assert "PERFAGENT_HUB_PORT" in line


def test_a_default_port_that_is_taken_gives_way_to_a_free_one_and_that_is_taken_again(
    home: Home, run_program: RunProgram
) -> None:
    env = home.env()
    del env["PERFAGENT_HUB_PORT"]
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", 4318))
            other.listen()
        except OSError:
            pass  # whoever has it serves as well
        run_program("perfagent", "hub", "--background", env=env).check()
        before = home.hub.address
        assert not before.endswith(":4318")
        home.kill()
        run_program("perfagent", "hub", "--background", env=env).check()
        assert home.hub.address == before


@pytest.mark.parametrize("folder", ["/proc/hub", "/dev/null/hub"])
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(folder: str, run_program: RunProgram) -> None:
    env = {"PERFAGENT_HUB": "auto", "PERFAGENT_HUB_DIR": folder, "PERFAGENT_HUB_PORT": "0"}
    program = run_program("perfagent", "hub", env=env)
    assert program.wait() == 5
    (line,) = program.stderr.splitlines()
    assert folder in line
    assert "PERFAGENT_HUB_DIR" in line
    assert run_program("perfagent", "run", "python", "-c", "print(1)", env=env).check() == "1\n"


def test_a_log_that_cannot_be_written_is_told_in_one_line(home: Home, run_program: RunProgram) -> None:
    (home.folder / "hub.log").mkdir(parents=True)
    for command in (("perfagent", "hub"), ("perfagent", "hub", "--background")):
        program = run_program(*command, env=home.env())
        assert program.wait() == 5
        (line,) = program.stderr.splitlines()
        assert "hub.log" in line
        assert "PERFAGENT_HUB_DIR" in line


def test_what_was_exported_can_be_imported_elsewhere(home: Home, run_program: RunProgram, tmp_path: Path) -> None:
    run_program("perfagent", "run", "python", "-c", QUERY, env=home.env()).check()
    home.wait_for_spans(1)
    folder = str(tmp_path / "archive")
    by_hub = str(tmp_path / "by-hub")
    assert "holds 1 span, " in run_program("perfagent", "hub", "export", by_hub, env=home.env()).check()
    again = run_program("perfagent", "hub", "export", by_hub, env=home.env())
    assert again.wait() == 1
    assert "is not empty" in again.stderr
    assert ": 0 spans, " in run_program("perfagent", "hub", "import", by_hub, env=home.env()).check()
    assert list((home.folder / "archives").iterdir()) == []
    run_program("perfagent", "hub", "--stop", env=home.env()).check()
    written = run_program("perfagent", "hub", "export", folder, "--from", "-1h", env=home.env())
    assert "holds 1 span, " in written.check()
    other = Home(tmp_path / "other")
    assert ": 1 span, " in run_program("perfagent", "hub", "import", folder, env=other.env()).check()
    try:
        run_program("perfagent", "hub", "--background", env=other.env()).check()
        other.wait_for_spans(1)
    finally:
        other.kill()
    wrong = run_program("perfagent", "hub", "export", folder, "--from", "monday", env=home.env())
    assert wrong.wait() == 2
    assert "24h" in wrong.stderr


def test_a_folder_of_another_user_is_left_alone(home: Home, run_program: RunProgram) -> None:
    if os.geteuid() != 0:
        pytest.skip("takes root")
    home.folder.mkdir()
    os.chown(home.folder, 12345, 12345)
    program = run_program("perfagent", "hub", env=home.env())
    assert program.wait() == 5
    assert "belongs to another user" in program.stderr
    assert list(home.folder.iterdir()) == []


def test_a_database_that_another_process_holds_is_told_in_one_line(home: Home, run_program: RunProgram) -> None:
    import duckdb

    home.folder.mkdir()
    with duckdb.connect(str(home.folder / "hub.duckdb")):
        program = run_program("perfagent", "hub", env=home.env())
        assert program.wait() == 6
        assert "hub.duckdb" in program.stderr
        assert "Traceback" not in program.stderr
        program = run_program("perfagent", "hub", "--background", env=home.env())
        assert program.wait() == 1
        assert "hub.duckdb" in program.stderr


def test_a_hub_of_another_version_is_used_and_said_to_be_one(home: Home, run_program: RunProgram) -> None:
    home.folder.mkdir()
    code = (
        f"import fcntl, time; file = open({str(home.folder / 'hub.lock')!r}, 'r+'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    line = {"address": "http://127.0.0.1:9", "pid": 1, "version": "9.9.9", "grpc": "", "started": 1}
    (home.folder / "hub.lock").write_text(json.dumps({**line, "machine": lock._machine()}) + "\n")
    holder = run_program(sys.executable, "-c", code)
    holder.wait_for_output("held")
    code = "import os; print(os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'])"
    program = run_program("perfagent", "run", "python", "-c", code, env=home.env())
    assert program.check() == "http://127.0.0.1:9\n"
    assert "9.9.9" in program.stderr
    holder.stop()


def test_a_hub_of_another_machine_that_shares_the_folder_is_not_used(home: Home, run_program: RunProgram) -> None:
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    path, pid = home.folder / "hub.lock", home.hub.pid
    path.write_text(path.read_text().replace(lock._machine(), "elsewhere"))
    assert home.found is None
    program = run_program("perfagent", "run", "python", "-c", "print(1)", env=home.env())
    assert program.check() == "1\n"
    assert "another machine" in program.stderr
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with perfagent and without the hub's packages."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "perfagent.pth").write_text(f"{SOURCE}\n")
    return str(folder / "bin" / "python")


def test_where_the_hubs_packages_are_missing_a_line_tells_how_to_get_them_and_a_summary_follows(
    bare_python: str, home: Home, run_program: RunProgram
) -> None:
    env = home.env(PATH="/usr/bin:/bin", HOME=str(home.folder))
    program = run_program(bare_python, "-m", "perfagent", "run", bare_python, "-c", f"{QUERY}; print(1)", env=env)
    assert program.check() == "1\n"
    first, *rest = program.stderr.splitlines()
    assert 'pip install "perfagent[hub]"' in first
    assert any("queries" in line for line in rest)
    program = run_program(bare_python, "-m", "perfagent", "hub", env=env)
    assert program.wait() == 7
    assert 'pip install "perfagent[hub]"' in program.stderr


def test_a_hub_of_another_environment_on_path_is_used(bare_python: str, home: Home, run_program: RunProgram) -> None:
    program = run_program(bare_python, "-m", "perfagent", "run", bare_python, "-c", QUERY, env=home.env())
    program.check()
    home.wait_for_spans(1)
    assert str(Path(sys.executable).parent / "perfagent") in proc(home.hub.pid, "cmdline")


@pytest.mark.parametrize(
    "env",
    [
        {"PERFAGENT_HUB": "off"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
        {"JAEGER_ENDPOINT": "http://127.0.0.1:14268/api/traces"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_no_hub_is_started_where_telemetry_is_not_for_it(
    env: dict[str, str], home: Home, run_program: RunProgram
) -> None:
    run_program("perfagent", "run", "true", env=home.env(**env)).check()
    assert not home.folder.exists()


def test_an_endpoint_in_the_settings_file_counts(home: Home, run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "perfagent.toml").write_text('otel_exporter_otlp_endpoint = "http://127.0.0.1:9"\n')
    run_program("perfagent", "run", "true", env=home.env(), cwd=tmp_path).check()
    assert not home.folder.exists()


def test_options_of_the_hub_in_the_programs_settings_file_reach_it(
    home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    (tmp_path / "perfagent.toml").write_text("hub_idle = 77\nretention_hours = 5\n")
    run_program("perfagent", "run", "python", "-c", "pass", env=home.env(), cwd=tmp_path).check()
    environ = proc(home.hub.pid, "environ").split("\0")
    assert "PERFAGENT_HUB_IDLE=77" in environ
    assert "PERFAGENT_RETENTION_HOURS=5" in environ


def test_quiet_means_quiet(home: Home, run_program: RunProgram) -> None:
    program = run_program("perfagent", "run", "--quiet", "python", "-c", QUERY, env=home.env())
    assert program.check() == ""
    assert program.stderr == ""
    home.wait_for_spans(1)


def test_a_program_started_without_perfagent_run_finds_a_hub_and_starts_none(
    home: Home, run_program: RunProgram
) -> None:
    bootstrap = str(SOURCE / "perfagent" / "launch" / "bootstrap")
    env = home.env(PYTHONPATH=bootstrap)
    run_program("python", "-c", QUERY, env=env).check()
    assert not home.folder.exists()
    run_program("perfagent", "hub", "--background", env=home.env()).check()
    run_program("python", "-c", QUERY, env=env).check()
    env = home.env(OTEL_PYTHON_DISTRO="perfagent", OTEL_PYTHON_CONFIGURATOR="perfagent")
    run_program("opentelemetry-instrument", "python", "-c", QUERY, env=env).check()
    home.wait_for_spans(2)


def test_the_commands_agree_on_whether_a_hub_runs(home: Home, run_program: RunProgram) -> None:
    env = home.env()
    status = run_program("perfagent", "hub", "--status", "--output", "json", env=env)
    assert status.wait() == 3
    assert json.loads(status.stdout) == {"running": False, "directory": str(home.folder)}
    assert "no hub runs" in run_program("perfagent", "hub", "--stop", env=env).check()
    assert "the hub runs: http" in run_program("perfagent", "hub", "--background", env=env).check()
    assert "the hub runs already: http" in run_program("perfagent", "hub", "--background", env=env).check()
    again = run_program("perfagent", "hub", env=env)
    assert again.wait() == 3
    assert "runs already" in again.stderr
    status = run_program("perfagent", "hub", "--status", "--output", "json", env=env)
    told = json.loads(status.check())
    assert told["address"] == home.hub.address == told["hub"]["address"]
    token = run_program("perfagent", "hub", "token", "--role", "admin", env=env).check().strip()
    from perfagent.hub.access import Access, secret

    assert Access(secret(str(home.folder))).role(token) == "admin"


def test_a_hub_in_the_foreground_greets_and_ends_by_ctrl_c(home: Home, run_program: RunProgram) -> None:
    program = run_program("perfagent", "hub", env=home.env())
    program.wait_for_output("Ctrl-C ends the hub")
    assert f"{home.hub.address}/?code=" in program.stdout
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0
    assert program.stderr == ""


def test_a_hub_beyond_loopback_warns_and_takes_telemetry_with_a_token_alone(
    home: Home, run_program: RunProgram
) -> None:
    program = run_program("perfagent", "hub", "--host", "0.0.0.0", env=home.env())
    program.wait_for_output("Ctrl-C ends the hub")
    assert "beyond this machine" in program.stderr
    assert home.post("/v1/traces", one_span(1)) == 401
    run_program("perfagent", "run", "python", "-c", QUERY, env=home.env()).check()
    home.wait_for_spans(1)


@pytest.mark.parametrize(("choice", "opened"), [("always", True), ("never", False), ("auto", False)])
def test_a_browser_opens_where_it_is_asked_for(
    choice: str, opened: bool, home: Home, run_program: RunProgram, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    env = home.env(PERFAGENT_HUB_OPEN=choice, DISPLAY=":99", BROWSER=str(browser))
    run_program("perfagent", "run", "python", "-c", "pass", env=env).check()  # not on a terminal: `auto` opens nothing
    assert home.get("hub")
    page = tmp_path / "opened"
    deadline = time.monotonic() + (10 if opened else 1)
    while not (page.exists() and page.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert page.exists() is opened
    if opened:
        assert page.read_text().startswith(f"{home.hub.address}/?code=")


def test_the_log_stays_small(tmp_path: Path) -> None:
    code = (
        "import sys; from perfagent.hub import journal; journal.SIZE = 4096; journal.begin(sys.argv[1], False)\n"
        "for n in range(1000): journal.log.error('line %d', n); print('printed', n, flush=True)\n"
        "raise ValueError('the end')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(files) == {"hub.log", "hub.log.1"}
    assert all(len(text) < 3 * 4096 for text in files.values())
    assert "line 999" in files["hub.log"]
    assert "ValueError: the end" in files["hub.log"]
