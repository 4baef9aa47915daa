"""One side of a comparison: what a version, a run or a range of time did, in blocks of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

FORMAT = "perfagent.side/1"


class Subject(NamedTuple):
    """What a figure is about; the same on both sides.

    Args:
        service: whose.
        kind: "endpoint", "query", "dependency", "cache", "process" or "service".
        name: of the endpoint, statement, dependency or cache; "" for the service as a whole.
    """

    service: str
    kind: str
    name: str = ""


@dataclass(slots=True)
class Called:
    """Calls of one operation, by block.

    Args:
        counts: calls by bucket of their duration (`durations.bucket_of`).
        errors: calls that failed.
        link: where the page shows it.
    """

    counts: list[dict[int, float]]
    errors: list[float]
    link: str = ""

    @property
    def calls(self) -> list[float]:
        """How many, by block."""
        return [sum(counts.values()) for counts in self.counts]


@dataclass(slots=True)
class Side:
    """One side, in blocks of `width` seconds.

    Args:
        label: what it is, for people.
        begin, end: seconds since the epoch.
        width: seconds of a block.
        count: how many blocks there are.
        scale: observations for one call, below 1 where sampling made one span stand for several.
        called: by what was called.
        levels: means by block, such as memory: by subject and figure.
        ratios: sums by block that are divided, such as CPU time and requests: by subject and figure.
        notes: what it lacks.
    """

    label: str
    begin: float
    end: float
    width: float
    count: int
    scale: float = 1.0
    called: dict[Subject, Called] = field(default_factory=dict)
    levels: dict[tuple[Subject, str], list[float | None]] = field(default_factory=dict)
    ratios: dict[tuple[Subject, str], tuple[list[float], list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def services(self) -> set[str]:
        """Whose figures there are."""
        subjects = [*self.called, *(subject for subject, _ in (*self.levels, *self.ratios))]
        return {subject.service for subject in subjects}

    def requests(self, service: str) -> list[float]:
        """Requests of a service, by block."""
        whole = [0.0] * self.count
        for subject, called in self.called.items():
            if subject.service == service and subject.kind == "endpoint":
                whole = [one + more for one, more in zip(whole, called.calls, strict=True)]
        return whole

    def without_first(self, seconds: float) -> Side:
        """The side without its first blocks, in which caches were cold and code was loaded."""
        drop = min(round(seconds / self.width), self.count)
        if drop <= 0:
            return self
        return Side(
            self.label,
            self.begin + drop * self.width,
            self.end,
            self.width,
            self.count - drop,
            self.scale,
            {key: Called(one.counts[drop:], one.errors[drop:], one.link) for key, one in self.called.items()},
            {key: values[drop:] for key, values in self.levels.items()},
            {key: (parts[drop:], wholes[drop:]) for key, (parts, wholes) in self.ratios.items()},
            self.notes,
        )

    def only(self, service: str) -> Side:
        """The side with one service alone."""
        self.called = {key: one for key, one in self.called.items() if key.service == service}
        self.levels = {key: one for key, one in self.levels.items() if key[0].service == service}
        self.ratios = {key: one for key, one in self.ratios.items() if key[0].service == service}
        return self

    def renamed(self, old: str, new: str) -> Side:
        """The side with a service of another name, so that runs under two names can be compared."""

        def rename(subject: Subject) -> Subject:
            return subject._replace(service=new) if subject.service == old else subject

        self.called = {rename(subject): one for subject, one in self.called.items()}
        self.levels = {(rename(subject), figure): one for (subject, figure), one in self.levels.items()}
        self.ratios = {(rename(subject), figure): one for (subject, figure), one in self.ratios.items()}
        return self

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "format": FORMAT,
            "label": self.label,
            "begin": self.begin,
            "end": self.end,
            "width": self.width,
            "count": self.count,
            "scale": self.scale,
            "called": [
                {
                    "subject": list(subject),
                    "counts": [sorted(counts.items()) for counts in one.counts],
                    "errors": one.errors,
                    "link": one.link,
                }
                for subject, one in self.called.items()
            ],
            "levels": [
                {"subject": list(subject), "figure": figure, "values": values}
                for (subject, figure), values in self.levels.items()
            ],
            "ratios": [
                {"subject": list(subject), "figure": figure, "parts": parts, "wholes": wholes}
                for (subject, figure), (parts, wholes) in self.ratios.items()
            ],
            "notes": self.notes,
        }

    @classmethod
    def of_document(cls, found: dict[str, Any]) -> Side:
        """The side of such a document; raises KeyError, TypeError or ValueError where it is none."""
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r} is not {FORMAT!r}")
        return cls(
            str(found["label"]),
            float(found["begin"]),
            float(found["end"]),
            float(found["width"]),
            int(found["count"]),
            float(found["scale"]),
            {
                Subject(*one["subject"]): Called(
                    [{int(bucket): float(calls) for bucket, calls in counts} for counts in one["counts"]],
                    one["errors"],
                    one["link"],
                )
                for one in found["called"]
            },
            {(Subject(*one["subject"]), one["figure"]): one["values"] for one in found["levels"]},
            {(Subject(*one["subject"]), one["figure"]): (one["parts"], one["wholes"]) for one in found["ratios"]},
            [str(note) for note in found["notes"]],
        )
