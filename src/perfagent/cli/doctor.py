"""`perfagent doctor`: from the program's interpreter to the span in the store, each step checked."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.cli import background, interpreter
from perfagent.hub import lock, spawn
from perfagent.launch import environment, hub
from perfagent.runtime import outbox
from perfagent.settings import Settings

if TYPE_CHECKING:
    from perfagent.hub.lock import Found

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROBE = (
    "import json, sys; sys.path.append({package!r}); from perfagent.launch import probe; "
    "print('\\x1e' + json.dumps(probe.report({sends}, {imports})))"
)
SERVICE = "perfagent.doctor"  # what the probe's span is filed under
PATIENCE = 10.0  # seconds for a span to be taken, and to be found in the store
BOOTS = 30.0  # seconds for one to be taken by a hub that has just been started, on a busy machine


class Step(NamedTuple):
    """One thing that was checked.

    Args:
        step: what.
        ok: whether it is in order; None where it could not be checked, for one before it is broken.
        found: what was found.
        remedy: what to do; "" where there is nothing to do.
    """

    step: str
    ok: bool | None
    found: str
    remedy: str = ""


def main(words: list[str]) -> int:
    """Checks each step and prints what it found; returns 0 where a program would be measured and heard, else 1."""
    parser = argparse.ArgumentParser(
        prog="perfagent doctor",
        usage="perfagent doctor [-h] [--output {table,json}] [--import-all] [PYTHON | COMMAND [ARGUMENT …]]",
        description="Checks that a program would be measured here, and what it measures be kept: its interpreter, its "
        "libraries, where it sends to, the receiver, and a span on all of that way.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "command",
        nargs="*",
        help="the program's interpreter, its environment's folder, or the command that starts it, which is not run "
        "(default: python)",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument(
        "--import-all",
        action="store_true",
        help="import each library and try to measure it; else its version tells, where that is known",
    )
    asked, rest = parser.parse_known_args(words)
    if rest and (not asked.command or words.index(rest[0]) < words.index(asked.command[0])):
        parser.error(f"{rest[0]} is no option of the doctor's; options of the program come after its command")
    try:
        python = interpreter.of([*asked.command, *rest])
    except interpreter.UnknownError as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return 2
    examination = Examination(Settings(), python, asked.import_all)
    examination.run()
    if asked.output == "json":
        steps = [step._asdict() for step in examination.steps]
        print(json.dumps({**examination.report, "delivery": examination.delivery, "steps": steps}, indent=2))
    else:
        _print(examination)
    return 0 if all(step.ok for step in examination.steps) else 1


class Examination:
    """The steps, in the order of a span's way.

    Args:
        settings: those of the program.
        python: its interpreter, with its options.
        imports_all: whether each library is imported, and each patch tried.
    """

    def __init__(self, settings: Settings, python: list[str], imports_all: bool = False) -> None:
        self.settings = settings
        self.python = python
        self.imports_all = imports_all
        self.steps: list[Step] = []
        self.report: dict[str, Any] = {}
        self.delivery: dict[str, str] = {}
        self.found: Found | None = None

    def run(self) -> None:
        """Checks all of them; what comes after a broken one may be unknown."""
        destination = [self._destination()]
        environ = dict(os.environ)
        if self.found is not None:
            if destination[0].found.startswith("the hub"):
                hub.send_to(os.environ, self.settings, self.found)
                environ = dict(os.environ)
            destination.append(self._hub(self.found))
        environment.enter(environ)
        # The doctor's own span is kept whatever share of the program's is.
        if not destination[0].ok:
            environ |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
        environ |= {"OTEL_SERVICE_NAME": SERVICE, "OTEL_TRACES_SAMPLER": "always_on", "PERFAGENT_QUIET": "true"}
        environ.pop("PERFAGENT_SPOOL_DIR", None)  # a span that only asks whether it arrives is not worth keeping
        patience = 0.0 if self.found is None else BOOTS if self.found.is_new else PATIENCE
        self.report = _probe(self.python, environ, patience, self.imports_all)
        self.steps += [self._interpreter(), self._agent(), self._libraries(), self._sampling(), *destination]
        self.delivery = _delivery(self.settings)
        self.steps.append(self._receiver())
        self.steps += self._remotes()
        self.steps += self._spool()
        self.steps += self._died()
        if self.found is not None:
            self.steps += [self._sent(), self._stored(self.found)]

    def _interpreter(self) -> Step:
        if "python" in self.report:
            return Step("interpreter", True, f"Python {self.report['python']} in {self.report['prefix']}")
        remedy = "give the program's own interpreter: perfagent doctor .venv/bin/python"
        return Step("interpreter", False, str(self.report["agent"]).removeprefix("off: "), remedy)

    def _agent(self) -> Step:
        agent = str(self.report["agent"])
        if agent.startswith("runs"):
            return Step("agent", True, agent)
        return Step("agent", False if "python" in self.report else None, agent, _REMEDIES.get(agent, ""))

    def _libraries(self) -> Step:
        states = self.report["instruments"]
        if not states:
            return Step("libraries", None, "not asked")
        measured = sorted(name for name, state in states.items() if state == "measured")
        told = f"measured: {', '.join(measured) or 'none is installed'}"
        theirs = sorted(name for name, state in states.items() if state.endswith("contrib: on"))
        told += f"; by OpenTelemetry's instrumentors: {', '.join(theirs)}" if theirs else ""
        return Step("libraries", True, told)

    def _sampling(self) -> Step:
        sampler, share = self.settings.sampler.strip().lower(), self.settings.sampler_arg
        kept = "" if not sampler.endswith("traceidratio") else f" {share or '1'}"
        nothing = sampler == "always_off" or (kept and share.strip().rstrip(".0") == "" and share.strip() != "")
        remedy = "set OTEL_TRACES_SAMPLER=parentbased_always_on, or leave it out" if nothing else ""
        return Step("sampling", not nothing, f"{sampler}{kept}{': no trace is kept' if nothing else ''}", remedy)

    def _destination(self) -> Step:
        """Where telemetry goes, and why; finds the hub, or starts one as `perfagent run` would."""
        why_not = hub.why_not(self.settings)
        folder = lock.directory(self.settings)
        if why_not:
            own = lock.find(folder)
            if own is not None and self.settings.endpoint.rstrip("/") in (own.address, own.grpc):
                self.found = own
            if not why_not.endswith("is set") or self.settings.disabled:
                remedy = f"take that out, or set {hub.ENDPOINT}, such as http://localhost:4318"
                return Step("destination", False, f"nothing is sent: {why_not}", remedy)
            return Step("destination", True, f"{self.settings.endpoint or 'an address of its own'}, for {why_not}")
        found = lock.find(folder)
        if hub.reads_elsewhere(self.settings, found):
            return Step("destination", False, f"nothing is sent: {hub.READS.partition(';')[0]}", _TO_COLLECTOR)
        try:
            if found is None and not hub.is_grpc(self.settings):
                found = spawn.start(self.settings, by_itself=True)
        except lock.Unavailable as error:
            return Step("destination", False, f"nothing is sent: {error}", f"do that, or set {hub.ENDPOINT}")
        if found is None or not hub.address(self.settings, found):
            remedy = "set PERFAGENT_HUB_GRPC_PORT=4317 and start the hub anew, or leave OTEL_EXPORTER_OTLP_PROTOCOL out"
            return Step("destination", False, "the program is to send gRPC, and the hub takes none", remedy)
        self.found = found
        return Step("destination", True, f"the hub at {found.address}, for no OTLP endpoint is set")

    def _hub(self, found: Found) -> Step:
        how = "just started" if found.is_new else "runs"
        return Step(
            "hub", True, f"{how}, process {found.pid}, version {found.version}, {lock.directory(self.settings)}"
        )

    def _receiver(self) -> Step:
        bad = {signal: answer for signal, answer in self.delivery.items() if answer != "ok"}
        if not self.delivery:
            return Step("receiver", None, "there is none to ask")
        if set(bad) <= outbox.OPTIONAL:
            taken = ", ".join(signal for signal in self.delivery if signal not in bad)
            left = f"; {', '.join(bad)} it does not know, so these are not sent" if bad else ""
            return Step("receiver", True, f"takes {taken}{left}")
        told = "; ".join(f"{signal}: {answer}" for signal, answer in bad.items())
        if self.found is not None:
            log = lock.log_path(lock.directory(self.settings))
            said = background.complaint(log)
            told += f"; the hub said: {said}" if said else ""
            return Step("receiver", False, told, f"see {log}; `perfagent hub --stop` and `perfagent hub` show more")
        return Step(
            "receiver", False, told, "start the receiver, or mend the address; it is an OTLP/HTTP receiver's base"
        )

    def _remotes(self) -> list[Step]:
        """What the user's own hub reads from, where it does."""
        own = lock.find(lock.directory(self.settings))
        if own is None or own.takes:
            return []
        from perfagent.cli.client import Client, HubError

        try:
            hub = Client.own(self.settings).get("hub")
        except HubError as error:
            return [Step("hub reads", False, str(error), f"see {lock.log_path(lock.directory(self.settings))}")]
        steps = []
        for one in hub.get("remotes") or ():
            answered = one["last_success"]
            told = f"{one['url']}, answered {time.time() - answered:.0f} s ago" if answered else f"{one['url']}, never"
            steps.append(Step(f"{one['name'].lower()}", not one["problem"], told, one["problem"]))
        return steps

    def _spool(self) -> list[Step]:
        """Where what no receiver takes is kept, and how much of it is there, where it is kept at all."""
        from perfagent.settings.spool import SpoolSettings

        settings = SpoolSettings()
        if not settings.folder:
            return []
        from perfagent.runtime.spool import folder

        base = os.path.abspath(os.path.expanduser(settings.folder))
        try:
            waiting = folder.look(base)
        except OSError as error:
            remedy = "give the program's user a folder that it may write to"
            return [Step("spool", False, f"{base}: {error.strerror}", remedy)]
        files, size = len(waiting), sum(waiting) / 1e6
        told = f"{files} file{'s' * (files != 1)}, {size:.1f} MB of {settings.size / 1e6:.0f} MB, waiting to be sent"
        return [Step("spool", True, f"{base}: {told if files else 'nothing waits'}")]

    def _died(self) -> list[Step]:
        """The processes that died and that nobody has told of yet: the next start of their service will."""
        from perfagent.flight import death, files

        place = files.folder(self.settings, make=False) if self.settings.flight else ""
        found = [one for path in sorted(files.dead(place)) if (one := death.read(path))] if place else []
        return [Step("died", True, str(one)) for one in found[-5:]]

    def _sent(self) -> Step:
        span = self.report.get("span")
        if span is None:
            return Step("span sent", None, "the agent does not run")
        remedy = "" if span["sent"] else "the receiver's step above tells more; so does the hub's log"
        return Step("span sent", bool(span["sent"]), f"trace {span['trace_id']}", remedy)

    def _stored(self, found: Found) -> Step:
        """Looks for the span in the store, by the interface that everybody uses."""
        from perfagent.cli.client import Client, HubError, RefusedError
        from perfagent.hub.access import Access, secret

        span = self.report.get("span")
        if span is None or not span["sent"]:
            return Step("span stored", None, "none was sent")
        client = Client(found.address, Access(secret(lock.directory(self.settings))).token("viewer"))
        until = time.monotonic() + PATIENCE
        while True:
            try:
                client.get(f"traces/{span['trace_id']}")
                took = time.time() - span["ended"]
                return Step("span stored", True, f"found in the store {took * 1e3:.0f} ms after it ended")
            except RefusedError as error:
                told = str(error)
                if error.code != 404:
                    break
            except HubError as error:
                told = str(error)
                break
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        return Step("span stored", False, told, f"see {lock.log_path(lock.directory(self.settings))}")


_TO_COLLECTOR = f"set {hub.ENDPOINT} to the Collector in front of them, such as http://collector:4318"
_REMEDIES = {
    "off: our sitecustomize did not run (python -I, -E or -S?)": "start the program without -I, -E and -S",
    "off: OTEL_SDK_DISABLED is set": "take OTEL_SDK_DISABLED out",
}


def _probe(python: list[str], environ: dict[str, str], sends: float, imports: bool) -> dict[str, Any]:
    """What the interpreter says of itself when it is started under the agent."""
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user names
            [*python, "-c", PROBE.format(package=PACKAGE, sends=sends, imports=imports)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"agent": f"off: {python[0]} cannot be run ({error})", "instruments": {}}
    _noise, mark, answer = done.stdout.rpartition("\x1e")
    if not mark:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return {"agent": f"off: {python[0]} ended with {done.returncode}: {last}", "instruments": {}}
    report: dict[str, Any] = json.loads(answer)
    return report


def _delivery(settings: Settings) -> dict[str, str]:
    """For each signal `ok`, or what the receiver answered to an empty request."""
    from perfagent.runtime.otlp.transport import Refused, Transport, Unavailable, destinations

    answers = {}
    for signal, destination in destinations(settings).items():
        try:
            Transport(settings).send(destination, b"", timeout=3)
            answers[signal] = "ok"
        except (Refused, Unavailable) as error:
            answers[signal] = str(error)
    return answers


def _print(examination: Examination) -> None:
    marks = {True: "ok", False: "BROKEN", None: "?"}
    broken = next((step for step in examination.steps if step.ok is False), None)
    for step in examination.steps:
        print(f"{marks[step.ok]:<7} {step.step:<12} {step.found}")
        if step.step == "libraries":
            for name, state in examination.report["instruments"].items():
                if state not in ("measured", "not installed", "contrib: on"):
                    print(f"{'':<20} {name}: {state}")
            for module, package in examination.report.get("left_alone", {}).items():
                print(f"{'':<20} {module}: not measured; pip install {package} does it")
    for problem in examination.report.get("problems", ()):
        print(f"problem {problem}")
    if broken is not None:
        print(f"\nFirst broken: {broken.step}: {broken.found}." + (f"\nDo: {broken.remedy}." if broken.remedy else ""))
    elif all(step.ok for step in examination.steps):
        print("\nA program started with `perfagent run` is measured, and what it does is kept.")
