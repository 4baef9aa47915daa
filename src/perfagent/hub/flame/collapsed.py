"""Collapsed stacks: a line a stack, its calls separated by semicolons, as flamegraph.pl and many others read them."""

from __future__ import annotations

import re
from collections import Counter

from perfagent.hub.flame.stacks import Call, Profile, Sample, place

_CALL = re.compile(r"(.*) \((.*?)(?::(\d+))?\)")
_PROCESS = re.compile(r"(?:process|thread) .*")


def write(profile: Profile) -> str:
    """The profile in microseconds, bytes or counts."""
    scale = 1000 if profile.unit == "nanoseconds" else 1
    sums: Counter[str] = Counter()
    for sample in profile.samples:
        sums[";".join(map(_name, sample.calls))] += sample.value
    return "".join(f"{stack} {round(value / scale)}\n" for stack, value in sums.most_common() if value >= scale / 2)


def _name(call: Call) -> str:
    where = place(call)
    text = f"{call.function} ({where})" if where else call.function
    return " ".join(text.replace(";", ":").split())


def read(text: str, period: int, name: str = "", kind: str = "wall") -> Profile:
    """What py-spy and others wrote.

    Args:
        text: lines of `function (file:line);… count`.
        period: ns that a sample stands for.
        name, kind: of the profile.
    """
    found = Profile(kind, "nanoseconds", name=name)
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit():
            continue
        labels: tuple[tuple[str, str], ...] = ()
        calls: list[Call] = []
        for part in stack.split(";"):
            told = _CALL.fullmatch(part)
            if told is None and not calls and _PROCESS.fullmatch(part):
                labels = (("thread", part.partition(" ")[2]),)
                continue
            if told is None:
                calls.append(Call(part, "", 0, 0))
            else:
                calls.append(Call(told[1], told[2], 0, int(told[3] or 0)))
        if calls:
            found.samples.append(Sample(tuple(calls), int(count) * period, int(count), labels))
    return found
