"""Full speed, then SIGTERM: an independent receiver counts what an independent client asked for.

`PERFAGENT_LOAD_SECONDS=60` runs it for a minute; it is 8 s by default.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import find_free_port
from tests.servers import missing
from tests.test_asgi import ROOT

if TYPE_CHECKING:
    from tests.conftest import RunProgram

SECONDS = int(os.environ.get("PERFAGENT_LOAD_SECONDS", "8"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize(
    ("command", "server"),
    [
        (("uvicorn", "tests.apps.load_fastapi:app", "--no-access-log", "--port"), "uvicorn"),
        (("gunicorn", "tests.apps.load_flask:app", "--threads=4", "--workers=2", "--bind"), "gunicorn"),
    ],
    ids=["FastAPI under uvicorn", "Flask under gunicorn with two workers"],
)
def test_every_request_is_one_server_span_with_its_five_queries_below(
    command: tuple[str, ...], server: str, run_program: RunProgram
) -> None:
    if shutil.which("wrk") is None:
        missing("wrk", "apt-get install wrk")
    collector = find_free_port()
    sink = run_program(sys.executable, "-m", "tests.otlp", "--port", str(collector), cwd=ROOT)
    sink.wait_for_port(collector)
    port = find_free_port()
    address = str(port) if server == "uvicorn" else f"127.0.0.1:{port}"
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}", "PERFAGENT_STRICT": "true"}
    env["PERFAGENT_MAX_OVERHEAD"] = "0"  # at full speed some traces would be left out
    program = run_program("perfagent", "run", *command, address, env=env, cwd=ROOT)
    program.wait_for_port(port)
    load = run_program("wrk", "-t1", "-c16", f"-d{SECONDS}s", f"http://127.0.0.1:{port}/queries")
    load.check(SECONDS + 30)
    began = time.monotonic()
    program.process.terminate()
    program.wait(30)
    exit_seconds = time.monotonic() - began

    counts = _counts(collector)
    found = re.search(r"(\d+) requests in", load.stdout)
    assert found, load.stdout
    completed = int(found[1])
    served = counts["spans_by_name"].get("SERVER GET /queries", 0)
    dropped = sum(
        series["value"]
        for series in counts["totals"].get("perfagent.telemetry.dropped", ())
        if series["attributes"].get("signal") == "span"
    )
    durations = counts["totals"]["http.server.request.duration"]
    requests = sum(series["count"] for series in durations)
    queries = sum(series["count"] for series in counts["totals"]["db.client.operation.duration"])
    print(f"{server}: {completed} requests, {served} server spans, {dropped:g} dropped, exit in {exit_seconds:.2f} s")
    # wrk cuts its 16 connections off at the end: the server has answered up to that many more than wrk counts.
    assert completed <= requests <= completed + 16
    assert counts["duplicates"] == 0
    assert counts["spans"] + dropped == requests + queries
    if not dropped:
        assert served == requests
        children = counts["children"]["SERVER GET /queries"]
        first_of_a_thread = children.pop("7", 0)  # it makes the thread's table, too
        assert children == {"5": served - first_of_a_thread}
        assert first_of_a_thread <= 8
        assert counts["parents_missing"] == 0


def _counts(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=120) as response:
        found: dict[str, Any] = json.load(response)
    return found
