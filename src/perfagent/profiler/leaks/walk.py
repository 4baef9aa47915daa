"""A walk through everything that modules hold, in slices of a millisecond, that names the containers on the way.

What leaks is held by something that lives on: a module's global, an attribute of a class or of an object, a closure, a
default argument, a task that waits. So it is found from there, with its name, and no pause is longer than a slice:
`gc.get_objects` stops the program for 15 ms where there are a million objects, and `gc.get_referrers` does so for each
step. What a running function has in its local variables is not seen, for to ask for it may keep it alive.
"""

from __future__ import annotations

import gc
import sys
from gc import is_tracked
from types import FunctionType, ModuleType
from typing import NamedTuple

from perfagent.profiler.leaks import names, objects
from perfagent.runtime import callers, inert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from perfagent.profiler.leaks.names import Place, Step

MOST = 40_000  # objects of a walk: 3 MB meanwhile
MOST_OF_ROOT = 8_000
DEEPEST = 14
STEP = 100  # objects between two looks at the clock
OURS = ("perfagent", "_perfagent")


class Node(NamedTuple):
    """An object that was met, by its position in the walk of its root."""

    walk: Walk
    position: int

    @property
    def found(self) -> Any:
        """The object itself, until the walk goes on to the next root."""
        return self.walk.met[self.position]

    def chain(self) -> list[Any]:
        """The objects from the root down to it."""
        position, chain = self.position, []
        while position >= 0:
            chain.append(self.walk.met[position])
            position = self.walk.parents[position]
        return chain[::-1]

    def way(self) -> tuple[list[Step], Place | None]:
        """How it is reached; see `names.way`."""
        return names.way(self.walk.root, self.chain())


class Walk:
    """One walk.

    Args:
        visit: called with each container that is met, its kind and its length.
        roots: names of modules, and how many of them are the program's own; all there are when left out.
        least: entries of a container that is told of.
        everything: whether to call it with other objects, too, with "" and -1.
        most: how many objects at most; `most_of_root`, of one module.
    """

    def __init__(
        self,
        visit: Callable[[Node, str, int], object],
        roots: tuple[list[str], int] | None = None,
        *,
        least: int = 0,
        everything: bool = False,
        most: int = MOST,
        most_of_root: int = MOST_OF_ROOT,
    ) -> None:
        self.visit = visit
        self.least = least
        self.everything = everything
        self.most, self.most_of_root = most, most_of_root
        self.root = ""
        self.met: list[Any] = []
        self.parents: list[int] = []
        self.visited: set[int] = {id(vars(module)) for module in _modules().values()}
        self.visited.update(map(id, (self.met, self.parents, self.visited, sys.modules)))
        self.base = len(self.visited)
        self._roots, self._own = roots_of_program() if roots is None else roots
        self._whole = False
        self._steps = self._walk()

    def advance(self, until: Callable[[], bool]) -> bool:
        """Goes on until `until()`, which is asked every now and then; returns whether there is more."""
        return any(until() for _ in self._steps)

    def close(self) -> None:
        """Lets go of everything."""
        self._steps.close()
        self.visited.clear()

    @property
    def complete(self) -> bool:
        """Whether it has not met more than it may."""
        return len(self.visited) - self.base <= self.most

    def _walk(self) -> Any:
        try:
            for number, root in enumerate(self._roots):
                self.root = root
                self._whole = number < self._own
                yield from self._from(root)
                self.met.clear()
                self.parents.clear()
                if not self.complete:
                    return
        finally:
            self.met.clear()
            self.parents.clear()

    def _from(self, root: str) -> Iterator[None]:
        module = sys.modules.get(root)
        if root == names.TASKS:
            self._add(-1, names.tasks())
        elif module is not None and issubclass(type(module), ModuleType):
            self.met.append(vars(module))
            self.parents.append(-1)
        depths = [0] * len(self.met)
        position = 0
        while position < len(self.met) and position < self.most_of_root:
            if position % STEP == STEP - 1:
                yield
            depth = depths[position] + 1
            below = self._look(position)
            if depth <= DEEPEST:
                self._add(position, below)
                depths.extend([depth] * (len(self.met) - len(depths)))
            position += 1

    def _look(self, position: int) -> Collection[Any]:
        """Tells of an object; returns what it refers to."""
        found = self.met[position]
        kind = type(found)
        if not position and self.root != names.TASKS:
            return list(found.values())
        container = objects.container_kind(kind)
        if container is None:
            if self.everything:
                self.visit(Node(self, position), "", -1)
            return objects.followed(found, kind, self._whole)
        length = container[1](found)
        if length >= self.least:
            self.visit(Node(self, position), container[0], length)
        below = objects.children(found, container[0])
        if id(kind) not in objects.PLAIN and length <= objects.CHILDREN:  # a subclass, with attributes of its own
            below += gc.get_referents(found)
        return below

    def _add(self, parent: int, below: Collection[Any]) -> None:
        visited, met, parents, whole = self.visited, self.met, self.parents, self._whole
        for one in below:
            kind = type(one)
            if id(kind) in objects.ATOMIC or id(one) in visited:
                continue
            if kind is FunctionType and not whole and not (one.__closure__ or one.__defaults__ or one.__kwdefaults__):
                continue  # half of all objects of libraries
            if id(kind) in objects.PLAIN and not one:
                continue
            # The collector does not track what holds nothing, and neither dicts of texts and numbers nor bytearrays.
            if is_tracked(one) or kind is dict or kind is bytearray:
                visited.add(id(one))
                met.append(one)
                parents.append(parent)


def roots_of_program() -> tuple[list[str], int]:
    """The modules there are, the program's own first, then installed ones, then the standard library; and how many are
    its own.
    """
    own, others, standard = [], [], []
    for name, module in _modules().items():
        if name.partition(".")[0] in OURS:
            continue
        file = vars(module).get("__file__")
        if name == "__main__" or (isinstance(file, str) and callers.whose(file) == callers.OWN):
            own.append(name)
        elif isinstance(file, str) and "-packages" in file:
            others.append(name)
        else:
            standard.append(name)
    return [*own, names.TASKS, *others, *standard], len(own)


def is_ours(chain: list[Any]) -> bool:
    """Whether anything on the way to an object is the agent's own."""
    return any(inert.module_of(type(one)).startswith(OURS) for one in chain)


def _modules() -> dict[str, ModuleType]:
    # A copy is made at once; a list of pairs allocates, and a collection may run what imports, here or in a thread.
    return {name: module for name, module in sys.modules.copy().items() if type(module) is ModuleType}
