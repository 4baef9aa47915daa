"""The pages of docs/reference that are made from the code say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfagent.instruments.registry import INSTRUMENTS
from tests.agent import agent_env

if TYPE_CHECKING:
    from tests.conftest import RunProgram
    from tests.otlp import Receiver

ROOT = Path(__file__).parent.parent
TYPES = {"sum": ("counter", "up-down counter"), "gauge": ("gauge",), "histogram": ("histogram",)}


def test_the_pages_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_the_page_of_libraries_has_what_every_instrument_costs() -> None:
    page = (ROOT / "docs" / "reference" / "libraries.md").read_text()
    costs = re.findall(r"^\| .* \| `\S+` \| .* \| (.*?) \|$", page, re.MULTILINE)
    assert len(costs) == len(INSTRUMENTS)
    assert [cost for cost in costs if not re.fullmatch(r"(below )?[\d.]+ µs on [\d.]+ µs", cost)] == []


@pytest.mark.slow
def test_every_metric_that_a_program_exports_is_on_the_page_with_its_type_unit_and_attributes(
    run_program: RunProgram, receiver: Receiver
) -> None:
    code = """
import asyncio, functools, gc, sqlite3, threading, urllib.request
from wsgiref.simple_server import make_server
import requests
from flask import Flask
app = Flask('app')
app.add_url_rule('/', view_func=lambda: 'hello')
server = make_server('127.0.0.1', 0, app)
threading.Thread(target=server.serve_forever, daemon=True).start()
requests.get(f'http://127.0.0.1:{server.server_port}/')
cached = functools.lru_cache(lambda x: x)
cached(1), cached(1), gc.collect()
connection = sqlite3.connect(':memory:')
for query in ('select 1', 'select * from nothing'):
    try:
        connection.execute(query)
    except sqlite3.Error:
        pass
asyncio.run(asyncio.sleep(0.8))
server.shutdown()
"""
    env = agent_env(receiver, OTEL_METRIC_EXPORT_INTERVAL="200")
    run_program("perfagent", "run", "python", "-c", code, env=env).check()
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\S+)`<br>`\S+` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    exported = {point.name for point in receiver.points}
    assert len(exported) > 20
    for point in receiver.points:
        fits = [
            row
            for row in rows
            if row[0] == point.name
            and row[1] in TYPES[point.type]
            and row[2].strip("`") == point.unit
            and point.attributes.keys() <= set(re.findall(r"`(.*?)`", row[3]))
            and row[4] == point.description
        ]
        assert fits, point
