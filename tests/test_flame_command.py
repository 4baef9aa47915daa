"""`perfagent flame`: of what a hub keeps, of a command that it runs, of a process that runs already."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from perfagent.cli import flame
from perfagent.cli.flame import main
from perfagent.hub.flame import collapsed, drawing
from perfagent.hub.flame.stacks import Call, Profile, Sample
from tests.hub import ServedHub, resource, span, traces
from tests.profiles import PATH, Profiles
from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hub import ServeHub

MS = 1_000_000
VIEW = ("cart", "/srv/shop/views.py", 20, 24)
TOTAL = ("total", "/srv/shop/prices.py", 5, 8)
SPIN = """
    import sys, time

    def spin(end):
        while time.monotonic() < end:
            for number in range(1000):
                number * number  # here

    def rest(seconds):
        time.sleep(seconds)

    print("ready", flush=True)
    spin(time.monotonic() + float(sys.argv[1]))
    rest(float(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with two releases of a shop."""
    with ServedHub(tmp_path_factory.mktemp("flame")) as hub:
        for version, value in (("1.0", 20), ("2.0", 80)):
            made = Profiles(version=version, instance=f"shop-{version}")
            made.add([VIEW, TOTAL], value * MS, endpoint="GET /cart").add([VIEW], 10 * MS, endpoint="GET /other")
            answer = hub.client.post(PATH, content=made.encode(), headers={"content-type": "application/x-protobuf"})
            assert answer.status_code == 200
            spans = [span(number, "GET /cart", trace=number, ago=15) for number in range(1, 5)]
            hub.send("traces", traces(resource("shop", f"shop-{version}", service__version=version), *spans))
        yield hub


def ask(hub: ServedHub, *words: str) -> int:
    """The exit status of the command with this hub."""
    return main([*words, "--url", hub.url, "--token", hub.access.token("viewer")])


@pytest.fixture
def spinning(tmp_path: Path) -> Path:
    """A program that computes for a while, then sleeps."""
    file = tmp_path / "spinning.py"
    file.write_text(textwrap.dedent(SPIN))
    return file


def test_it_names_the_functions_and_where_they_are_called(shop: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(shop, "--service", "shop", "--endpoint", "GET /cart") == 0
    told = capsys.readouterr().out
    assert re.search(r"100 ms +100% +100 ms +total", told), told
    assert "/srv/shop/views.py:24" in told


def test_lines_are_shown_on_request(shop: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(shop, "--lines", "--most", "1") == 0
    assert "/srv/shop/prices.py:8" in capsys.readouterr().out


def test_two_releases_are_compared(shop: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(shop, "--service", "shop", "--endpoint", "GET /cart", "--compare", "1.0", "2.0") == 0
    told = capsys.readouterr().out
    assert re.search(r"20 ms +80 ms +\+60 ms +total", told), told
    assert ask(shop, "--compare", "1.0", "2.0", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["before"]["label"] == "1.0"


def test_files_are_named_by_their_ending(shop: ServedHub, tmp_path: Path) -> None:
    for name in ("a.svg", "a.html", "a.speedscope.json", "a.pb.gz", "a.folded", "a.otlp.pb", "a.json"):
        assert ask(shop, "--file", str(tmp_path / name)) == 0
    ElementTree.parse(tmp_path / "a.svg")
    assert json.loads((tmp_path / "a.json").read_text())["functions"][0]["name"] == "total"
    assert collapsed.read((tmp_path / "a.folded").read_text(), 1000).total == 120 * MS
    assert (tmp_path / "a.pb.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_where_there_is_nothing_it_says_what_there_is(shop: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(shop, "--type", "gil") == 1
    assert "there is wall" in capsys.readouterr().err
    assert ask(shop, "--endpoint", "GET /carts") == 1
    assert "'GET /cart'" in capsys.readouterr().err
    assert ask(shop, "--service", "shpo") == 1
    assert "'shpo' has sent no profile" in capsys.readouterr().err
    assert ask(shop, "--compare", "1.0", "9.9") == 2
    assert "2.0" in capsys.readouterr().err


def test_wrong_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--rate", "900"], ["--pid", "me"], ["--file", "x.doc"], ["--pid", "1", "--", "python"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2, words
    assert main(["--pid", str(2**30)]) == 2
    assert "no process" in capsys.readouterr().err


def test_a_command_is_run_and_its_hot_line_named(spinning: Path) -> None:
    words = [sys.executable, "-m", "perfagent", "flame", "--lines", "--output", "json", "--", sys.executable]
    done = subprocess.run([*words, str(spinning), "2", "0.8"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.partition("\n")[2] if done.stdout.startswith("ready") else done.stdout)
    top = document["lines"][0]
    assert (top["name"], top["file"]) == ("spin", str(spinning))
    assert top["line"] in (5, 6, 7)
    shares = {one["name"]: one["self"] / document["total"] for one in document["functions"]}
    assert shares["spin"] > 0.3
    assert shares["rest"] > 0.1


def test_the_exit_status_is_that_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "fails.py"
    file.write_text("import time, sys\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nsys.exit(7)\n")
    words = [sys.executable, "-m", "perfagent", "flame", "--", sys.executable, str(file)]
    assert subprocess.run(words, capture_output=True, timeout=120, check=False).returncode == 7
    words[-2:] = ["no-such-command-here"]
    assert subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 127


def test_a_running_process_is_looked_at_from_outside(spinning: Path, tmp_path: Path) -> None:
    if not shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"):
        missing("py-spy", 'pip install "perfagent[profile]"')
    with subprocess.Popen([sys.executable, str(spinning), "60", "0"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        words = [sys.executable, "-m", "perfagent", "flame", "--pid", str(running.pid), "--duration", "1"]
        env = {**os.environ, "PERFAGENT_HUB_DIR": str(tmp_path / "none")}
        done = subprocess.run(
            [*words, "--output", "json"], capture_output=True, text=True, timeout=120, check=False, env=env
        )
        running.kill()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["functions"][0]["name"] == "spin"
    assert document["functions"][0]["file"] == str(spinning)


@pytest.mark.slow
def test_a_process_under_perfagent_is_asked_by_the_hub(
    serve_hub: ServeHub, spinning: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "flame-" * 8
    hub = serve_hub(PERFAGENT_CONTROL_KEY=key)
    env = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "PERFAGENT_CONTROL": "on",
        "PERFAGENT_CONTROL_KEY": key,
        "PERFAGENT_PROFILER_AT_ONCE": "true",
    }
    words = [sys.executable, "-m", "perfagent", "run", "--service", "spinner", sys.executable, str(spinning), "90", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as running:
        try:
            deadline = time.monotonic() + 40
            while not hub.get("agents")["items"] and time.monotonic() < deadline:
                time.sleep(0.2)
            pid = str(running.pid)
            asked = ["--pid", pid, "--duration", "2", "--url", hub.url, "--token", hub.access.token("operator")]
            assert main([*asked, "--output", "json"]) == 0
        finally:
            running.kill()
    assert json.loads(capsys.readouterr().out)["functions"][0]["name"] == "spin"
    (audited,) = [one for one in hub.get("audit", role="admin")["items"] if one["action"] == "command.answered"]
    assert audited["after"]["result"]["rate"] > 50


def test_without_py_spy_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.delattr(sys, "remote_exec", raising=False)
    assert main(["--pid", str(os.getpid()), "--url", "http://127.0.0.1:9"]) == 2
    assert 'pip install "perfagent[profile]"' in capsys.readouterr().err


def test_the_script_of_remote_debugging_writes_what_it_saw(tmp_path: Path) -> None:
    from perfagent.cli import flame_remote

    told = tmp_path / "stacks.txt"
    flame_remote.start(str(told), 0.3, 100)
    end = time.monotonic() + 60
    while not told.exists() and time.monotonic() < end:
        sum(range(1000))
    profile = collapsed.read(told.read_text(), 10_000_000)
    seen = {call.function for sample in profile.samples for call in sample.calls}
    assert "test_the_script_of_remote_debugging_writes_what_it_saw" in seen


def test_names_of_a_program_cannot_leave_a_picture() -> None:
    evil = Call("</text><script>alert(1)</script>", 'a"b.py\x1b', 1, 2)
    text = drawing.html(Profile(samples=[Sample((evil,), 10)], name="<b>"))
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert "\x1b" not in text


def test_a_stack_deeper_than_pythons_own_is_drawn() -> None:
    calls = tuple(Call(f"f{depth}", "a.py", 1, 1) for depth in range(5000))
    assert drawing.svg(Profile(samples=[Sample(calls, 10)])).count("<rect") == 5000


def test_the_commands_of_the_documentation_are_understood(shop: ServedHub) -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/flame.md").read_text()
    commands = re.findall(r"^\$ perfagent flame (.*)$", page, re.MULTILINE)
    assert len(commands) >= 9
    for text in commands:
        words = shlex.split(text.replace("2.3.0", "1.0").replace("2.4.0", "2.0"))
        before, program = flame._split(words)
        asked = flame._parser().parse_args(before)
        if program or asked.pid:
            assert asked.output == "table"
        else:
            assert ask(shop, *words) == (1 if asked.type == "cpu" else 0), text
