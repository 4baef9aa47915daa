"""Simulated truth: series and runs whose differences are known, with the noise that real programs have."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

import numpy as np

from perfagent.hub.analyse.side import Called, Side, Subject

Values = list[float]


def correlated(
    count: int, rho: float, deviation: float, random: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """AR(1) noise about 0, whose neighbours correlate by `rho`."""
    shocks = random.normal(0, deviation * math.sqrt(1 - rho * rho), count)
    found = np.empty(count)
    last = random.normal(0, deviation)
    for place in range(count):
        last = found[place] = rho * last + shocks[place]
    return found


class Operation(NamedTuple):
    """What a simulated service does: median in ms, spread of its logarithm, and calls a block."""

    kind: str
    name: str
    median: float
    spread: float
    calls: int


SHOP = (
    Operation("endpoint", "GET /busy", 40, 0.5, 200),
    Operation("endpoint", "GET /quick", 5, 0.4, 60),
    Operation("endpoint", "GET /heavy", 120, 0.8, 60),
    Operation("endpoint", "GET /rare", 300, 0.7, 5),
    Operation("query", "SELECT a", 2, 0.9, 200),
    Operation("query", "SELECT b", 15, 0.6, 20),
    Operation("dependency", "GET payments", 30, 0.5, 60),
)


def run(
    seed: int,
    *,
    slower: float = 1.0,
    rho: float = 0.5,
    deviation: float = 0.05,
    blocks: int = 60,
    between: float = 0.01,
) -> Side:
    """A run of the shop, in which the busy endpoint is `slower` times slower.

    Args:
        rho: how much one minute resembles the one before.
        deviation: how much minutes differ, half of it in all operations together.
        between: how much runs differ for no reason.
    """
    random = np.random.default_rng(seed)
    side = Side(f"run {seed}", 0, 60 * blocks, 60, blocks)
    share = deviation / math.sqrt(2)
    common = correlated(blocks, rho, share, random)
    for operation in SHOP:
        away = common + correlated(blocks, rho, share, random)
        median = operation.median * math.exp(random.normal(0, between))
        median *= slower if operation.name == "GET /busy" else 1
        calls = random.poisson(operation.calls, blocks)
        block = np.repeat(np.arange(blocks), calls)
        logs = math.log2(median * 1e6) + (
            away[block] + operation.spread * random.standard_normal(len(block))
        ) / math.log(2)
        keys, counted = np.unique(block * 10_000 + np.floor(8 * logs).astype(int), return_counts=True)
        counts: list[dict[int, float]] = [{} for _ in range(blocks)]
        for key, number in zip(keys.tolist(), counted.tolist(), strict=True):
            counts[key // 10_000][key % 10_000] = float(number)
        errors = random.binomial(calls, np.minimum(0.01 * np.exp(6 * away), 1)).astype(float).tolist()
        side.called[Subject("shop", operation.kind, operation.name)] = Called(counts, errors)
    requests = side.requests("shop")
    process = Subject("shop", "process")
    memory = 100e6 * math.exp(random.normal(0, between)) * np.exp(correlated(blocks, 0.9, 0.02, random))
    side.levels[process, "memory"] = memory.tolist()
    work = np.array(requests) * 2 * np.exp(correlated(blocks, rho, deviation, random))
    side.ratios[process, "CPU time"] = (work.tolist(), requests)
    hits = np.array(requests) / (1 + np.exp(-1 - correlated(blocks, 0.7, 0.3, random)))
    side.ratios[Subject("shop", "cache", "prices"), "hit rate"] = (hits.tolist(), requests)
    return side


class Course(NamedTuple):
    """A series and the truth about it: how far its level moves from begin to end, as a share of the begin."""

    kind: str
    times: Values
    values: Values
    move: float


KINDS = ("white", "correlated", "season", "step", "heavy")


def course(seed: int, stable: float = 0.5) -> Course:
    """A random series of one of KINDS; `stable` of them move by less than a tenth."""
    random = Random(seed)
    kind = random.choice(KINDS)
    count = random.choice((72, 144)) if kind == "season" else random.choice((10, 20, 40, 60, 120))
    step = 3 * 86_400 / count if kind == "season" else 60.0
    if random.random() < stable:
        move = random.choice((0.0, random.uniform(-0.095, 0.1)))
    else:
        move = max(random.choice((-1, 1)) * math.exp(random.uniform(math.log(0.1), 0.0)), -0.6)
    noise = 100 * math.exp(random.uniform(math.log(0.01), math.log(0.4)))
    rho = {"correlated": random.choice((0.3, 0.6, 0.85)), "season": 0.3, "step": 0.3}.get(kind, 0.0)
    place, phase = random.uniform(0.15, 0.85) * count, random.uniform(0, 2 * math.pi)
    away, values = random.gauss(0, 1), []
    times = [step * number for number in range(count)]
    for number, time in enumerate(times):
        shock = random.gauss(0, 1)
        if kind == "heavy":
            shock /= math.sqrt(random.gammavariate(1.25, 1 / 1.25))  # Student's t, 2.5 degrees of freedom
        away = rho * away + math.sqrt(1 - rho * rho) * shock
        moved = float(number >= place) if kind == "step" else number / (count - 1)
        level = 100 * (1 + move * moved)
        if kind == "season":
            level += 40 * math.sin(2 * math.pi * time / 86_400 + phase) + 10 * math.sin(4 * math.pi * time / 86_400)
        values.append(level + noise * away)
    return Course(kind, times, values, move)
