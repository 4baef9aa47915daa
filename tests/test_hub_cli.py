"""The commands that ask a hub: what a person reads, what a script gets, and what each says when something is wrong."""

from __future__ import annotations

import csv
import fcntl
import http.server
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from perfagent.cli import figures, main, output
from perfagent.cli.dashboard import summary
from perfagent.cli.output import Column, Mark, Table
from perfagent.hub import lock
from perfagent.hub.access import Access, secret
from tests import hub_story
from tests.program import Program, clean_environment
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram
    from tests.hubs import Home

pytestmark = pytest.mark.slow


class Running(NamedTuple):
    """A hub with the story in it, and the environment that finds it."""

    address: str
    directory: Path
    env: dict[str, str]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("hub")
    env = {"PERFAGENT_HUB_DIR": str(directory), "PERFAGENT_HUB_OPEN": "never"}
    program = Program(("perfagent", "hub", "--port", "0"), tmp_path_factory.mktemp("output"), env)
    try:
        program.wait_for_output("perfagent run", 30)
        found = lock.find(str(directory))
        assert found is not None
        hub_story.send(found.address, Access(secret(str(directory))).token("agent"))
        yield Running(found.address, directory, env)
    finally:
        program.terminate()
        program.stop()


class Answered(NamedTuple):
    status: int
    out: str
    err: str


def ask(hub: Running, *words: str, **env: str) -> Answered:
    """What a command prints, and its exit status."""
    environ = clean_environment(hub.env | env)
    done = subprocess.run(["perfagent", *words], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return Answered(done.returncode, done.stdout, done.stderr)


def fine(hub: Running, *words: str, **env: str) -> str:
    answered = ask(hub, *words, **env)
    assert answered.status == 0, answered
    return answered.out


def test_status_tells_where_the_hub_is_what_it_holds_and_who_sends(hub: Running) -> None:
    answered = ask(hub, "status")
    assert f"{hub.address}/?code=" in answered.out
    assert re.search(r"holds +[\d,]+ spans", answered.out)
    assert re.search(r"^shop +\w+ ", answered.out, re.MULTILINE)
    assert re.search(r"^payments +\w+ ", answered.out, re.MULTILINE)
    told = json.loads(ask(hub, "status", "--output", "json").out)
    assert set(told) == {"hub", "services"}
    assert {one["service"] for one in told["services"]} == {"shop", "payments"}


def test_health_is_an_exit_status_that_scripts_can_use(hub: Running) -> None:
    answered = ask(hub, "health", "--service", "payments")
    assert (answered.status, answered.out.splitlines()[1].split()[:2]) == (0, ["payments", "healthy"])
    degraded = ask(hub, "health", "--service", "shop")
    assert (degraded.status, degraded.out.splitlines()[1].split()[:2]) == (0, ["shop", "degraded"])
    assert ask(hub, "health", "--service", "shop", "--strict").status == 1
    missing = ask(hub, "health", "--service", "no-such-service")
    assert missing.status == 1
    assert "nothing of it has arrived" in missing.out
    told = ask(hub, "health", "--output", "json")
    health = json.loads(told.out)
    assert set(health) == {"healthy", "hub", "services"}
    assert health["healthy"] is (told.status == 0)
    assert health["hub"]["status"] == "healthy"


def test_the_dashboard_has_rate_errors_durations_endpoints_and_findings(hub: Running) -> None:
    shown = fine(hub, "dashboard", "--hours", "2")
    for part in ("requests", "errors", "p95", "GET /orders", "GET /rating", "SELECT", "order_lines", "findings"):
        assert part in shown
    told = json.loads(fine(hub, "dashboard", "--output", "json"))
    assert told["totals"]["requests"] == hub_story.ORDERS + hub_story.RATINGS + 3
    assert told["totals"]["errors"] == hub_story.FAILED


def test_the_dashboard_of_a_program_that_serves_nobody_has_its_findings(hub: Running) -> None:
    overview = json.loads(fine(hub, "dashboard", "--output", "json"))
    assert overview["findings"]
    overview["totals"]["requests"] = 0
    shown = str(summary(overview, "", 1))
    assert "No request in that time" in shown
    assert overview["findings"][0]["title"] in shown


def test_traces_are_found_by_route_duration_status_attribute_and_service(hub: Running) -> None:
    def found(*words: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(fine(hub, "traces", *words, "--limit", "100", "--output", "json"))[
            "items"
        ]
        return items

    assert len(found("--route", "/orders")) == hub_story.ORDERS
    assert [one["trace_id"] for one in found("--min-ms", "500")] == [hub_story.SLOWEST]
    assert {one["name"] for one in found("--status", "error")} == {"GET /rating"}
    assert (
        len(found("--attribute", "http.route=/rating", "--attribute", "http.response.status_code=500"))
        == hub_story.FAILED
    )
    assert [one["services"] for one in found("--service", "payments")] == [["payments", "shop"]]
    assert found("--sort", "slowest")[0]["trace_id"] == hub_story.SLOWEST
    assert "No such trace" in fine(hub, "traces", "--min-ms", "60000")


def test_a_trace_is_drawn_with_bars_own_times_and_repeated_queries(hub: Running) -> None:
    shown = fine(hub, "traces", hub_story.SLOWEST)
    lines = shown.splitlines()
    assert lines[0].startswith("GET /orders  900 ms, 7 spans")
    assert f"{hub.address}/#/traces/{hub_story.SLOWEST}" in lines[1]
    (root,) = [line for line in lines[3:] if line.startswith("GET /orders")]
    assert re.search(r"█+ +900 ms +876 ms", root)
    assert f"SELECT order_lines  x {hub_story.LINES}" in shown
    assert f"{hub_story.LINES} times 24 ms in all" in shown
    assert "orders.py:28" in shown
    both = fine(hub, "traces", f"{0x3000:032x}")
    assert "shop" in both.splitlines()[1]
    assert re.search(r"^ +POST /charges +payments ", both, re.MULTILINE)
    failed = fine(hub, "traces", f"{0x1000:032x}")
    assert "failed  GET /rating: ZeroDivisionError" in failed


def test_an_unknown_trace_and_a_wrong_one_are_refused_in_one_line(hub: Running) -> None:
    for identity in ("f" * 32, "nonsense", "../hub"):
        answered = ask(hub, "traces", identity)
        assert answered.status == 2
        assert answered.err.startswith("perfagent: ")
        assert answered.err.count("\n") == 1


def test_reports_are_json_csv_or_one_html_file_without_a_script(hub: Running, tmp_path: Path) -> None:
    for kind in ("performance", "errors", "queries"):
        assert isinstance(json.loads(fine(hub, "report", "--type", kind)), dict)
        rows = list(csv.reader(io.StringIO(fine(hub, "report", "--type", kind, "--format", "csv"))))
        assert len(rows) >= 2
        assert len({len(row) for row in rows}) == 1
        path = tmp_path / f"{kind}.html"
        assert fine(hub, "report", "--type", kind, "--to", str(path)) == ""
        assert_is_closed(path.read_text())
    text = (tmp_path / "performance.html").read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "GET /orders" in text
    assert "ZeroDivisionError" not in text or "<svg" in text


def assert_is_closed(text: str) -> None:
    """A whole document that loads nothing and runs nothing, whose tags are all closed."""
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img", "iframe", "object")
            for name, value in attrs:
                assert not name.startswith("on")
                assert name != "src"
                assert name != "href" or str(value).startswith("http://127.0.0.1:")
            if tag not in ("meta", "br", "path"):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("meta", "br", "path"):
                assert opened.pop() == tag

    assert text.startswith("<!doctype html>")
    Reader().feed(text)
    assert opened == []
    assert "\x1b" not in text


def test_a_report_that_cannot_be_written_names_the_file(hub: Running) -> None:
    answered = ask(hub, "report", "--format", "html", "--to", "/no/such/folder/report.html")
    assert answered.status == 2
    assert answered.err == "perfagent: /no/such/folder/report.html: No such file or directory\n"


def test_what_a_program_sent_does_not_steer_the_terminal(hub: Running) -> None:
    for words in (["traces", "--limit", "100"], ["dashboard"], ["top"], ["traces", f"{0x2000:032x}"]):
        assert "\x1b" not in fine(hub, *words)


def test_top_without_a_terminal_prints_once(hub: Running) -> None:
    shown = fine(hub, "top", "--sort", "errors")
    assert shown.startswith("perfagent top")
    assert shown.index("GET /rating") < shown.index("GET /orders")
    told = json.loads(fine(hub, "top", "--output", "json"))
    assert set(told) == {"services", "endpoints", "processes", "findings"}


class Screen:
    """A terminal of so many columns and rows in which `perfagent top` runs."""

    def __init__(self, hub: Running, columns: int, rows: int, *words: str, **env: str) -> None:
        environ = clean_environment(hub.env | {"TERM": "xterm-256color"} | env)
        self.main, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(child)
        self.process = subprocess.Popen(
            ["perfagent", "top", *words], env=environ, stdin=child, stdout=child, stderr=child, start_new_session=True
        )
        self.child = child
        self.written = ""

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """The last frame, as soon as `text` stands in one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            frame = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written.rpartition("\x1b[H")[2])
            if text in frame:
                return frame
            if select.select([self.main], [], [], 0.1)[0]:
                self.written += os.read(self.main, 65_536).decode()
        raise AssertionError(f"{text!r} never stood in a frame; the last: {self.written[-3000:]!r}")

    def press(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def end(self) -> int:
        """The exit status; what is still to be read is read."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.main], [], [], 0.1)[0]:
                self.written += os.read(self.main, 65_536).decode()
        while select.select([self.main], [], [], 0.1)[0]:
            self.written += os.read(self.main, 65_536).decode()
        status = self.process.poll()
        after = termios.tcgetattr(self.child)
        os.close(self.main)
        os.close(self.child)
        if status is None:
            self.process.kill()
        assert self.written.endswith("\x1b[?25h\x1b[?1049l")
        assert after == self.before
        assert status is not None
        return status


def test_top_draws_live_sorts_filters_and_leaves_the_terminal_as_it_was(hub: Running) -> None:
    screen = Screen(hub, 100, 30)
    screen.wait_for("GET /orders")
    screen.wait_for("spans a second")  # of the stream of live values
    screen.press("s")
    screen.wait_for("sort (p95)")
    screen.press("/rati")
    screen.wait_for("filter rati_")
    screen.press("\r")
    frame = screen.wait_for("filter: rati")
    assert "GET /rating" in frame
    assert "GET /orders " not in frame.partition("findings")[0]
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_top_and_puts_the_terminal_back(hub: Running, number: int, status: int) -> None:
    screen = Screen(hub, 100, 30)
    screen.wait_for("GET /orders")
    screen.process.send_signal(number)
    assert screen.end() == status


def test_top_fits_a_small_terminal_and_obeys_no_color(hub: Running) -> None:
    screen = Screen(hub, 40, 16, NO_COLOR="1")
    frame = screen.wait_for("q leave")
    screen.press("q")
    assert screen.end() == 0
    lines = frame.replace("\r", "").split("\n")
    assert max(map(len, lines)) <= 40
    assert len(lines) <= 16
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.written)


def test_top_waits_for_a_hub_that_goes_away(home: Home, free_port: int) -> None:
    env = home.env(PERFAGENT_HUB_PORT=str(free_port))
    start = ["perfagent", "hub", "--background"]
    subprocess.run(start, env=clean_environment(env), check=True, capture_output=True)
    screen = Screen(Running(home.hub.address, home.folder, env), 100, 30)
    screen.wait_for("No request in the last 5 minutes")
    home.kill()
    screen.wait_for("nobody listens")
    subprocess.run(start, env=clean_environment(env), check=True, capture_output=True)
    hub_story.send(home.hub.address)
    assert "nobody listens" not in screen.wait_for("GET /orders")
    screen.press("q")
    assert screen.end() == 0


def test_a_closed_pipe_and_a_full_disk_are_no_tracebacks(hub: Running) -> None:
    for sink, status in (("head -1", 0), ("true", 0)):
        command = f"set -o pipefail; perfagent traces --limit 1000 | {sink} >/dev/null"
        done = subprocess.run(
            ["bash", "-c", command],
            env=clean_environment(hub.env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, "")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            ["perfagent", "status"],
            env=clean_environment(hub.env),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "perfagent: standard output: No space left on device\n"


def test_without_a_hub_every_command_says_how_to_start_one(run_program: RunProgram, tmp_path: Path) -> None:
    for name in ("top", "status", "dashboard", "traces", "report", "health"):
        program = run_program("perfagent", name, env={"PERFAGENT_HUB_DIR": str(tmp_path)})
        assert program.wait() == 3
        assert program.stdout == ""
        assert str(tmp_path) in program.stderr
        assert "perfagent hub --background" in program.stderr
        assert program.stderr.count("\n") == 1


def test_a_hub_is_named_by_its_address_and_token(hub: Running, tmp_path: Path) -> None:
    elsewhere = {"PERFAGENT_HUB_DIR": str(tmp_path), "PERFAGENT_HUB_URL": hub.address}
    refused = ask(hub, "status", **elsewhere)
    assert refused.status == 2
    assert "PERFAGENT_HUB_TOKEN" in refused.err
    token = Access(secret(str(hub.directory))).token("viewer")
    assert ask(hub, "status", **elsewhere, PERFAGENT_HUB_TOKEN=token).status in (0, 1)
    assert ask(hub, "status", "--url", hub.address, "--token", token, PERFAGENT_HUB_DIR=str(tmp_path)).status in (0, 1)
    wrong = ask(hub, "status", "--token", "viewer.wrong")
    assert (wrong.status, wrong.out) == (2, "")
    by_name = hub.address.replace("127.0.0.1", "localhost")
    assert ask(hub, "status", "--url", by_name).status in (0, 1)  # our own hub, by another name


def test_the_token_goes_to_no_other_listener(hub: Running) -> None:
    with listener(lambda _path: (200, b"{}")) as (address, seen):
        assert ask(hub, "status", "--url", address).status == 3
    assert seen
    assert all("Authorization" not in headers for headers in seen)


@contextmanager
def listener(answer: Any) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Something else that listens: its address, and the headers of each request."""
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers.items()))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"404 page not found", "not as a hub does"),
        (200, b"<html>", "not as a hub does"),
        (200, b'{"status": "success", "data": {}}', "in another form"),
        (
            500,
            b'{"status": "error", "error": {"code": "internal", "message": "broken \\u001b[2J"}}',
            "answered 500: broken",
        ),
    ],
)
def test_something_else_at_the_address_is_told_as_such(hub: Running, status: int, body: bytes, told: str) -> None:
    with listener(lambda _path: (status, body)) as (address, _seen):
        answered = ask(hub, "status", "--url", address)
    assert answered.status == 3
    assert told in answered.err
    assert "\x1b" not in answered.err


def test_a_hub_that_hangs_is_given_up_after_the_timeout(hub: Running) -> None:
    def hang(_path: str) -> tuple[int, bytes]:
        time.sleep(2)
        return 200, b"{}"

    with listener(hang) as (address, _seen):
        answered = ask(hub, "status", "--url", address, "--timeout", "0.3")
    assert answered.status == 3
    assert "did not answer in 0.3 s" in answered.err


@pytest.mark.parametrize(
    "words",
    [
        ["dashboard", "--hours", "0"],
        ["dashboard", "--hours", "9999"],
        ["traces", "--limit", "0"],
        ["traces", "--since", "yesterday"],
        ["status", "--timeout", "-1"],
        ["report", "--format", "pdf"],
    ],
)
def test_wrong_words_end_with_2_and_a_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"perfagent {words[0]}: error: argument {words[1]}")


def test_what_the_hub_refuses_is_told_in_its_words(hub: Running) -> None:
    for words in (["traces", "--attribute", "no-equals-sign"], ["status", "--url", "ftp://example"]):
        answered = ask(hub, *words)
        assert (answered.status, answered.out) == (2, "")
        assert answered.err.startswith("perfagent: ")
        assert words[-1] in answered.err


@pytest.mark.parametrize("name", ["top", "status", "dashboard", "traces", "report", "health"])
def test_the_help_of_a_command_has_examples_and_exit_statuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"  perfagent {name}" in shown.partition("examples:")[2]
    assert "exit status: 0 fine" in shown


@pytest.mark.parametrize("page", ["docs/how-to/command-line.md", "README.md"])
def test_every_command_that_a_page_shows_works(hub: Running, tmp_path: Path, page: str) -> None:
    for block in blocks(page, "sh"):
        done = shell(block, clean_environment(hub.env), tmp_path)
        assert done.returncode in (0, 1), (block, done.stdout, done.stderr)
        assert re.sub(r"\w+\.\w+: [\d,]+ bytes of \w+\n", "", done.stderr) == "", block


def test_the_commands_of_the_tutorial_show_what_it_says(home: Home, tmp_path: Path) -> None:
    (program,) = blocks("docs/tutorial.md", "python")
    (tmp_path / "app.py").write_text(program)
    # A busy machine needs longer for a hub's start than a program waits at its end.
    env = clean_environment({**home.env(), "PERFAGENT_EXIT_TIMEOUT": "30000"})
    run, look, draw, end = (shell(block, env, tmp_path) for block in blocks("docs/tutorial.md", "sh"))
    assert [done.returncode for done in (run, look, draw, end)] == [0, 0, 0, 0], (run, look, draw, end)
    assert run.stdout == "hello\n"
    for part in ("greeter", "CREATE TABLE greetings", "INSERT greetings", "SELECT greetings"):
        assert part in look.stdout
    assert "select word from greetings where language = ?" in draw.stdout
    assert home.found is None


def shell(block: str, env: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", block], env=env, cwd=directory, capture_output=True, text=True, timeout=90, check=False
    )


def test_columns_of_less_use_go_first_where_the_terminal_is_narrow() -> None:
    table = Table([Column("endpoint", wide=True), Column("rate", right=True, drop=1), Column("p95", right=True)])
    table.rows.append(("GET /customers/{customer_id}/orders", "12/s", Mark("212 ms", "bad")))
    assert (
        output.render([table], 60, colour=False).splitlines()[1] == "GET /customers/{customer_id}/orders  12/s  212 ms"
    )
    narrow = output.render([table], 24, colour=False).splitlines()
    assert narrow[0].split() == ["endpoint", "p95"]
    assert narrow[1] == "GET /customers/…  212 ms"
    assert max(map(output.cells, narrow)) <= 24


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (figures.milliseconds(0.0421), "0.04 ms"),
        (figures.milliseconds(41.6), "42 ms"),
        (figures.milliseconds(4160), "4.16 s"),
        (figures.milliseconds(400_000), "6.7 min"),
        (figures.milliseconds(None), "-"),
        (figures.rate(0.0004), "<0.01/s"),
        (figures.rate(41.52), "41.5/s"),
        (figures.percent(0.0004), "<0.1%"),
        (figures.percent(0.123), "12%"),
        (figures.size(64_300_000), "64 MB"),
        (figures.lasting(100), "100 s"),
        (figures.lasting(9000), "2 h"),
        (figures.sparkline([0, None, 4, 8], 4), "▁ ▅█"),
        (figures.sparkline([1, 3, 1, 3], 2), "██"),
        (figures.sparkline([], 4), ""),
    ],
)
def test_a_figure_has_two_or_three_digits_and_its_unit(shown: str, text: str) -> None:
    assert shown == text


def test_wide_and_combining_characters_keep_the_columns_in_line() -> None:
    table = Table([Column("name", wide=True), Column("n", right=True)])
    table.rows += [("商品の検索", "1"), ("e\u0301tude", "2"), ("plain", "3")]
    lines = output.render([table], 40, colour=False).splitlines()
    assert len({output.cells(line) for line in lines}) == 1


def test_colours_come_from_rich_and_no_color_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in output.render([Mark("bad", "bad")], 40, colour=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in output.render([Mark("bad", "bad")], 40, colour=True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert output.render([Mark("bad", "bad")], 40, colour=True) == "bad\n"
