"""A profile as a picture: CPU, memory, I/O, threads and descriptors over time, by matplotlib."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = (".svg", ".png", ".pdf")
BLUE, ORANGE, GREEN, GREY = "#0b62c4", "#d9730d", "#1a7f37", "#8a94a3"


def check(path: str) -> None:
    """Whether a picture can be drawn into this file, before a program is run for it.

    Raises:
        ValueError: its name has no ending that is known.
        ImportError: matplotlib is not installed.
    """
    if os.path.splitext(path)[1].lower() not in KINDS:
        raise ValueError(f"--picture {path}: the name must end in {', '.join(KINDS)}, such as profile.svg")
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ImportError("--picture needs matplotlib", name="matplotlib")


def draw(document: dict[str, Any], path: str) -> None:
    """Draws a profile's document into a file, of the kind that its name ends in.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    samples = document["samples"]
    times = samples["time_seconds"]
    has_io = any(one is not None for name in _IO for one in samples[name])
    panels = [_cpu, _memory, *([_io] if has_io else []), _counts]
    figure = Figure(figsize=(10, 2.3 * len(panels) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True)
    for axis, panel in zip(axes, panels, strict=True):
        panel(axis, times, document)
        axis.grid(True, color="#d9dee6", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(bottom=0, top=max(axis.get_ylim()[1], 1e-9))
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(left=0, right=max(document["duration_seconds"], 1e-3))
    figure.suptitle(_plain(_title(document)), fontsize=11, x=0.01, ha="left")
    figure.savefig(path, dpi=110)


def _title(document: dict[str, Any]) -> str:
    command = shlex.join(document["command"]) or f"process {document['pid']}"
    if len(command) > 90:
        command = command[:89] + "…"
    return f"{command}\n{document['started']}, {document['duration_seconds']:.1f} s"


def _plain(text: str) -> str:
    """Text as it is: matplotlib reads what stands between two dollars as a formula."""
    printable = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return printable.replace("$", r"\$")


def _line(axis: Any, times: Sequence[float], values: Sequence[float | None], label: str, colour: str) -> None:
    known = [(when, value) for when, value in zip(times, values, strict=True) if value is not None]
    if known:
        marker = "." if len(known) < 20 else ""
        axis.plot(*zip(*known, strict=True), label=label, color=colour, linewidth=1.3, marker=marker)


def _steps(axis: Any, times: Sequence[float], values: Sequence[float | None], label: str, colour: str) -> None:
    """A rate, which holds for all the time since the one before."""
    known = [(when, value) for when, value in zip(times, values, strict=True) if value is not None]
    if known:
        known.insert(0, (0.0, known[0][1]))
        axis.step(*zip(*known, strict=True), where="pre", label=label, color=colour, linewidth=1.3)


def _cpu(axis: Any, times: Sequence[float], document: dict[str, Any]) -> None:
    _steps(axis, times, document["samples"]["cpu_percent"], "CPU", BLUE)
    mean = document["summary"].get("cpu_percent", {}).get("mean")
    if mean is not None:
        axis.axhline(mean, color=GREY, linewidth=1, linestyle="--", label=f"mean {mean:.0f} %")
    axis.set_ylabel("CPU, % of a core")


def _memory(axis: Any, times: Sequence[float], document: dict[str, Any]) -> None:
    samples = document["samples"]
    for name, label, colour in (("rss", "RSS", BLUE), ("pss", "PSS", ORANGE), ("uss", "USS", GREEN)):
        _line(axis, times, [None if v is None else v / 1e6 for v in samples[f"{name}_bytes"]], label, colour)
    axis.set_ylabel("memory, MB")


_IO = {
    "disk_read_bytes_per_second": ("disk, read", BLUE),
    "disk_written_bytes_per_second": ("disk, written", ORANGE),
    "read_bytes_per_second": ("all reads", GREEN),
    "written_bytes_per_second": ("all writes", GREY),
}


def _io(axis: Any, times: Sequence[float], document: dict[str, Any]) -> None:
    for name, (label, colour) in _IO.items():
        _steps(axis, times, [None if v is None else v / 1e6 for v in document["samples"][name]], label, colour)
    axis.set_ylabel("I/O, MB/s")


def _counts(axis: Any, times: Sequence[float], document: dict[str, Any]) -> None:
    for name, colour in (("threads", BLUE), ("descriptors", ORANGE), ("processes", GREEN)):
        _line(axis, times, document["samples"][name], name, colour)
    axis.set_ylabel("count")
