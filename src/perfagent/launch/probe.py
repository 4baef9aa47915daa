"""What `perfagent doctor` asks of a program's interpreter: what is measured, and whether a span goes out."""

from __future__ import annotations

import sys
from time import time

SPAN = "perfagent doctor"
PATIENCE = 10.0  # seconds for the span to be taken; a hub that has just been started boots meanwhile


def report(sends: bool = False) -> dict[str, object]:
    """Imports every library that an instrument waits for, where it is installed, and tells what became of it.

    Args:
        sends: whether to send a span too, through the pipeline that the program would have.

    Returns:
        `python` and `prefix`; `agent`, whether the agent runs in this process, or why not; `instruments`: a dict from
        name to `measured`, `not installed`, `disabled` or the reason why it is off, and for one of OpenTelemetry's
        `contrib: on` or `contrib: off:` with the reason; `left_alone`: libraries that nobody measures, with the package
        that would; and `span`: the trace's id, when it ended in seconds since the epoch, and whether the receiver took
        it; or None.
    """
    from perfagent import settings
    from perfagent.instruments import contrib, load, registry
    from perfagent.launch import choice, start

    options = settings.current()
    disabled = {name.lower() for name in options.disabled_instruments}
    states = {}
    for name, _module, waits_for in registry.INSTRUMENTS:
        if name in disabled or "*" in disabled:
            states[name] = "disabled by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
        elif not any(_imports(module) for module in waits_for):
            states[name] = "not installed"
        else:
            instrument = load.loaded.get(name)
            states[name] = "waits" if instrument is None else instrument.reason or "measured"
    for folder in contrib.found():
        if folder in states or folder in contrib.ours():
            continue
        for module in contrib.IMPORTED.get(folder, (folder,)):
            _imports(module)
    for name, state in contrib.states.items():
        states[name] = f"{states[name]}; {state}" if name in states else state
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "prefix": sys.prefix,
        "agent": _agent(start.pipeline is not None, options.disabled, choice.pipeline(options)),
        "instruments": states,
        "left_alone": contrib.left_alone(),
        "span": _send(choice.pipeline(options)) if sends else None,
        "problems": options.problems,
    }


def _agent(running: bool, disabled: bool, pipeline: str) -> str:
    if running or pipeline == "sdk":
        return f"runs, {pipeline} pipeline"
    return "off: OTEL_SDK_DISABLED is set" if disabled else "off: our sitecustomize did not run (python -I, -E or -S?)"


def _imports(module: str) -> bool:
    try:
        __import__(module)
    except Exception:  # a library may fail in any way when it is imported
        return module in sys.modules
    return True


def _send(pipeline: str) -> dict[str, object]:
    """Sends one span as the program would."""
    if pipeline == "sdk":
        from opentelemetry import trace

        provider = trace.get_tracer_provider()
        made = provider.get_tracer("perfagent.doctor").start_span(SPAN)
        made.end()
        ended = time()
        taken = provider.force_flush(int(PATIENCE * 1000))
        return {"trace_id": f"{made.get_span_context().trace_id:032x}", "ended": ended, "sent": bool(taken)}
    from perfagent.launch import start
    from perfagent.runtime import span

    own = span.Span(span.Scope("perfagent.doctor"), SPAN, span.INTERNAL, None)
    own.finish()
    ended = time()
    running = start.pipeline
    taken = running is not None and running.flush(PATIENCE) and running.sent.get("traces", 0) > 0
    return {"trace_id": own.trace_id.hex(), "ended": ended, "sent": taken}
