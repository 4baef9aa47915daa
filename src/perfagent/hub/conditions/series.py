"""Which series the figures of rules are made of, and whom each of them is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from perfagent.hub.expressions import tree
from perfagent.hub.expressions.labels import label_holds
from perfagent.hub.expressions.settling import COUNTER, HISTOGRAM, LEVEL, Metric
from perfagent.hub.expressions.tree import Aggregate, Comparison, Label, Logic, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.expressions.evaluate import Key
    from perfagent.hub.expressions.tree import Node
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

MOST_SERIES = 5000  # of all metrics that rules are about; the newest
MOST_KEYS = 200  # things that a figure is told apart by
REMEMBERED = 20_000  # series whose labels are kept
OF_ALL = ("*",)
"""Stands in `by` for every label of a series: samples are told apart by all of them."""


class One(NamedTuple):
    """A series.

    Args:
        id: in the store.
        metric: what it is.
        labels: of its points, by their full names.
        process: what its process tells of itself.
    """

    id: int
    metric: Metric
    labels: dict[str, str]
    process: dict[str, str]

    def text(self, key: str) -> str:
        """The text of a label; "" where it has none."""
        return self.labels.get(key) or self.process.get(key, "")


class Catalog:
    """The series of the metrics that rules are about; their labels are read once.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, One] = {}
        self._read: dict[str, list[One]] = {}

    def names(self) -> list[str]:
        """Every metric that was ever told."""
        return [row["name"] for row in self._store.rows("rules/names")]

    def begin(self, names: Iterable[str]) -> None:
        """Begins another look: what was read before is read anew, that of these metrics at once."""
        self._read = {}
        self.read(names)

    def read(self, names: Iterable[str]) -> dict[str, list[One]]:
        """The series of some metrics by name, the newest first; those of another kind than the newest are left out.

        What this look has read already is not read again.
        """
        wanted = sorted(set(names))
        missing = [name for name in wanted if name not in self._read]
        if missing:
            self._read.update(self._rows(missing))
        return {name: self._read[name] for name in wanted if self._read[name]}

    def _rows(self, names: list[str]) -> dict[str, list[One]]:
        found: dict[str, list[One]] = {name: [] for name in names}
        if len(self._known) > REMEMBERED:
            self._known.clear()
        for row in self._store.rows("rules/series", names=names, limit=MOST_SERIES):
            one = self._known.get(row["id"])
            if one is None:
                one = self._known[row["id"]] = _one(row)
            others = found[row["name"]]
            if not others or others[0].metric == one.metric:
                others.append(one)
        return found


def _one(row: Row) -> One:
    kind = str(row["kind"])
    if kind == "sum":
        kind = COUNTER if row["monotonic"] else LEVEL
    elif kind == "exponential":
        kind = HISTOGRAM
    process = _texts(row["process"])
    process.update({tree.SERVICE: str(row["service"]), "service.instance.id": str(row["instance"])})
    if row["version"]:
        process["service.version"] = str(row["version"])
    if row["environment"]:
        process["deployment.environment.name"] = str(row["environment"])
    return One(row["id"], Metric(kind, str(row["unit"])), _texts(row["attributes"]), process)


def _texts(document: str) -> dict[str, str]:
    found: dict[str, Any] = orjson.loads(document)
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in found.items()}


def chosen(node: Node | None, one: One) -> bool:
    """Whether the labels of a series are as an aggregate wants them."""
    if node is None:
        return True
    if isinstance(node, Not):
        return not chosen(node.inner, one)
    if isinstance(node, Logic):
        left = chosen(node.left, one)
        return (left or chosen(node.right, one)) if node.word == "or" else (left and chosen(node.right, one))
    assert isinstance(node, Comparison)
    assert isinstance(node.left, Label)
    return label_holds(node, one.text(node.left.key))


def key(aggregate: Aggregate, one: One) -> Key:
    """Whom a series of an aggregate is about."""
    if aggregate.by == OF_ALL:
        return tuple(sorted({**one.labels, tree.SERVICE: one.process[tree.SERVICE]}.items()))
    return tuple(sorted((label, one.text(label)) for label in (tree.SERVICE, *aggregate.by)))


class Groups:
    """The groups that the series of several aggregates fall into, numbered for one look at the store.

    Args:
        pause: called before the labels of each series are compared, which patterns make slow; may raise.
    """

    def __init__(self, pause: Callable[[], None] = lambda: None) -> None:
        self._pause = pause
        self.ids: list[int] = []
        self.numbers: list[int] = []
        self.known: list[tuple[Aggregate, Key]] = []
        self.left_out = 0

    def add(self, aggregate: Aggregate, series: Iterable[One]) -> None:
        """Takes the series of an aggregate in; at most MOST_KEYS groups, the newest."""
        numbers: dict[Key, int] = {}
        for one in series:
            self._pause()
            if not chosen(aggregate.where, one):
                continue
            of = key(aggregate, one)
            number = numbers.get(of)
            if number is None:
                if len(numbers) >= MOST_KEYS:
                    self.left_out += 1
                    continue
                number = numbers[of] = len(self.known)
                self.known.append((aggregate, of))
            self.ids.append(one.id)
            self.numbers.append(number)
