"""Starts the agent in this process: the runtime, the instruments, and the ways out (exit, SIGTERM, fork)."""

from __future__ import annotations

import atexit
import os
import sys

from perfagent import settings as options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.pipeline import Pipeline
    from perfagent.settings import Settings

pipeline: Pipeline | None = None
"""The background pipeline of this process, once the agent has started."""


def in_process() -> None:
    """Starts what the settings ask for, unless this program is not to be measured."""
    settings = options.current()
    if settings.disabled:
        return
    if is_excluded(settings):
        from perfagent.launch import environment

        environment.leave(os.environ)
        return
    _collector(settings)
    _start(settings)


def from_program(settings: Settings) -> bool:
    """Starts it from the program's own code, unless it runs.

    Returns:
        Whether our own pipeline serves; else it is the SDK.
    """
    if pipeline is not None:
        pipeline.resource = b""  # made anew, for the service may have got its name only now
    elif not sdk_serves:
        _start(settings)
    return pipeline is not None


sdk_serves = False
"""Whether the sdk pipeline has started."""


def _start(settings: Settings) -> None:
    global sdk_serves
    join_hub(settings)
    from perfagent.launch import choice

    if choice.pipeline(settings) == "sdk":
        from perfagent.launch import sdk

        sdk.start(settings)
        sdk_serves = True
        if settings.sets("PERFAGENT_SPOOL_DIR"):
            settings.report("PERFAGENT_SPOOL_DIR is of no effect: the sdk pipeline keeps nothing on disk")
    else:
        lean(settings)
    watch_limits(settings)


def watch_limits(settings: Settings) -> None:
    """Has memory and CPU use looked at whenever metrics are collected, where a limit is set."""
    if not settings.sets("MAX_MEMORY", "MAX_CPU_CORES"):
        return
    from perfagent.runtime import guard

    try:
        from perfagent.resilience.limits import get_resource_limits

        get_resource_limits()
    except Exception:
        guard.failed("resource limits")


def join_hub(settings: Settings) -> None:
    """Sends to a hub that runs already, where nobody has said another place; `perfagent run` has, mostly."""
    if settings.endpoint:
        return
    try:
        from perfagent.launch import hub

        hub.join(settings)
    except Exception:
        from perfagent.runtime import guard

        guard.failed("hub")


def is_excluded(settings: Settings) -> bool:
    """Whether this process runs a tool that nobody wants measured, such as pip."""
    arguments = sys.orig_argv[1:]
    for position, argument in enumerate(arguments):
        if argument == "-m":
            program = arguments[position + 1] if position + 1 < len(arguments) else ""
            break
        if argument == "-c":  # multiprocessing starts a process that only watches over semaphores
            return "".join(arguments[position + 1 : position + 2]).startswith("from multiprocessing.resource_tracker ")
        if argument in ("-W", "-X"):
            continue
        if not argument.startswith("-") and arguments[position - 1 : position] not in (["-W"], ["-X"]):
            program = argument
            break
    else:
        return False
    name = os.path.basename(program).removesuffix(".exe").removesuffix(".py")
    folder = os.path.basename(os.path.dirname(program))  # `python .../site-packages/pip install` runs a folder's main
    excluded = settings.excluded_commands
    return name in excluded or name.partition(".")[0] in excluded or (name == "__main__" and folder in excluded)


def lean(settings: Settings) -> Pipeline:
    """Starts our own pipeline; idempotent."""
    global pipeline
    if pipeline is not None:
        return pipeline
    from perfagent.instruments import load
    from perfagent.launch import depth, lifecycle
    from perfagent.runtime import configure, flight, machine, selfmetrics
    from perfagent.runtime.pipeline import Pipeline

    began = machine.resident()
    configure.apply(settings)
    pipeline = Pipeline(settings)
    configure.connect(pipeline)
    spool(pipeline, settings)
    if settings.rum:
        from perfagent.launch import pages

        pages.begin(settings)
    load.install(settings)
    if settings.vitals:
        from perfagent import vitals
        from perfagent.instruments import hook

        hook.install()
        vitals.install(settings, hook.when_imported)
    depth.install(settings)
    count_deprecations()
    selfmetrics.install(pipeline.sent)
    if "prometheus" in settings.metrics_exporter:
        from perfagent.runtime import prometheus

        prometheus.start(pipeline, settings)
    if not pipeline.destinations and settings.metrics_exporter == settings.traces_exporter == ("otlp",):
        atexit.register(_summarise, pipeline)  # before the exit's last flush is registered, so it runs after that
    elif settings.environ.get("PERFAGENT_HUB_PROGRAM") == str(os.getpid()):
        atexit.register(_tell_page, pipeline, settings)
    _count_errors(settings)
    lifecycle.install(pipeline, settings)  # has the first thread of ours: see `signals.HIGH`
    flight.install(settings, pipeline.say)
    if not sys.orig_argv:  # Python is embedded in a program of another language
        from perfagent.launch import uwsgi

        if uwsgi.is_here():
            uwsgi.wait_for_workers(settings)
    machine.grown = machine.resident() - began
    pipeline.start()
    return pipeline


def spool(pipeline: Pipeline, settings: Settings) -> None:
    """Keeps on disk what no receiver takes, where a folder for it is set."""
    if not settings.sets("PERFAGENT_SPOOL_DIR"):
        return
    from perfagent.runtime import guard

    try:
        from perfagent.runtime.spool import delivery

        delivery.start(pipeline)
    except Exception:
        guard.failed("spool")


def count_deprecations() -> None:
    """Switches the deprecation ledger on, where nobody has switched it off."""
    from perfagent.runtime import guard

    try:
        from perfagent.resilience import deprecations

        deprecations.install()
    except Exception:
        guard.failed("deprecation ledger")


def _count_errors(settings: Settings) -> None:
    """Counts 5xx answers against the error budget of this program's service, where ERROR_BUDGETS names it."""
    if not settings.sets("ERROR_BUDGETS", "PERFAGENT_ERROR_BUDGETS"):
        return
    from perfagent.runtime import guard, resource

    try:
        from perfagent.resilience import budgets

        budgets.count_answers(str(resource.attributes(settings)["service.name"]))
    except Exception:
        guard.failed("error budgets")


def _summarise(pipeline: Pipeline) -> None:
    """Tells what the process did, where nobody has said where telemetry goes."""
    from perfagent.runtime import guard, resource, summary

    try:
        told = summary.lines()
        if told:
            pipeline.say("\n".join((f"process {os.getpid()}, service {resource.program_name()}", *told)))
    except Exception:
        guard.failed("summary")


def _tell_page(pipeline: Pipeline, settings: Settings) -> None:
    """Tells, in place of a summary, where the page is that shows what the process did; the link of the start may be
    too old by now. Where the hub is gone, the summary is what is left.
    """
    from perfagent.hub import lock
    from perfagent.launch import hub
    from perfagent.runtime import guard, summary

    try:
        if settings.quiet or not summary.lines():
            return
        directory = lock.directory(settings)
        found = lock.find(directory)
        if found is None or hub.address(settings, found) != settings.endpoint:
            _summarise(pipeline)
        else:
            pipeline.say(f"{hub.link(directory, found)} shows what this program did")
    except Exception:
        guard.failed("summary")


def _collector(settings: Settings) -> None:
    """The garbage collector's settings, where somebody asks for them."""
    if not settings.gc_threshold and not settings.short_lived:
        return
    import gc

    if settings.short_lived:
        gc.collect()
        gc.disable()
        return
    text = "1000,10,10" if settings.gc_threshold.lower() in ("true", "1", "yes", "on") else settings.gc_threshold
    try:
        gc.set_threshold(*[int(part) for part in text.split(",")])
    except (ValueError, TypeError, OverflowError):
        settings.report(
            f"PERFAGENT_GC_THRESHOLD={text!r} is not accepted: three whole numbers such as 1000,10,10; "
            "the thresholds stay as they are"
        )
