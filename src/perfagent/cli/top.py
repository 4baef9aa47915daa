"""`perfagent top`: rate, errors and durations as they change, in a terminal."""

from __future__ import annotations

import queue
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from perfagent.cli import command, dashboard, figures, output
from perfagent.cli.client import Client, HubError
from perfagent.cli.keys import Keys
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from perfagent.cli.answers import Endpoint, Finding, Process, Service
    from perfagent.cli.client import Event
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent top                   # live; q leaves, s sorts by something else, / filters
perfagent top --sort errors
perfagent top | cat             # without a terminal: once
"""
SORTS = ("total", "p95", "requests", "errors", "name")
WINDOW = "-5m"
EVERY = 2.0  # seconds between two looks, those of the stream
FINDINGS_EVERY = 15.0  # seconds
PATIENCE = 5.0  # seconds without a live value before we ask by ourselves


def main(words: list[str]) -> int:
    """Shows what happens now, until `q`; returns 0."""
    parser = command.parser(
        "top", "Shows services, endpoints, processes and findings of the last 5 minutes, live.", EXAMPLES
    )
    parser.add_argument("--service", default="", help="this one alone")
    parser.add_argument("--sort", choices=SORTS, default="total", help="which endpoints come first (default: total)")
    parser.add_argument("--once", action="store_true", help="print once, as without a terminal")
    return command.serve(parser, words, _run)


def _run(client: Client, asked: Namespace) -> int:
    view = View(client, asked.service, asked.sort)
    if asked.output == "json":
        output.show_json(view.answers())
        return 0
    if asked.once or not (sys.stdin.isatty() and sys.stdout.isatty() and output.draws(sys.stdout)):
        view.ask()
        output.show(view.parts())
        return 0
    stream = Stream(client)
    with Keys() as keys:
        _live(view, stream, keys)
    return 0


def _live(view: View, stream: Stream, keys: Keys) -> None:
    """Draws until `q`; a hub that goes away is waited for."""
    while True:
        view.snapshot = stream.latest
        try:
            view.ask()
            view.trouble = ""
        except HubError as error:
            view.trouble = str(error)
        keys.draw(view.frame(shutil.get_terminal_size()))
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            typed = keys.read(0.1)
            for key in typed:
                if key == "q" and view.typing is None:
                    return
                view.press(key)
            if stream.arrived() or view.is_stale:
                break
            if typed or keys.was_resized():
                keys.draw(view.frame(shutil.get_terminal_size()))


class Stream:
    """Live values, read in the background; comes back by itself when the hub does."""

    def __init__(self, client: Client) -> None:
        self.latest: dict[str, Any] = {}
        self._client = client
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="perfagent-top", daemon=True).start()

    def arrived(self) -> bool:
        """Whether there is a new snapshot; it is in `latest`."""
        found = False
        while not self._events.empty():
            event = self._events.get()
            if event.name == "snapshot":
                self.latest, found = event.data, True
        return found

    def _read(self) -> None:
        while True:
            try:
                for event in self._client.events():
                    self._events.put(event)
            except HubError:
                pass  # the view's own question tells why
            time.sleep(EVERY)


class View:
    """What the screen shows: the answers of the hub, sorted and filtered as the reader wants.

    Args:
        client: the hub.
        service: one alone; "" for all.
        sort: of `SORTS`.
    """

    def __init__(self, client: Client, service: str, sort: str) -> None:
        self.snapshot: dict[str, Any] = {}
        self.trouble = ""
        self.typing: str | None = None
        self.is_stale = False
        self._client = client
        self._service = service
        self._sort = sort
        self._filter = ""
        self._services: list[Service] = []
        self._endpoints: list[Endpoint] = []
        self._processes: list[Process] = []
        self._findings: list[Finding] = []
        self._more_findings = ""
        self._findings_due = 0.0

    def ask(self) -> None:
        """Asks the hub; raises HubError."""
        self.is_stale = False
        found = self.answers()
        self._services, self._endpoints = found["services"], found["endpoints"]
        self._processes = found["processes"]

    def answers(self) -> dict[str, Any]:
        """Services, endpoints, processes and findings, as the hub answers them; raises HubError."""
        about: dict[str, object] = {"service": self._service, "from_": WINDOW}
        client = self._client
        return {
            "services": [
                one
                for one in client.get("services", from_=WINDOW, limit=1000)["items"]
                if self._service in ("", one["service"])
            ],
            "endpoints": client.get("endpoints", **about, sort=self._sort, q=self._filter, limit=100)["items"],
            "processes": client.get("processes", **about)["items"],
            "findings": self._findings_of(about),
        }

    def _findings_of(self, about: dict[str, object]) -> list[Finding]:
        """The findings, looked for again after `FINDINGS_EVERY` only: they cost the hub more than all else here."""
        if time.monotonic() >= self._findings_due:
            self._findings_due = time.monotonic() + FINDINGS_EVERY
            overview = self._client.get("overview", **about)
            self._findings = overview["findings"]
            left = overview.get("findings_total", 0) - len(self._findings)
            self._more_findings = f"{left} more: on the hub's page" if left > 0 else ""
        return self._findings

    def press(self, key: str) -> None:
        """Takes a key: `s` sorts by the next, `/` begins a filter, which Enter ends and Escape drops."""
        if self.typing is not None:
            if key in ("\r", "\n", "\x1b"):
                self._filter = "" if key == "\x1b" else self.typing
                self.typing, self.is_stale = None, True
            elif key in ("\x7f", "\b"):
                self.typing = self.typing[:-1]
            elif key.isprintable():
                self.typing += key
        elif key == "s":
            self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
            self.is_stale = True
        elif key == "/":
            self.typing = self._filter
        elif key == "\x1b":
            self._filter, self.is_stale = "", True

    def frame(self, size: tuple[int, int]) -> list[str]:
        """The lines of a screen of so many columns and rows; what does not fit is left out at its end."""
        width, height = size
        lines = output.render(self.parts(height), width, colour=True, whole=True).splitlines()
        return [*lines[: height - 1], *output.render([self._foot()], width, colour=True, whole=True).splitlines()]

    def parts(self, height: int = 1000) -> list[Part]:
        """What is shown, from the top, where there are `height` rows."""
        parts: list[Part] = [self._headline()]
        if self.trouble:
            parts.append(Mark(self.trouble, "bad"))
        parts += ["", self._service_table(), ""]
        others = 12 + len(self._services) + len(self._processes) + 2 * min(len(self._findings), 3)
        shown = self._endpoints[: max(height - others, 5)]
        parts += dashboard.slowest(shown, live=True) if shown else ["No request in the last 5 minutes."]
        parts += ["", self._process_table(), ""]
        return parts + dashboard.findings(self._findings, more=self._more_findings)

    def _headline(self) -> Part:
        live = self.snapshot
        if not live:
            return [Mark("perfagent top", "bold"), "  the last 5 minutes"]
        return [
            Mark("perfagent top", "bold"),
            f"  {figures.rate(live.get('requests_per_second'))}, ",
            output.failing(live.get("error_ratio")),
            f" fail, p95 {figures.milliseconds(live.get('p95_ms'))}, {figures.size(live.get('memory_bytes'))}, "
            f"{figures.count(live.get('spans_per_second'))} spans a second  ",
            Mark(figures.clock(live.get("time") or time.time()), "dim"),
        ]

    def _foot(self) -> Part:
        if self.typing is not None:
            return [Mark("filter ", "bold"), self.typing + "_"]
        told = f"   filter: {self._filter}" if self._filter else ""
        return [Mark(f"q leave   s sort ({self._sort})   / filter{told}", "dim")]

    def _service_table(self) -> Table:
        live = {one.get("service"): one for one in self.snapshot.get("services") or ()}
        table = Table(
            [
                Column("service", wide=True),
                Column("health"),
                Column("rate", right=True),
                Column("errors", right=True),
                Column("p95", right=True),
                Column("processes", right=True, drop=1),
            ]
        )
        for one in self._services:
            now: dict[str, Any] = live.get(one["service"]) or dict(one)
            table.rows.append(
                (
                    one["service"],
                    output.state(one["health"]),
                    figures.rate(now.get("requests_per_second")),
                    output.failing(now.get("error_ratio")),
                    figures.milliseconds(now.get("p95_ms")),
                    f"{one['alive']} of {one['instances']}",
                )
            )
        return table

    def _process_table(self) -> Table:
        table = Table(
            [
                Column("process", right=True),
                Column("service", wide=True, drop=3),
                Column("host", wide=True, drop=4),
                Column("cpu", right=True),
                Column("memory", right=True),
                Column("threads", right=True, drop=2),
                Column("loop lag p99", right=True, drop=1),
            ]
        )
        for one in self._processes:
            if one["alive"]:
                table.rows.append(
                    (
                        str(one["pid"] or one["instance"]),
                        one["service"],
                        one["host"] or "",
                        figures.percent(one["cpu_ratio"]),
                        figures.size(one["memory_bytes"]),
                        figures.count(one["threads"]),
                        figures.milliseconds(one["lag_p99_ms"]),
                    )
                )
        return table
