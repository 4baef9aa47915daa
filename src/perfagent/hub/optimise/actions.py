"""What an optimisation rule may do: a short list, each with what it asks of processes and how that is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LESS = 0.1
"""The share of traces that is kept while sampling is lowered."""
LONGER = 4.0
"""How many times longer new values of caches are good."""


class Order(NamedTuple):
    """One command for a process: its name and its value, as `hub.control.commands` has them."""

    command: str
    value: Any


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a rule may do.

    Args:
        name: of it.
        title: what it does, for people.
        order: what processes are asked for; None for what is advice alone.
        reversible: whether `before` in the answer puts things back.
        harmless: for what cannot be put back, why that does no harm.
        evidence: whether it is to show more, and not to help: it takes more of the machine, so it waits while that is
            busy.
    """

    name: str
    title: str
    order: Order | None = None
    reversible: bool = False
    harmless: str = ""
    evidence: bool = False

    @property
    def advises(self) -> bool:
        """Whether it tells and never does."""
        return self.order is None and self.name != "webhook"


ACTIONS: dict[str, Action] = {
    one.name: one
    for one in (
        Action(
            "collect_garbage", "collect garbage", Order("collect_garbage", None),
            harmless="what nothing refers to is freed, a little earlier than by itself",
        ),
        Action(
            "clear_caches", "clear the caches", Order("clear_cache", None),
            harmless="they fill again; until then what they spare is done anew",
        ),
        Action(
            "invalidate_tags", "forget what has a tag", Order("invalidate_tags", []),
            harmless="it is made again when it is next wanted",
        ),
        Action(
            "longer_ttl", f"keep new cache values {LONGER:g} times as long",
            Order("cache_ttl", {"factors": {"": LONGER}}), reversible=True,
        ),
        Action(
            "lower_sampling", f"keep {LESS:.0%} of the traces", Order("sampling_ratio", LESS), reversible=True,
        ),
        Action("fewer_logs", "send errors alone", Order("log_level", "error"), reversible=True),
        Action("more_logs", "send information, too", Order("log_level", "info"), reversible=True, evidence=True),
        Action("profiling", "profile requests, as evidence", Order("profiling", True), reversible=True, evidence=True),
        Action("index_advice", "tell which indexes may be missing"),
        Action("cache_advice", "tell which caches hardly help"),
        Action("webhook", "tell an address", harmless="the other side decides what it does"),
    )
}  # fmt: skip
"""By name."""


def ordered(action: Action, tags: tuple[str, ...]) -> Order:
    """What processes are asked for."""
    assert action.order is not None
    return Order(action.order.command, list(tags)) if action.name == "invalidate_tags" else action.order


def former(action: Action, result: object) -> Order | None:
    """What puts things back as a process has told that they were; None where nothing needs to be."""
    order = action.order
    if not action.reversible or order is None or not isinstance(result, dict):
        return None
    before = result.get("before")
    if order.command == "cache_ttl":
        factors = {name: one for name, one in before.items() if name} if isinstance(before, dict) else {}
        return Order("cache_ttl", {"factors": dict(list(factors.items())[:50])}) if factors else None
    return None if before == result.get("now") else Order(order.command, before)


def stock(action: Action) -> Order:
    """What puts things back where nobody knows how they were: as the process was started."""
    assert action.order is not None
    known: Mapping[str, Any] = {"cache_ttl": {"factors": {"": 1.0}}, "profiling": False}
    return Order(action.order.command, known.get(action.order.command))
