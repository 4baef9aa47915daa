"""A shop and its payment service under the agent, with visitors: `python -m examples.demo` shows what the hub finds.

By default the telemetry goes to the user's own hub, which is started where none runs and stays when the demo ends, so
that its page can be looked through. With `--private` it goes to a hub in a temporary folder that ends with the demo.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from examples.child import Child, DemoError
from perfagent.cli import background, dashboard, figures, output
from perfagent.cli.client import Client, HubError
from perfagent.cli.output import Mark
from perfagent.hub import lock, spawn
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.cli.answers import Finding, Overview, Trace
    from perfagent.cli.output import Part

SERVICES = ("shop", "payments")
CHECKOUT = "/customers/{customer_id}/checkout"  # which calls the payment service
BETWEEN_LINES = 5  # seconds, where no terminal shows the sums live
SETTLING = 20  # seconds that the last spans may take to be stored
NOTHING = 4  # seconds after which nothing has arrived: the programs have ended, and an agent sends before that


def main() -> int:
    """Runs the demo; returns 0, or 1 with the reason on stderr if there was nothing to show."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="how long visitors come; Ctrl-C ends that early")
    parser.add_argument("--rate", type=float, default=10, help="visitors a second; each makes about four requests")
    parser.add_argument("--seed", type=int, default=1, help="of what the visitors do")
    parser.add_argument("--private", action="store_true", help="a hub of its own, which ends with the demo")
    parser.add_argument("--no-browser", action="store_true", help="only tell the page's address")
    parser.add_argument("--agent", default="perfagent run", help='another one, such as "opentelemetry-instrument"')
    wanted = parser.parse_args()
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
            hub = stack.enter_context(_private_hub(directory)) if wanted.private else _own_hub(os.environ)
            _run(wanted, hub, directory)
    except (DemoError, HubError, lock.Unavailable) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _own_hub(environ: os._Environ[str] | dict[str, str]) -> Settings:
    """The settings whose hub takes the telemetry; it is found, or started as `perfagent run` would."""
    settings = Settings(environ)
    hub = spawn.start(settings, by_itself=True)
    _say([Mark("hub    ", "dim"), f"{hub.address}, {'started' if hub.is_new else 'which runs already'}"])
    return settings


@contextlib.contextmanager
def _private_hub(directory: Path) -> Iterator[Settings]:
    """The settings of a hub in a folder of its own and on a free port, which is stopped at the end."""
    folder = directory / "hub"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PERFAGENT_HUB")}
    environ |= {"PERFAGENT_HUB_DIR": str(folder), "PERFAGENT_HUB_PORT": "0", "PERFAGENT_HUB_OPEN": "never"}
    try:
        yield _own_hub(environ)
    finally:
        subprocess.run(
            [sys.executable, "-m", "perfagent", "hub", "--stop"], env=environ, capture_output=True, check=False
        )


def _run(wanted: argparse.Namespace, settings: Settings, directory: Path) -> None:
    client = Client.own(settings, timeout=30)
    _say([Mark("page   ", "dim"), Mark(client.page, "bold")])
    environ = _environment(settings, client, wanted.agent)
    words = "uvicorn shop.{}:app --log-level warning"
    with contextlib.ExitStack() as stack:
        payments = Child(
            f"{wanted.agent} {words.format('payments')}", directory, environ | {"OTEL_SERVICE_NAME": "payments"}
        )
        stack.enter_context(payments)
        addresses = {"SHOP_DATABASE": str(directory / "shop.db"), "SHOP_PAYMENT_URL": payments.url}
        shop = Child(
            f"{wanted.agent} {words.format('app')}", directory, environ | addresses | {"OTEL_SERVICE_NAME": "shop"}
        )
        stack.enter_context(shop)
        payments.wait_for_port()
        shop.wait_for_port()
        _say([Mark("shop   ", "dim"), f"{shop.url}, payments {payments.url}: each under `{wanted.agent}`, unchanged"])
        started = time.time()
        traffic = f"{shlex.quote(sys.executable)} -m shop.traffic {shop.url} --rate={wanted.rate} --seed={wanted.seed}"
        visitors = stack.enter_context(Child(f"{traffic} --seconds={wanted.seconds}", directory, {}))
        with contextlib.suppress(KeyboardInterrupt):
            _watch(client, visitors, shop, started, opens=sys.stdout.isatty() and not wanted.no_browser)
        visitors.stop()
        shop.stop()  # the agents send what they still have when their programs end
        payments.stop()
    _conclude(client, started, shop)
    if not wanted.private:
        _farewell(client)


def _environment(settings: Settings, client: Client, agent: str) -> dict[str, str]:
    """What the programs get: the hub to find, and figures often enough to look on."""
    environ = {name: value for name, value in settings.environ.items() if not name.startswith("OTEL_")}
    environ |= {"PERFAGENT_HUB": "auto", "PERFAGENT_HUB_OPEN": "never", "PERFAGENT_QUIET": "true"}
    environ |= {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
    if not agent.startswith("perfagent"):  # any agent that speaks OpenTelemetry can send to a hub
        environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": client.address, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        environ |= {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}
    return environ


def _watch(client: Client, visitors: Child, shop: Child, started: float, *, opens: bool) -> None:
    """Shows the sums as they grow until the last visitor has gone: live on a terminal, else a line now and then."""
    told = started
    live = sys.stdout.isatty()
    while visitors.running:
        if not shop.running:
            raise DemoError(f"the shop ended by itself:\n{shop.said()}")
        time.sleep(0.5)
        overview = _overview(client, started)
        if opens and client.access and overview["totals"]["requests"]:
            opens = False
            background.browse(client.address, client.access)
        if live or time.time() - told >= BETWEEN_LINES:
            told = time.time()
            line = output.render([_headline(overview, told - started)], 1000, colour=live).rstrip("\n")
            print(f"\r{line}\x1b[K" if live else line, end="" if live else "\n", flush=True)
    if live:
        print("\r\x1b[K", end="")


def _headline(overview: Overview, seconds: float) -> Part:
    totals = overview["totals"]
    return [
        Mark(f"{seconds:4.0f} s ", "dim"),
        f"{figures.count(totals['requests'])} requests, {figures.rate(totals['requests'] / max(seconds, 1))}, ",
        output.failing(totals["error_ratio"]),
        f" fail, p50 {figures.milliseconds(totals['p50_ms'])}, p95 {figures.milliseconds(totals['p95_ms'])}",
    ]


def _overview(client: Client, started: float) -> Overview:
    found: Overview = client.get("overview", from_=f"{started:.3f}")
    return found


def _conclude(client: Client, started: float, shop: Child) -> None:
    """Prints what the hub found, each with its address; raises DemoError where nothing arrived."""
    overview = _settled(client, started)
    if not overview["totals"]["requests"]:
        raise DemoError(f"no request of the shop arrived at {client.address}; the shop said:\n{shop.said()}")
    found: list[Finding] = client.get("insights", from_=f"{started:.3f}")["items"]
    findings = [one for one in found if one["service"] in SERVICES]
    endpoints = [one for one in overview["slowest"] if one["service"] in SERVICES]
    parts: list[Part] = [_headline(overview, time.time() - started), "", *dashboard.slowest(endpoints), ""]
    parts += dashboard.findings(findings, client.address)
    traces: list[Trace] = client.get("traces", from_=f"{started:.3f}", route=CHECKOUT, sort="slowest", limit=20)[
        "items"
    ]
    across = [one for one in traces if len(one["services"]) > 1]
    if across:
        told = f"{across[0]['name']}, {figures.milliseconds(across[0]['duration_ms'])}, through shop and payments"
        parts += ["", Mark("a trace across both services", "head"), f"{'':<9}{told}"]
        parts += [f"{'':<9}{client.address}/#/traces/{across[0]['trace_id']}"]
    output.show(parts)


def _settled(client: Client, started: float) -> Overview:
    """The overview when it does not change any more: the last batch is stored."""
    begun = time.monotonic()
    before = 0.0
    while True:
        overview = _overview(client, started)
        requests = overview["totals"]["requests"]
        if requests == before and time.monotonic() - begun > (0 if requests else NOTHING):
            return overview
        if time.monotonic() - begun > SETTLING:
            return overview
        before = requests
        time.sleep(0.5)


def _farewell(client: Client) -> None:
    output.show(
        [
            "",
            Mark("look further", "head"),
            [f"{'':<9}{'the page':<28}", Mark(client.page, "bold")],
            f"{'':<9}{'in the terminal':<28}perfagent top, perfagent dashboard, perfagent traces --sort slowest",
            f"{'':<9}{'your own program':<28}perfagent run python app.py",
            f"{'':<9}{'the hub stays; to end it':<28}perfagent hub --stop",
        ]
    )


def _say(line: Part) -> None:
    output.show([line])
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
