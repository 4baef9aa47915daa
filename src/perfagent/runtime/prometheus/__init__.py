"""/metrics for Prometheus: one exposition for all processes of a program, whichever of them has the port.

Each process writes what it has measured into a folder they share; the one that has the port adds it all up when
somebody asks. Where it dies, another takes the port within a second.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from perfagent.runtime import companions, guard, metric, resource
from perfagent.runtime.clock import monotonic, thread_time, time
from perfagent.runtime.companions import Companion
from perfagent.runtime.prometheus.snapshot import Snapshots, labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.prometheus.folder import Folder
    from perfagent.runtime.prometheus.server import Reply
    from perfagent.runtime.prometheus.snapshot import Metric
    from perfagent.settings import Settings

INTERVAL = 1.0  # seconds between two looks at what there is to write; 1 ms for 50 histograms, 5 ms for 500
SHARE = 200  # times the CPU time of a write, that the next one waits in addition: half a percent of a processor at most
UNMOVED = 15.0  # seconds after which vital signs alone are written again
FRESH = 0.3  # seconds that an ask waits for the pipeline to measure what is waiting
HANDED_ON = "_PERFAGENT_PROMETHEUS"
"""The variable by which child processes find the folder and the port: `PORT:PATH`."""


def start(pipeline: Pipeline, settings: Settings) -> Exposition | None:
    """Serves /metrics, or does so when the process that serves it ends.

    Returns:
        The exposition, or None where prometheus-client is not installed, which is told in one line.
    """
    from importlib.util import find_spec

    if find_spec("prometheus_client") is None:
        settings.report(
            'OTEL_METRICS_EXPORTER=prometheus needs prometheus-client: pip install "perfagent[prometheus]"; '
            "going on without /metrics"
        )
        return None
    if metric.registry.exponential:
        metric.registry.exponential = False
        if "otlp" in settings.metrics_exporter:
            settings.report(
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION='base2_exponential_bucket_histogram' does "
                "not go with OTEL_METRICS_EXPORTER=prometheus; going on with 'explicit_bucket_histogram'"
            )
    exposition = Exposition(pipeline, settings)
    companions.all_of_them.append(exposition)
    pipeline.sources.append(exposition.tick)
    pipeline.delay = min(pipeline.delay, INTERVAL)
    if settings.temporality != "cumulative":
        metric.before_reset = exposition.snapshots.settle
    exposition.take_port()
    return exposition


class Exposition(Companion):
    """This process' part in the exposition.

    Args:
        pipeline: measures the spans, and calls `tick` in its thread.
        settings: address, port and folder.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        from perfagent.runtime.prometheus.server import Server

        self.pipeline = pipeline
        self.settings = settings
        self.snapshots = Snapshots()
        self.born = time()
        port, self.folder = _folder(settings)
        self.server = Server(settings.prometheus_host, port, self._answer)
        self._blocked = False  # by a stranger that has the port
        self.reset()

    def reset(self) -> None:
        """In a forked child, which has measured nothing yet and has not got the port."""
        self.server.reset()
        self.snapshots.reset()
        if self.folder is not None:
            self.folder.reset()
        self._latest: list[Metric] = []
        self._fresh = allocate_lock()
        self._asked = False
        self._next = self._due = 0.0
        self._ended = False
        self._tries = 0
        self._resource: dict[str, str] = {}

    def take_port(self) -> None:
        """Tries to become the process that serves; says, once, where a stranger has the port."""
        if self.folder is not None and not self.folder.joined:
            self._shared(self.folder.join)
        try:
            self.server.listen()
        except OSError as error:
            self._explain(error)
        else:
            self._announce()

    def _announce(self) -> None:
        blocked = self._blocked
        self._blocked = False
        if self.folder is not None:
            self._shared(self.folder.note, "serving", self.folder.name)
            os.environ[HANDED_ON] = f"{self.server.port}:{self.folder.path}"
            if self.folder.noted("blocked"):  # be it that another process has said so
                blocked = True
                self._shared(self.folder.note, "blocked", "")
        if blocked or not self.settings.prometheus_port:
            self.pipeline.say(f"/metrics is served on http://{self.server.host}:{self.server.port}/metrics")

    def _explain(self, error: OSError) -> None:
        """Says why the port cannot be had, once, unless another process of ours has it."""
        self._tries += 1
        if self._tries == 1 or self._blocked:  # whoever has just got the port may not have said so yet
            return
        if self.folder is not None:
            if self._shared(self.folder.is_served):
                return
            said = self.folder.noted("blocked")
            self._shared(self.folder.note, "blocked", self.folder.name)
        else:
            said = ""
        self._blocked = True
        if not said:
            self.pipeline.say(
                f"/metrics cannot be served on {self.server.host}:{self.server.port} ({error}); trying again in "
                "silence, OTEL_EXPORTER_PROMETHEUS_PORT gives another port"
            )

    def tick(self, pipeline: Pipeline) -> list[Payload]:
        """What the pipeline's thread does here: takes the port where it is free, and tells the other processes."""
        asked = self._asked
        if self._ended or (not asked and monotonic() < self._next):
            return []
        began, spent = monotonic(), thread_time()
        self._next = began + INTERVAL
        self.snapshots.remember()
        if not self.server.listening:
            self.take_port()
        elif not self.server.halted:
            self.server.start()  # its thread may have ended in the moment that a fork began to wait for it no longer
        shared = self.folder is not None and self.folder.others()
        due = shared and (monotonic() >= self._due or self.snapshots.measured())
        if asked or due:
            self._latest = self.snapshots.take()
        if due:
            self._due = began + UNMOVED
            self._tell()
            # Not the time by the clock: on a loaded machine that is mostly waiting, which costs nobody anything.
            self._next += min(SHARE * (thread_time() - spent), UNMOVED)
        if asked:
            self._asked = False
            if self._fresh.locked():
                self._fresh.release()
        return []

    def halt(self) -> int:
        """Before a fork: ends the server's thread; returns its native id."""
        return self.server.halt()

    def resume(self) -> None:
        """After a fork."""
        self.server.start()

    def stop(self) -> None:
        """At the end of the process: leaves what it has counted to the others."""
        if self._ended:
            return
        self._ended = True
        self.server.halt()
        self.server.close()
        if self.folder is not None and (self.folder.joined or self.snapshots.measured()):
            self._latest = self.snapshots.take()
            self._shared(self.folder.leave, self._snapshot(last=True))

    def _snapshot(self, last: bool = False) -> Any:
        from perfagent.runtime.prometheus.folder import Snapshot

        if not self._resource:
            self._resource = dict(labels(resource.attributes(self.settings).items()))
        return Snapshot(os.getpid(), self._resource, self._latest, last)

    def _tell(self) -> None:
        if self.folder is not None:
            self._shared(self.folder.write, self._snapshot())

    def _shared(self, call: Any, *arguments: object) -> Any:
        """Calls what works on the folder; None where that cannot be used, and every process speaks for itself."""
        try:
            return call(*arguments)
        except OSError:
            guard.failed("prometheus folder")
            return None

    def _answer(self, path: str, headers: dict[str, str]) -> Reply:
        from perfagent.runtime.prometheus import pages

        if path in ("/metrics", "/breaker"):
            self._measure()
        return pages.metrics(self, headers) if path == "/metrics" else pages.other(self, path)

    def _measure(self) -> None:
        """Has the pipeline measure what is waiting; where it is busy sending, what it has measured has to do."""
        self._fresh.acquire(False)
        self._asked = True
        self.pipeline.wake()
        deadline = monotonic() + FRESH
        while not self._fresh.acquire(timeout=FRESH / 20):
            if self.server.halted or monotonic() > deadline:
                self._latest = self.snapshots.take()
                return

    def everyone(self) -> tuple[list[Any], list[Metric]]:
        """The snapshots of all living processes, this one first, and what those that ended have counted."""
        own = self._snapshot()
        others = self._shared(self.folder.read) if self.folder is not None and self.folder.others() else None
        if others is None:
            return [own], []
        return [own, *others[0]], others[1]


def _folder(settings: Settings) -> tuple[int, Folder | None]:
    """The port and the folder: those of the process that made this one, else as the settings say, else a new one."""
    from perfagent.runtime.prometheus import folder

    port, separator, path = settings.environ.get(HANDED_ON, "").partition(":")
    if separator and port.isdecimal() and os.path.isdir(path):
        return settings.prometheus_port or int(port), folder.Folder(path, ours=not settings.prometheus_dir)
    try:
        if settings.prometheus_dir:
            os.makedirs(settings.prometheus_dir, exist_ok=True)
            return settings.prometheus_port, folder.Folder(settings.prometheus_dir, ours=False)
        made = folder.make()
    except OSError as error:
        settings.report(
            f"PERFAGENT_PROMETHEUS_DIR={settings.prometheus_dir!r} cannot be used ({error}); "
            "every process shows its own metrics alone"
        )
        return settings.prometheus_port, None
    os.environ[HANDED_ON] = f"{settings.prometheus_port}:{made.path}"
    return settings.prometheus_port, made
