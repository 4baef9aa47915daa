"""Profiles of a command that is run for it, and of a process that runs already."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.cli.client import HubError, segment
from perfagent.cli.flame_fetched import NothingError, fetch
from perfagent.hub.flame import collapsed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from perfagent.cli.client import Client
    from perfagent.hub.flame.stacks import Profile

PATH = "/v1development/profiles"
INSTALL = 'pip install "perfagent[profile]"'
PATIENCE = 30.0  # s that an agent has to fetch a command, and to send what it saw
SCRIPT = Path(__file__).with_name("flame_remote.py")


class ProcessError(Exception):
    """A process cannot be looked at; the text says why and what to do."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def run(program: list[str], rate: int) -> tuple[dict[str, Profile], int]:
    """Runs a command under the agent, and returns its profiles by kind, and its exit status.

    What the agent sends is kept here, and goes to no hub.

    Raises:
        ProcessError: it cannot be run, or what it sends could not be read.
    """
    try:
        from perfagent.hub.receive import profiles
    except ImportError as error:
        raise ProcessError(f'needs {error.name}, which is not installed here: pip install "perfagent[hub]"') from None
    from perfagent.hub.flame import received
    from perfagent.launch import environment
    from perfagent.profiler.command import Command, CommandError

    with Receiver() as receiver:
        env = dict(os.environ)
        for name in [one for one in env if one.startswith("OTEL_EXPORTER_OTLP")]:
            del env[name]
        env |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "PERFAGENT_HUB": "off",
            "PERFAGENT_QUIET": "true",
            "PERFAGENT_PROFILER": "true",
            "PERFAGENT_PROFILER_AT_ONCE": "true",
            "PERFAGENT_PROFILER_RATE": str(rate),
            # A process that has sent nothing yet says nothing at its end, however long it computed.
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }
        environment.enter(env)
        try:
            started = Command(program, env)
        except CommandError as error:
            raise ProcessError(str(error), error.status) from None
        while not started.wait(1):
            pass
    batches = [profiles.decode(body) for body in receiver.bodies]
    return received.profiles(batches, " ".join(program)[:200]), started.status or 0


class Receiver:
    """Takes OTLP on a free port of this machine, and keeps what is a profile."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == PATH:
                    packed = self.headers.get("Content-Encoding") == "gzip"
                    kept.append(gzip.decompress(body) if packed else body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the terminal is the command's."""

            protocol_version = "HTTP/1.1"

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def attach(client: Client | None, asked: Namespace) -> Profile:
    """The profile of a running process: by the agent in it, by Python 3.14's remote debugging, or by py-spy.

    Raises:
        ProcessError: by none of them.
    """
    if not _runs(asked.pid):
        raise ProcessError(f"no process {asked.pid} runs on this machine")
    if client is not None and not asked.native:
        found = _by_agent(client, asked)
        if found is not None:
            return found
    if asked.type not in ("wall", "cpu", "gil"):
        raise ProcessError(f"type {asked.type} is known of processes that run under perfagent alone: `perfagent run`")
    return _by_remote_script(asked) or _by_py_spy(asked)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _by_agent(client: Client, asked: Namespace) -> Profile | None:
    """Has the agent in the process look closely for a while; None where there is no such agent."""
    try:
        agents = client.get("agents", limit=1000)["items"]
    except HubError:
        return None
    known = [one for one in agents if one["pid"] == asked.pid and one["alive"] and "profiler" in one["commands"]]
    for agent in known:
        host = client.get(f"processes/{segment(agent['instance'])}", from_="-1h")["process"]["host"]
        if host in ("", socket.gethostname()):  # another machine's process may have the same number
            return _asked(client, asked, agent)
    return None


def _asked(client: Client, asked: Namespace, agent: dict[str, Any]) -> Profile:
    """What an agent saw that was asked to look closely."""
    place = f"agents/{segment(agent['instance'])}/commands"
    began = time.time()
    ask = {"command": "profiler", "value": {"rate": asked.rate, "seconds": min(asked.duration, 600)}}
    number = client.post(place, ask)["id"]
    for _ in _progress(f"asking {agent['service']} ({asked.pid}) by the hub", PATIENCE):
        told = next((one for one in client.get(place, limit=50)["items"] if one["id"] == number), None)
        if told is None or told["state"] == "failed":
            raise ProcessError(f"process {asked.pid} did not do it: {told and told['result']}")
        if told["state"] == "done":
            began = float(told["answered"] or began)
            break
    else:
        raise ProcessError(
            f"process {asked.pid} has not fetched the command in {PATIENCE:.0f} s: does it still report?"
        )
    for _ in _progress(f"looking at {asked.pid}", asked.duration):
        pass
    filters = {"instance": agent["instance"], "type": asked.type, "endpoint": asked.endpoint, "thread": asked.thread}
    end = time.time()
    for _ in _progress(f"waiting for what {asked.pid} saw", PATIENCE):
        latest = client.get("profiles", from_=f"{began - 15:.3f}", instance=agent["instance"])["latest"]
        if latest is not None and latest >= end:  # one that began later: all before it are here
            break
    found = fetch(client, asked, filters, from_=f"{began - 1:.3f}", to=f"{end:.3f}")
    if not found.samples:  # the whole look lies in a window that began before it
        found = fetch(client, asked, filters, from_=f"{began - 15:.3f}", to=f"{end:.3f}")
    if found.samples:
        found.name = f"{agent['service']} ({asked.pid})"
        return found
    raise NothingError(f"process {asked.pid} sent no sample of type {asked.type} in {asked.duration:g} s: is it idle?")


def _progress(text: str, seconds: float) -> Iterator[float]:
    """Ticks until the time is over; on a terminal a line tells how much is left."""
    shown, end = sys.stderr.isatty(), time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            if shown:
                print(f"\r\x1b[K{text}: {left:.0f} s", end="", file=sys.stderr, flush=True)
            yield left
            time.sleep(min(0.3, left))
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _by_remote_script(asked: Namespace) -> Profile | None:
    """By `sys.remote_exec` of Python 3.14, where both are of one version; None where that is not to be had."""
    remote = getattr(sys, "remote_exec", None)
    if remote is None or asked.native or asked.type != "wall":
        return None
    with tempfile.TemporaryDirectory(prefix="perfagent-flame-") as folder:
        told = Path(folder) / "stacks.txt"
        script = Path(folder) / "look.py"
        values = {"path": str(told), "seconds": asked.duration, "rate": asked.rate}
        script.write_text(f"{SCRIPT.read_text(encoding='utf-8')}\nstart(**{values!r})\n", encoding="utf-8")
        os.chmod(folder, 0o755)  # noqa: S103 - the process may be another user's
        try:
            remote(asked.pid, str(script))
        except (PermissionError, RuntimeError, OSError, ValueError):
            return None
        for _ in _progress(f"looking at {asked.pid} by remote debugging", asked.duration + 5):
            if told.exists():
                return collapsed.read(told.read_text(encoding="utf-8"), 10**9 // asked.rate, f"process {asked.pid}")
    return None


def _by_py_spy(asked: Namespace) -> Profile:
    program = shutil.which(
        "py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if program is None:
        raise ProcessError(
            f"process {asked.pid} does not run under perfagent, and py-spy, which looks at any Python process from "
            f"outside, is not installed: {INSTALL}, or start the program by `perfagent run`"
        )
    with tempfile.TemporaryDirectory(prefix="perfagent-flame-") as folder:
        file = Path(folder) / "stacks.txt"
        words = [
            program,
            "record",
            "--pid",
            str(asked.pid),
            "--format",
            "raw",
            "--full-filenames",
            "--output",
            str(file),
            "--rate",
        ]
        words += [str(asked.rate), "--duration", str(max(1, round(asked.duration))), "--nonblocking"]
        words += {"wall": ["--idle"], "gil": ["--gil"]}.get(asked.type, [])
        if asked.native:
            words = [one for one in words if one != "--nonblocking"] + ["--native"]
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603
        try:
            for _ in _progress(f"looking at {asked.pid} by py-spy", asked.duration + PATIENCE):
                if running.poll() is not None:
                    break
            running.terminate()
            said = running.communicate(timeout=10)[1]
        finally:
            if running.poll() is None:
                running.kill()
        if not file.exists():
            raise ProcessError(_advice(asked.pid, said))
        text = file.read_text(encoding="utf-8", errors="replace")
    return collapsed.read(text, 10**9 // asked.rate, f"process {asked.pid}", asked.type)


def _advice(pid: int, said: str) -> str:
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it did not say why")
    if "ermission" in said:
        return (
            f"process {pid} may not be looked at: run this as the same user with ptrace allowed (sudo sysctl "
            "kernel.yama.ptrace_scope=0; in a container --cap-add SYS_PTRACE), or with sudo"
        )
    if "ython" in said and ("ersion" in said or "find" in said.lower()):
        return f"process {pid} is no Python that py-spy knows: {last}"
    return f"py-spy could not look at process {pid}: {last}"
