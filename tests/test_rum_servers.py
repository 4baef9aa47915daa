"""PERFAGENT_RUM under every server that the agent knows, and what it says where it cannot serve."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.web import Web

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

URL = "http://127.0.0.1:1"
TAG = re.compile(rb'<script src="http://127\.0\.0\.1:1/rum\.js"[^>]*></script>')
WSGI = "tests.apps.rum_wsgi:app"
SIMPLE = (
    "from wsgiref.simple_server import make_server; from tests.apps.rum_wsgi import app; "
    "make_server('127.0.0.1', PORT, app).serve_forever()"
)
SERVERS = {
    "waitress": ("waitress-serve", "--listen=127.0.0.1:PORT", WSGI),
    "werkzeug": ("flask", "--app", WSGI, "run", "--port", "PORT"),
    "wsgiref": ("python", "-c", SIMPLE),
    "gunicorn sync": ("gunicorn", WSGI, "-b", "127.0.0.1:PORT", "--no-control-socket"),
}
PATHS = ("/items/7", "/parts", "/split", "/fragment", "/empty", "/json", "/events", "/gzip")


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_pages_get_the_script_and_other_answers_stay_under_each_server(
    receiver: Receiver, tmp_path: Path, server: str
) -> None:
    (tmp_path / "on").mkdir()
    (tmp_path / "off").mkdir()
    on = Web(receiver, tmp_path / "on", *SERVERS[server], PERFAGENT_RUM="true", PERFAGENT_RUM_URL=URL)
    off = Web(receiver, tmp_path / "off", *SERVERS[server])
    try:
        for path in PATHS:
            changed, plain = on.ask(path), off.ask(path)
            body: bytes = changed.body  # type: ignore[attr-defined]
            assert TAG.sub(b"", body) == plain.body, path  # type: ignore[attr-defined]
            assert len(TAG.findall(body)) == (path in ("/items/7", "/parts")), path
            assert changed.status == plain.status
            if changed.headers["content-length"]:
                assert int(changed.headers["content-length"]) == len(body)
        assert "perfagent:" not in on.program.stderr
        deadline = time.monotonic() + 60
        while receiver.total("perfagent.rum.injected").value != 2:
            assert time.monotonic() < deadline, receiver.metric("perfagent.rum.injected")
            time.sleep(0.1)
    finally:
        on.program.stop()
        off.program.stop()


def test_nothing_of_it_is_imported_while_it_is_off(receiver: Receiver, run_program: RunProgram) -> None:
    code = (
        "import sys, starlette.applications, uvicorn.server, flask, perfagent.instruments.wsgi; "
        "print([name for name in sys.modules if 'perfagent.rum' in name or 'launch.pages' in name])"
    )
    shown = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver)).check()
    assert shown == "[]\n"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "PERFAGENT_RUM is on, and no hub of yours runs that browsers could tell: pages stay as they are"),
        ("hub.example.com", "PERFAGENT_RUM_URL: 'hub.example.com' is no address of a hub: an address such as"),
    ],
)
def test_a_program_whose_pages_cannot_be_measured_says_so_once_and_goes_on(
    receiver: Receiver, run_program: RunProgram, tmp_path: Path, url: str, says: str
) -> None:
    env = agent_env(receiver, PERFAGENT_RUM="true", PERFAGENT_RUM_URL=url, PERFAGENT_HUB_DIR=str(tmp_path / "none"))
    program = run_program("perfagent", "run", "python", "-c", "import flask; print('works')", env=env)
    assert program.check() == "works\n"
    assert program.stderr.count("perfagent: ") == 1
    assert says in program.stderr
