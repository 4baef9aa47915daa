"""What `perfagent doctor` asks of a program's interpreter: what is measured, and whether a span goes out."""

from __future__ import annotations

import sys
from time import monotonic, sleep, time

SPAN = "perfagent doctor"


def report(sends: float = 0.0, imports_all: bool = False) -> dict[str, object]:
    """Tells what becomes of every library that an instrument waits for.

    Args:
        sends: seconds to wait for a span to be taken that is sent through the pipeline that the program would have; 0
            to send none.
        imports_all: whether to import each library, and try each patch.

    Returns:
        `python` and `prefix`; `agent`, whether the agent runs in this process, or why not; `instruments`: a dict from
        name to `measured`, `not installed`, `disabled` or the reason why it is off, and for one of OpenTelemetry's
        `contrib: on` or `contrib: off:` with the reason; `left_alone`: libraries that nobody measures, with the package
        that would; and `span`: the trace's id, when it ended in seconds since the epoch, and whether the receiver took
        it; or None.
    """
    from perfagent import settings
    from perfagent.instruments import contrib
    from perfagent.launch import choice, depth, libraries, start

    options = settings.current()
    disabled = {name.lower() for name in options.disabled_instruments}
    states = libraries.states(disabled, imports_all)
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "prefix": sys.prefix,
        "agent": _agent(start.pipeline is not None, options.disabled, choice.pipeline(options)),
        "instruments": states,
        "left_alone": contrib.left_alone(),
        "span": _send(choice.pipeline(options), sends) if sends else None,
        "problems": [*options.problems, *depth.left_out(options)],
    }


def _agent(running: bool, disabled: bool, pipeline: str) -> str:
    if running or pipeline == "sdk":
        return f"runs, {pipeline} pipeline"
    return "off: OTEL_SDK_DISABLED is set" if disabled else "off: our sitecustomize did not run (python -I, -E or -S?)"


def _send(pipeline: str, patience: float) -> dict[str, object]:
    """Sends one span as the program would."""
    if pipeline == "sdk":
        from opentelemetry import trace

        provider = trace.get_tracer_provider()
        made = provider.get_tracer("perfagent.doctor").start_span(SPAN)
        made.end()
        ended = time()
        taken = provider.force_flush(int(patience * 1000))
        return {"trace_id": f"{made.get_span_context().trace_id:032x}", "ended": ended, "sent": bool(taken)}
    from perfagent.launch import start
    from perfagent.runtime import span

    own = span.Span(span.Scope("perfagent.doctor"), SPAN, span.INTERNAL, None)
    own.finish()
    ended = time()
    running, until = start.pipeline, monotonic() + patience
    taken = False
    while running is not None and not taken and (remaining := until - monotonic()) > 0:
        running.receivers.forgive()  # a hub that has just been started boots, and answers at the second try
        taken = running.flush(remaining) and running.sent.get("traces", 0) > 0
        if not taken:
            sleep(0.1)
    return {"trace_id": own.trace_id.hex(), "ended": ended, "sent": taken}
