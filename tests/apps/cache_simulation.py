"""Plays caches of known size and time to live, watched by a model, beside caches that really have other ones.

Prints for each workload the largest difference between the hit ratios of these and what the model says of them, as
JSON. Which keys are watched follows from hash(): run it with PYTHONHASHSEED set.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import OrderedDict
from itertools import accumulate, count
from math import inf
from typing import TYPE_CHECKING

from perfagent.runtime import economics
from perfagent.runtime.economics.curve import FACTORS
from perfagent.runtime.economics.estimate import ratios
from perfagent.runtime.economics.model import Model
from perfagent.runtime.economics.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKUPS, RATE, WARM = 24_000, 100.0, 8_000  # look-ups, in a second, and those that only fill
EVERY = 100  # look-ups between two takes: a second's


class Exact:
    """A cache that drops the least recently used."""

    def __init__(self, size: float, ttl: float) -> None:
        self.size, self.ttl = size, ttl
        self.kept: OrderedDict[str, float] = OrderedDict()
        self.hits = 0

    def ask(self, key: str, now: float) -> bool:
        """Looks a key up, and sets it where it is not there."""
        if self.kept.get(key, -inf) > now:
            self.kept.move_to_end(key)
            return True
        self.kept[key] = now + self.ttl
        self.kept.move_to_end(key)
        if len(self.kept) > self.size:
            self.kept.popitem(last=False)
        return False


def play(keys: Callable[[], int], size: float = inf, ttl: float = inf, tells_size: bool = True) -> dict[str, float]:
    """The largest error of what the model says of other times, and of other sizes."""
    watched = economics.Watched("memory", "played", most=int(size) if tells_size and size < inf else 0)
    model, real = Model(watched), Exact(size, ttl)
    longer = [Exact(size, ttl * factor) for factor in FACTORS] if ttl < inf else []
    larger = [Exact(max(size * factor, 1), ttl) for factor in FACTORS] if size < inf else []
    moment, times = 0.0, random.Random(3)
    for number in range(LOOKUPS):
        moment += times.expovariate(RATE)
        key, ns = f"key:{keys()}", int(moment * 1e9)
        hit = real.ask(key, moment)
        watched.lookup(key, hit, ns, ns)
        if not hit:
            watched.store(key, ns, ns, 0, None if ttl == inf else ttl)
        for one in (*longer, *larger):
            one.hits += one.ask(key, moment) and number >= WARM
        if number % EVERY == EVERY - 1:
            model.take()
        if number == WARM - 1:
            model.begin()
    whole = Tally()
    for tally in model.tallies.values():
        whole.add(tally)
    asked = LOOKUPS - WARM
    errors = {"watched": 1 / model.stands_for}
    if longer:
        errors["ttl"] = _error(longer, ratios(whole.gets, whole.hits, whole.ttl_hits), asked)
    if larger:
        found = model.size_curve(whole)
        curve = found[1] if found is not None else [0.0] * len(FACTORS)
        errors["size"] = _error(larger, ratios(whole.gets, whole.hits, curve), asked)
    return errors


def _error(exact: list[Exact], told: list[float], asked: int) -> float:
    return max(abs(one.hits / asked - ratio) for one, ratio in zip(exact, told, strict=True))


def zipf(skew: float, draws: random.Random, number: int = 20_000) -> Callable[[], int]:
    """Keys of which the k-th is asked for as often as 1 / k ** skew."""
    sums = list(accumulate(1 / (rank + 1) ** skew for rank in range(number)))
    return lambda: bisect_left(sums, draws.random() * sums[-1])


def scan() -> Callable[[], int]:
    """A key only once."""
    return count(1_000_000).__next__


def loop(number: int) -> Callable[[], int]:
    """The same keys in the same order, again and again."""
    turns = count()
    return lambda: next(turns) % number + 10_000_000


def mixed(draws: random.Random) -> Callable[[], int]:
    """Some of each."""
    kinds = (zipf(1.0, draws), scan(), loop(3000))

    def draw() -> int:
        share = draws.random()
        return kinds[0 if share < 0.6 else 1 if share < 0.75 else 2]()

    return draw


def main() -> None:
    """Plays all."""
    draws = random.Random(1)
    print(
        json.dumps(
            {
                "zipf": play(zipf(1.0, draws), size=1000),
                "flat zipf of unknown size": play(zipf(0.8, draws), size=1000, tells_size=False),
                "zipf that expires": play(zipf(1.0, draws), ttl=60),
                "scan": play(scan(), size=1000, ttl=60),
                "loop": play(loop(3000), size=1000),
                "loop that expires": play(loop(3000), ttl=20),
                "mixed": play(mixed(draws), size=2000),
                "mixed that expires": play(mixed(draws), ttl=40),
                "mixed, both": play(mixed(draws), size=2000, ttl=100),
            }
        )
    )


if __name__ == "__main__":
    main()
