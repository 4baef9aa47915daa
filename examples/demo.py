"""A shop under the agent, with visitors: `python -m examples.demo` shows what the agent found out about it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from examples.telemetry import screen
from examples.telemetry.findings import find
from examples.telemetry.server import Reply, Request, Server, decode
from examples.telemetry.tally import Tally

EXAMPLES = Path(__file__).parent
BETWEEN_LINES = 5  # seconds, where no terminal shows the sums live
STARTING = 30  # seconds that the shop may take; a slow agent adds two


class DemoError(Exception):
    """Why there is nothing to show."""


def main() -> int:
    """Runs the demo; returns 0, or 1 with the reason on stderr if there was nothing to show."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long visitors come")
    parser.add_argument("--rate", type=float, default=10, help="visitors a second; each makes about four requests")
    parser.add_argument("--seed", type=int, default=1, help="of what the visitors do")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--agent", default="perfagent run", help='another one, such as "opentelemetry-instrument"')
    wanted = parser.parse_args()
    tty = sys.stdout.isatty()
    console = Console(width=None if tty else 140, color_system=None if wanted.no_color or not tty else "auto")
    try:
        _run(wanted, console)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(wanted: argparse.Namespace, console: Console) -> None:
    tally = Tally()

    def answer(request: Request) -> Reply:
        tally.add(decode(request))
        return Reply()

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
        receiver = stack.enter_context(Server(answer))
        payments = stack.enter_context(_Child("uvicorn shop.payments:app", directory, {}))
        addresses = {"SHOP_DATABASE": str(directory / "shop.db"), "SHOP_PAYMENT_URL": payments.url}
        shop = stack.enter_context(
            _Child(f"{wanted.agent} uvicorn shop.app:app", directory, addresses | _exporting_to(receiver.url))
        )
        payments.wait_for_port()
        shop.wait_for_port()
        console.print(f"[bold]{shop}[/bold]", "exports to", receiver.url, highlight=False)
        started = time.monotonic()
        options = f"--seconds={wanted.seconds} --rate={wanted.rate} --seed={wanted.seed}"
        traffic = f"{shlex.quote(sys.executable)} -m shop.traffic {shop.url} {options}"
        visitors = stack.enter_context(_Child(traffic, directory, {}))
        _watch(tally, visitors, shop, started, console)
        seconds = time.monotonic() - started
        shop.stop()  # the agent sends what it still has when the program ends
        if not tally.requests:
            raise DemoError(f"{tally.exports} exports arrived, no request in them; the shop said:\n{shop.said()}")
        console.print(screen.summary(tally, seconds, console.width), screen.conclusion(find(tally)))


def _watch(tally: Tally, visitors: _Child, shop: _Child, started: float, console: Console) -> None:
    """Shows the sums as they grow until the last visitor has gone: live on a terminal, else a line now and then."""
    told = started
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while visitors.running:
            if not shop.running:
                raise DemoError(f"the shop ended by itself:\n{shop.said()}")
            time.sleep(0.5)
            now = time.monotonic()
            if console.is_terminal:
                live.update(screen.summary(tally, now - started, console.width), refresh=True)
            elif now - told >= BETWEEN_LINES:
                told = now
                console.print(screen.headline(tally, now - started))


class _Child:
    """A program of the demo, started where it finds the package `shop`; what it says is kept in a file.

    Args:
        command: as for a shell; a server is given a free port with `--port`.
        directory: for the file.
        environment: what it needs besides our own.
    """

    def __init__(self, command: str, directory: Path, environment: dict[str, str]) -> None:
        words = shlex.split(command)
        self._log = directory / f"{len(list(directory.iterdir()))}.log"
        self._command = command
        if "uvicorn" in words:
            self._port = _free_port()
            words.append(f"--port={self._port}")
        scripts = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ.get("PATH", ""), **environment}
        program = shutil.which(words[0], path=environment["PATH"])
        if program is None:
            raise DemoError(f"there is no program {words[0]!r}, neither in {scripts} nor elsewhere on PATH")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *words[1:]], stdout=log, stderr=log, env=environment, cwd=EXAMPLES, start_new_session=True
            )

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def said(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def wait_for_port(self) -> None:
        """Returns when it accepts connections."""
        deadline = time.monotonic() + STARTING
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.05)
        reason = f"did not open its port within {STARTING} s" if self.running else "ended at once"
        raise DemoError(f"`{self._command}` {reason}:\n{self.said()}")

    def stop(self) -> None:
        """Asks it to end, and ends it with all that it started if it does not within ten seconds."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __str__(self) -> str:
        return self._command


def _exporting_to(url: str) -> dict[str, str]:
    """The variables that send the telemetry of any OpenTelemetry agent here, often enough to look on."""
    return {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        # Agents that still speak the old conventions use the stable names with this.
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
