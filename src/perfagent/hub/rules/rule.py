"""Rules and groups of rules as Prometheus has them, and their text in YAML.

The text is the same on every machine: the order is that of the fields, and there is one way to write each value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HEAD = "# Made by `perfagent rules export`: change the thresholds or the objectives, not this file.\n"
_PLAIN = re.compile(r"[A-Za-z_/][\w./:-]*(?: [\w./-]+)*|\d+(?:ms|[smhdwy])")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))  # YAML reads them as values


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule, or an alert.

    Args:
        name: of the alert, or of the series that is recorded.
        expression: PromQL, of one line or several.
        labels: that it adds.
        annotations: texts of an alert; a recording rule has none.
        lasting: for how long an alert must hold before it fires, such as "3m".
        keeping: for how long it goes on firing when it holds no more; "" for not at all.
    """

    name: str
    expression: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    lasting: str = "0s"
    keeping: str = ""

    def lines(self) -> Iterator[str]:
        """Its text, to be put below `rules:`."""
        yield f"      - {'alert' if self.annotations else 'record'}: {scalar(self.name)}"
        yield from _member("expr", self.expression)
        if self.annotations:
            yield from _member("for", self.lasting)
        if self.keeping:
            yield from _member("keep_firing_for", self.keeping)
        for key, texts in (("labels", self.labels), ("annotations", self.annotations)):
            if texts:
                yield f"        {key}:"
                for name, text in texts.items():
                    yield f"          {name}: {scalar(text)}"


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, one after the other.

    Args:
        name: unique in its file.
        rules: in their order.
        interval: between two evaluations; Prometheus' own when left out.
    """

    name: str
    rules: Sequence[Rule]
    interval: str = ""

    def lines(self) -> Iterator[str]:
        """Its text, to be put below `groups:`."""
        yield f"  - name: {scalar(self.name)}"
        if self.interval:
            yield f"    interval: {scalar(self.interval)}"
        yield "    rules:"
        for rule in self.rules:
            yield from rule.lines()


def document(groups: Sequence[Group]) -> str:
    """The content of a file of rules."""
    lines = [line for group in groups for line in group.lines()]
    return HEAD + ("\n".join(["groups:", *lines]) if lines else "groups: []") + "\n"


def scalar(text: str) -> str:
    """A text of one line as YAML: plain where nothing could take it for anything else, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and ": " not in text and not text.endswith(":"):
        return text
    return json.dumps(text, ensure_ascii=False)  # every JSON string is one of YAML


def _member(key: str, text: str) -> Iterator[str]:
    if "\n" not in text:
        yield f"        {key}: {scalar(text)}"
        return
    yield f"        {key}: |-"
    for line in text.splitlines():
        yield f"          {line}".rstrip()
