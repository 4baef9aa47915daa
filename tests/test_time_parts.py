"""Where the time of a request went, against programs that spend known amounts of it in one way each."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc
import httpx
import pytest

from perfagent.hub.analyse import time_parts
from perfagent.hub.analyse.tree import Node, build
from tests.hub import MS, ServedHub, resource, span, traces
from tests.program import Program, find_free_port
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram

ROOT = str(Path(__file__).parent.parent)
SERVERS = {
    "gunicorn sync": ("gunicorn", "-b", "127.0.0.1:{port}", "tests.apps.timed_wsgi:app"),
    "gunicorn gthread": (
        "gunicorn", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:{port}", "tests.apps.timed_wsgi:app",
    ),
    "uvicorn asyncio": ("uvicorn", "--loop", "asyncio", "--port", "{port}", "tests.apps.timed_asgi:app"),
    "uvicorn uvloop": ("uvicorn", "--loop", "uvloop", "--port", "{port}", "tests.apps.timed_asgi:app"),
    "aiohttp": ("python", "-m", "tests.apps.timed_aiohttp", "{port}"),
    "tornado": ("python", "-m", "tests.apps.timed_tornado", "{port}"),
    "sanic": ("python", "-m", "tests.apps.timed_sanic", "{port}"),
    "grpc threads": ("python", "-m", "tests.apps.timed_grpc", "threads", "{port}"),
    "grpc loop": ("python", "-m", "tests.apps.timed_grpc", "loop", "{port}"),
}  # fmt: skip
WSGI = {
    "computing": "cpu", "collecting": "gc", "sleeping": "sleep", "locked": "lock", "pooled": "pool",
    "calling": "network", "receiving": "network",
}  # fmt: skip
ASGI = {
    "piece/computing": "cpu", "piece/collecting": "gc", "piece/sleeping": "sleep", "thread/computing": "cpu",
    "thread/locked": "lock", "thread/pooled": "pool", "thread/receiving": "network", "queueing": "loop",
    "resting": "sleep", "waiting": "lock", "fetching": "network",
}  # fmt: skip
AIOHTTP = {"piece/computing": "cpu", "piece/collecting": "gc", "piece/sleeping": "sleep", "resting": "sleep"}
GRPC = {
    "grpc threads": {
        "computing": "cpu", "collecting": "gc", "sleeping": "sleep", "locked": "lock", "calling": "network",
    },
    "grpc loop": {
        "piece-computing": "cpu", "piece-sleeping": "sleep", "thread-computing": "cpu", "thread-locked": "lock",
        "resting": "sleep",
    },
}  # fmt: skip
WORK = {"uvicorn": ASGI, "aiohttp": AIOHTTP, "tornado": AIOHTTP, "sanic": AIOHTTP}
TURNS = ("uvicorn", "tornado", "sanic", "grpc loop")
WITHIN = 0.1
TRIES = 8


class Served:
    """A server under the agent that tells a hub.

    Args:
        url: of the server.
        hub: where its spans go.
        service: its name there.
    """

    def __init__(self, url: str, hub: ServedHub, service: str) -> None:
        self.url = url
        self.hub = hub
        self.service = service

    def ask(self, path: str) -> tuple[float, dict[str, Any]]:
        """Asks for something; returns how long that took by its own clock, ms, and its server span in the hub."""
        trace = os.urandom(16).hex()
        return float(self.answer(path, f"00-{trace}-{os.urandom(8).hex()}-01")), self.span(trace)

    def answer(self, path: str, traceparent: str) -> str:
        """What it answers."""
        response = httpx.get(f"{self.url}/{path}", headers={"traceparent": traceparent}, timeout=30)
        assert response.status_code == 200, response.text
        return response.text

    def span(self, trace: str) -> dict[str, Any]:
        """The server span of a trace, once the hub has it."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.hub.ask(f"traces/{trace}")
            if answer.status_code == 200:
                found = [one for one in answer.json()["data"]["spans"] if one["category"] == "server"]
                if found:
                    return found[0]
            assert time.monotonic() < deadline, f"no trace {trace}: {answer.text}"
            time.sleep(0.05)


class ServedCalls(Served):
    """A gRPC server under the agent; arguments as of `Served`."""

    def answer(self, path: str, traceparent: str) -> str:
        """What the method of that name answers."""
        with grpc.insecure_channel(self.url.removeprefix("http://")) as channel:
            call = channel.unary_unary(f"/shop.Timed/{path}")
            return bytes(call(b"", timeout=30, metadata=(("traceparent", traceparent),))).decode()


@contextmanager
def serving(name: str, folder: Path, hub: ServedHub) -> Iterator[Served]:
    """Starts one of the servers, and waits until its requests are timed."""
    port = find_free_port()
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": hub.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={quote(hub.bearer('agent')['Authorization'])}",
        "OTEL_SERVICE_NAME": name,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "PERFAGENT_MAX_OVERHEAD": "0",
        "PYTHONPATH": ROOT,
    }
    program = Program(("perfagent", "run", *(one.format(port=port) for one in SERVERS[name])), folder, env)
    try:
        program.wait_for_port(port)
        served = (ServedCalls if "grpc" in name else Served)(f"http://127.0.0.1:{port}", hub, name)
        warm = "sleeping" if "gunicorn" in name or name == "grpc threads" else "resting"
        deadline = time.monotonic() + 60
        while "cpu" not in served.ask(warm)[1]["time"]:
            assert time.monotonic() < deadline, program.stderr
        yield served
    finally:
        program.stop()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """The hub that all of them tell."""
    with ServedHub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module", params=list(SERVERS))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hub: ServedHub
) -> Iterator[Served]:
    """Each of the servers."""
    with serving(request.param, tmp_path_factory.mktemp("served"), hub) as served:
        yield served


def adds_up(one: dict[str, Any]) -> bool:
    """Whether the parts of a span make its duration."""
    return abs(sum(one["time"].values()) - one["duration_ms"]) < 0.001


@pytest.mark.slow
def test_each_way_to_spend_time_is_told_within_a_tenth(served: Served) -> None:
    missed = {}
    for path, part in (GRPC.get(served.service) or WORK.get(served.service.split()[0], WSGI)).items():
        for _ in range(TRIES):  # on a busy machine, who looks from outside may come late
            took, one = served.ask(path)
            assert adds_up(one), one
            told = one["time"].get(part, 0.0)
            if abs(told - took) <= WITHIN * took:
                break
        else:
            missed[path] = (part, took, one["time"])
    assert not missed


@pytest.mark.slow
def test_requests_side_by_side_are_told_apart(served: Served) -> None:
    on_loop = served.service.startswith(TURNS)
    alone = "piece/computing" if served.service == "aiohttp" else "computing"
    path, cpu = ("turns", 100.0) if on_loop else (alone, 200.0)
    with ThreadPoolExecutor(4) as pool:
        answers = [one for _, one in pool.map(served.ask, [path] * 4)]
    for one in answers:
        assert adds_up(one), one
        assert one["time"]["cpu"] == pytest.approx(cpu, rel=0.15), one["time"]
    if served.service == "grpc threads":  # it has two
        assert max(one["time"].get("pool", 0) for one in answers) >= 150
    if on_loop:  # each had to wait while others computed; in all, three times what they did
        longest = max(answers, key=lambda one: float(one["duration_ms"]))
        assert longest["time"]["loop"] >= 100, longest["time"]


# The hub


def node(number: int, parent: int | None, began: int, duration: int, kind: int = 1) -> Node:
    """A span of a trace of one process."""
    encoded = number.to_bytes(8, "big")
    return Node(
        number, encoded, parent.to_bytes(8, "big") if parent is not None else None, began, duration, 1, kind, False
    )


def test_parts_never_add_up_to_more_than_the_span_took() -> None:
    told = {"cpu": 70, "gc": 10, "pool": 50, "lock": 5}
    assert time_parts.split(100, told, 40) == {"cpu": 70, "gc": 10, "pool": 20}
    assert time_parts.split(200, told, 40) == {"cpu": 70, "gc": 10, "lock": 5, "pool": 50, "network": 40, "other": 25}
    assert time_parts.split(100, {}, 30) == {"network": 30, "own": 70}
    assert time_parts.split(0, told, 10) == {}


def test_calls_side_by_side_count_once_and_those_below_a_call_are_its_own() -> None:
    nodes = [
        node(0, None, 0, 1000, kind=2), node(1, 0, 100, 300, kind=3), node(2, 0, 200, 300, kind=3),
        node(3, 0, 600, 200), node(4, 3, 650, 100, kind=3), node(5, 1, 150, 500, kind=2),
    ]  # fmt: skip
    tree = build(nodes)
    found = time_parts.of_tree(tree.nodes, {0: {"cpu": 200}}, {1, 2, 4})
    assert found[0] == {"cpu": 200, "network": 500, "other": 300}
    assert found[1] == {"network": 300}
    assert found[3] == {"network": 100, "own": 100}
    assert found[5] == {"own": 500}


def test_a_database_in_the_process_is_no_network() -> None:
    assert time_parts.waits("db", "postgresql")
    assert not time_parts.waits("db", "sqlite")
    assert not time_parts.waits("internal", "")


def timed(number: int, ms: float, ago: float = 5.0, **parts: float) -> dict[str, Any]:
    """A request of GET /slow with what its agent has measured, ms."""
    told = {f"perfagent__time__{part}": round(time * MS) for part, time in {"cpu": 5.0, **parts}.items()}
    return span(number, "GET /slow", trace=number, ms=ms, ago=ago, **told)


def test_a_slow_endpoint_is_said_to_wait_for_its_pool(serve_hub: Any) -> None:
    hub = serve_hub()
    hub.send("traces", traces(resource("shop"), *(timed(one, 800, pool=600) for one in range(1, 60))))
    operation = hub.get("endpoints")["items"][0]["operation"]
    breakdown = hub.get(f"endpoints/{operation}")["breakdown"]
    assert breakdown["timed"] == 59
    parts = {one["part"]: (round(one["mean_ms"], 3), round(one["slow_ms"], 3)) for one in breakdown["time"]}
    assert parts == {"cpu": (5, 5), "pool": (600, 600), "other": (195, 195)}
    found = [one for one in hub.get("insights")["items"] if one["kind"] == "slow_endpoint"]
    assert "75 % of theirs waiting for a free connection or worker of a pool" in found[0]["evidence"]
    assert "pool larger" in found[0]["recommendation"]


@pytest.mark.slow
def test_the_program_that_keeps_its_only_connection_is_told_to_wait_at_that_line(
    hub: ServedHub, run_program: RunProgram
) -> None:
    program = start(hub, run_program, "time_parts", "40")

    line = line_of("time_parts", "with engine.connect() as connection:")
    place = f"{FAULTS / 'time_parts.py'}:{line} "

    def look() -> list[dict[str, Any]]:  # after the first few requests, which a busy machine may hold up elsewhere
        told = [one for one in insights(hub, "slow_endpoint") if "/orders" in one["title"]]
        return [one for one in told if "of a pool" in one["evidence"] and one["place"].startswith(place)]

    (found,) = wait_for(look, program, 40)
    assert "hold its connections for a shorter time" in found["recommendation"]
