"""The page of libraries: what each instrument records, of which versions, and what it adds to a call."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from perfagent.instruments.registry import INSTRUMENTS

OVERHEADS = Path(__file__).parent.parent / "docs" / "reference" / "overheads.json"
HEAD = """\
# Libraries

What is measured without a change to the program, as soon as it imports the library. `perfagent doctor
.venv/bin/python`, with the program's interpreter, tells which are on and why one is off;
`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=redis,celery` turns some off.

The overhead is CPU on the program's own thread, added to one call of the library, against the call alone:
`python -m benchmarks.instruments` measures it, each side in its fastest round on a small shared machine. Where it is
less than what the turns of one side differ by, the table has the bound that is sure.

This page is made from the code by `python -m tools.reference`.

| library | name | versions | what is recorded | overhead a call |
|---|---|---|---|---|
"""


def page() -> str:
    """The page, a row an instrument."""
    overheads = json.loads(OVERHEADS.read_text()) if OVERHEADS.exists() else {}
    rows = []
    for name, module, _ in INSTRUMENTS:
        instrument = import_module(module).instrument
        low, high = instrument.versions
        versions = f"{low} to below {high}" if instrument.distribution else "Python's"
        cost = _cost(overheads.get(module.rpartition(".")[2]))
        library = instrument.distribution or "standard library"
        rows.append(f"| {library} | `{name}` | {versions} | {instrument.records} | {cost} |")
    return HEAD + "\n".join(rows) + "\n"


def _cost(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "not measured yet"
    added, noise = figure["added_us"], figure["noise_us"]
    told = f"{added:g}" if added > noise else f"below {max(round(max(added, 0) + noise, 1), 0.1):g}"
    return f"{told} µs on {figure['bare_us']:g} µs"
