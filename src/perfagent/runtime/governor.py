"""What the agent costs, and what it gives up to stay below a ceiling.

Each feature that can do with less registers a lever. The governor, a look of the watching thread, lowers them one step
at a time in their order, and raises them again where there is room; what is given up is told. Errors are never given
up.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RATE, DETAIL, SAMPLING = 1, 2, 3
"""In which order levers are lowered: the rate of looking, then detail, then which traces are kept."""


class Lever:
    """Something that the agent can do less of.

    Args:
        name: for people, such as "profiler rate".
        order: RATE, DETAIL or SAMPLING.
        steps: how many times it can be lowered; at the last one it costs as little as can be.
        set: takes the step, 0 for everything, and returns what that means for people, such as "10 samples a second".
    """

    __slots__ = ("name", "order", "set", "step", "steps")

    def __init__(self, name: str, order: int, steps: int, set: Callable[[int], str]) -> None:  # noqa: A002
        self.name = name
        self.order = order
        self.steps = steps
        self.set = set
        self.step = 0


levers: list[Lever] = []
"""Of this process."""
costs: dict[str, Callable[[], int]] = {}
"""CPU time in ns that a feature's hooks have taken in the program's threads so far, by its name, where it knows."""
