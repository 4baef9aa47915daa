"""A web program bare and under the agent, asked in turns, while something is wrong around it; and what is wrong."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from examples.telemetry import signals
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.agent import agent_env
from tests.program import Program, find_free_port
from tests.web import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.otlp import Receiver

UVICORN = ("uvicorn", "--no-access-log", "--log-level", "warning", "tests.apps.fault_app:app", "--port", "PORT")
CLIENTS = 4
PACE = 0.004  # seconds between two turns of a client: the programs are loaded, not overloaded
COLD = 40  # turns of a scene that are not timed: both programs import something then
BLOCK = 15  # turns that have the same moments of the machine
# How much later the 99th percentile of a program may be under the agent, beyond what chance makes of it: in ms, and as
# a share of the bare one's, which is more than that where a machine is busy, and all work takes longer.
ALLOWED, SHARE = 1.0, 0.2


class Served:
    """A server, and what it has been asked.

    Args:
        directory: takes its output.
        command: what to run; `PORT` in it becomes the port.
        env: its environment; None runs it bare.
    """

    def __init__(self, directory: Path, env: dict[str, str] | None, command: tuple[str, ...] = UVICORN) -> None:
        self.port = find_free_port()
        words = tuple(word.replace("PORT", str(self.port)) for word in command)
        agent = () if env is None else ("perfagent", "run")
        self.program = Program((*agent, *words), directory, env, cwd=ROOT)
        self.requests = 0
        try:
            self.program.wait_for_port(self.port, 60)
        except BaseException:
            self.program.stop()
            raise

    @property
    def peak(self) -> float:
        """The most memory that it has had resident, in MB."""
        return memory(self.program.pid, "VmHWM")


class Turn(NamedTuple):
    """How long three requests took that were made one after the other, in ms."""

    bare: float
    agent: float
    again: float
    """Of the bare program, once more: what the two differ by is chance."""


class Scene:
    """Both of them.

    Args:
        directory: takes their output.
        receiver: of the agent.
        command: of the agent's server; the bare one is as it always is.
        env: further variables of the agent.
    """

    def __init__(self, directory: Path, receiver: Receiver, command: tuple[str, ...] = UVICORN, **env: str) -> None:
        (directory / "bare").mkdir()
        (directory / "agent").mkdir()
        self.receiver = receiver
        self.turns: list[Turn] = []
        self.bare = Served(directory / "bare", None)
        try:
            self.agent = Served(directory / "agent", {**agent_env(receiver), **env}, command)
        except BaseException:
            self.bare.program.stop()
            raise

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.bare.program.stop()
        self.agent.program.stop()

    def load(self, rounds: int = 3, requests: int = 300) -> None:
        """Asks both by several clients, request by request in turns, the bare one twice; compares their answers."""
        for _ in range(rounds):
            with ThreadPoolExecutor(CLIENTS) as clients:
                asked = [clients.submit(self._ask, range(first, requests, CLIENTS)) for first in range(CLIENTS)]
            for client in asked:
                client.result()
            self.bare.requests += 2 * requests
            self.agent.requests += requests

    def _ask(self, numbers: range) -> None:
        """What one client asks."""
        one, other = (http.client.HTTPConnection("127.0.0.1", served.port, timeout=30) for served in self.both)
        places = [one, other, one]
        for number in numbers:
            took, answers = [0.0, 0.0, 0.0], set()
            for turn in range(3):
                at = (number + turn) % 3  # who is first comes to a machine that has slept
                began = time.perf_counter()
                places[at].request("GET", f"/square/{number}")
                response = places[at].getresponse()
                answers.add((response.status, response.read()))
                took[at] = (time.perf_counter() - began) * 1e3
            assert len(answers) == 1
            assert next(iter(answers))[0] == 200
            self.turns.append(Turn(*took))
            time.sleep(PACE)
        one.close()
        other.close()

    @property
    def both(self) -> tuple[Served, Served]:
        """The bare program, and the one under the agent."""
        return self.bare, self.agent

    def end(self) -> None:
        """SIGTERM to both: they end alike, and the agent in its time."""
        expected = self.bare.program.terminate()
        began = time.monotonic()
        assert self.agent.program.terminate() == expected
        assert time.monotonic() - began < 6  # the promise is 2 s; a loaded machine gets more

    def latency(self) -> dict[str, float]:
        """What the agent adds to the p99, and what chance may, in ms; asserts that the one is not beyond the other."""
        turns = self.turns[COLD:]
        bare = (p99(turn.bare for turn in turns) + p99(turn.again for turn in turns)) / 2
        change, noise = p99(turn.agent for turn in turns) - bare, by_chance(turns)
        found = {"p99_change_ms": round(change, 2), "p99_by_chance_ms": round(noise, 2), "bare_p99_ms": round(bare, 2)}
        assert change < max(ALLOWED, SHARE * bare) + noise, found
        return found

    def figures(self, elsewhere: set[str] | None = None) -> dict[str, object]:
        """For the matrix; asserts that every request is a span that arrived or one that was told to be lost.

        Args:
            elsewhere: the spans that arrived there.
        """
        arrived = {span.span_id for span in self.receiver.spans if span.kind == "SERVER"}
        received = len(arrived | (elsewhere or set()))
        told = int(self.receiver.total("perfagent.telemetry.dropped", signal="span").value)
        lost = lost_at_exit(self.agent.program)
        found = {
            "requests": self.agent.requests,
            "received": received,
            "dropped": told + lost,
        }
        assert received + told + lost == self.agent.requests, (found, self.agent.program.stderr)
        return found | self.latency()


def p99(took: Iterable[float]) -> float:
    """The 99th percentile."""
    ordered = sorted(took)
    return ordered[int(len(ordered) * 0.99)]


def by_chance(turns: list[Turn]) -> float:
    """How far the 99th percentiles of two programs that are the same one would be apart, but for one case in 200.

    Both requests of the bare program are dealt to two sides, as often as it takes, whole blocks of turns at once: what
    keeps the machine from its work for a moment takes several requests.
    """
    random = Random(len(turns))
    blocks = [turns[at : at + BLOCK] for at in range(0, len(turns), BLOCK)]
    apart = []
    for _ in range(1000):
        one: list[float] = []
        other: list[float] = []
        for block in random.choices(blocks, k=len(blocks)):
            sides = [turn.bare for turn in block], [turn.again for turn in block]
            first = random.random() < 0.5
            one += sides[first]
            other += sides[not first]
        apart.append(abs(p99(one) - p99(other)))
    return sorted(apart)[995]


def lost_at_exit(program: Program) -> int:
    """The spans that the program said it could not hand over in its last moments."""
    found = re.search(r"perfagent: (\d+) items were not acknowledged", program.stderr)
    return int(found[1]) if found else 0


def memory(pid: int, what: str = "VmRSS") -> float:
    """A process' memory in MB, or 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


class Misbehaving:
    """A TCP server that reads a request and answers in a way that no receiver should.

    Args:
        kind: `drip`, a byte of the answer a second; `declared`, an answer said to have 1 GB, of which none comes;
            `streamed`, one that sends 1 GB if it is let; `chunked`, the same in chunks; `headers`, headers without end;
            `nonsense`, what is no HTTP.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent = 0
        self.requests = 0
        self.taken: set[str] = set()
        """The server spans that it acknowledged."""
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def give_way(self, receiver: Receiver) -> None:
        """Lets a receiver have the port; connections that are open go on as they are."""
        self._stop_listening()
        deadline = time.monotonic() + 60
        while True:
            try:
                receiver.start()
                return
            except OSError:  # the thread that accepts has not left yet
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def _stop_listening(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        """Ends every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._stop_listening()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            spans = self._read(connection)
            self.requests += 1
            if self.kind in ("streamed", "chunked"):
                self.taken |= spans
            block = b"\xff" * 65536
            if self.kind == "drip":
                for byte in b"HTTP/1.1 200 OK\r\n" * 1000:
                    connection.sendall(bytes([byte]))
                    if self._closing.wait(1):
                        return
            elif self.kind == "nonsense":
                connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            elif self.kind == "headers":
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                self._pour(connection, b"X-More: " + b"x" * 1000 + b"\r\n")
            elif self.kind == "chunked":
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self._pour(connection, b"%x\r\n%s\r\n" % (len(block), block))
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                if self.kind == "streamed":
                    self._pour(connection, block)
                self._closing.wait()

    def _read(self, connection: socket.socket) -> set[str]:
        """The ids of the server spans in a request, which is read to its end."""
        file = connection.makefile("rb")
        path = file.readline().split()[1]
        length = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = file.read(length)
        if path != b"/v1/traces":
            return set()
        spans = signals.spans(ExportTraceServiceRequest.FromString(body))
        return {span.span_id for span in spans if span.kind == "SERVER"}

    def _pour(self, connection: socket.socket, block: bytes) -> None:
        for _ in range(1_000_000_000 // len(block)):
            if self._closing.is_set():
                return
            connection.sendall(block)
            self.sent += len(block)
