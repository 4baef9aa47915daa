"""What `perfagent doctor` asks of a program's interpreter: which libraries are there, and whether they are measured."""

from __future__ import annotations

import sys


def report() -> dict[str, object]:
    """Imports every library that an instrument waits for, where it is installed, and tells what became of it.

    Returns:
        `python` and `prefix`; `agent`, whether the agent runs in this process, or why not; and `instruments`: a dict
        from name to `measured`, `not installed`, `disabled` or the reason why it is off.
    """
    from perfagent import settings
    from perfagent.instruments import load, registry
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
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "prefix": sys.prefix,
        "agent": _agent(start.pipeline is not None, options.disabled, choice.pipeline(options)),
        "instruments": states,
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
