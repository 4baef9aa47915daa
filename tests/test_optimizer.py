"""The optimizer finds what is cheap in few trials, stays within the bounds, and looks again when the work changes."""

from __future__ import annotations

import json
import math
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import perfagent
from perfagent.optimizer import Optimizer, drift
from perfagent.optimizer.search import Search
from perfagent.optimizer.space import Range
from perfagent.runtime import metric, pressure
from perfagent.settings.data import DataSettings
from perfagent.settings.optimizer import OptimizerSettings
from tests.agent import agent_env

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunProgram
    from tests.otlp import Receiver

    Cost = Callable[[float, float], float]

BATCH = Range("batch_size", 1, 10_000, 100, "log")
WORKERS = Range("workers", 1, 16, 4)
SIZES = sorted({int(BATCH.value(step / 40)) for step in range(41)})
EXHAUSTIVE = len(SIZES) * 16
"""Trials that a search of every pair takes."""


def convex(batch: float, workers: float) -> float:
    return (20 / batch + 1 + batch / 400) * (1 / workers + 0.02 * workers)


def plateau(batch: float, workers: float) -> float:
    return max(1.0, 30 / batch + 0.5, batch / 3000) * max(1 / workers, 0.15)


def interaction(batch: float, workers: float) -> float:
    return 1 + 0.5 * math.log(batch * workers / 4000) ** 2 + 0.03 * abs(workers - 6)


def edge(batch: float, workers: float) -> float:
    return (1 + 100 / batch) / workers


def narrow(batch: float, workers: float) -> float:
    return 1 + 2 * math.log(batch / 2500) ** 2 + 0.1 * (workers - 12) ** 2


# The work, the noise of its time (standard deviation of the logarithm), and how many of 100 take five times as long.
WORKLOADS: dict[str, tuple[Cost, float, int]] = {
    "convex": (convex, 0.05, 0),
    "plateau": (plateau, 0.05, 0),
    "noisy": (convex, 0.2, 0),
    "outliers": (convex, 0.05, 10),
    "interaction": (interaction, 0.05, 0),
    "edge": (edge, 0.05, 0),
    "narrow": (narrow, 0.05, 0),
}


def search(name: str, seed: int) -> tuple[float, int]:
    """By how much what a search finds is dearer than the best of all, as a ratio; and how many trials it took."""
    cost, noise, slow = WORKLOADS[name]
    drawn = random.Random(f"{name} {seed}")
    found = Search((BATCH, WORKERS), seed)
    while not found.done:
        values = found.suggest()
        assert BATCH.low <= values[0] <= BATCH.high
        assert WORKERS.low <= values[1] <= WORKERS.high
        odd = 5 if drawn.randrange(100) < slow else 1
        found.tell(values, cost(*values) * math.exp(drawn.gauss(0, noise)) * odd)
    least = min(cost(batch, workers) for batch in SIZES for workers in range(1, 17))
    return cost(*found.best()) / least, found.count


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [*((name, 9) for name in WORKLOADS if name != "noisy"), ("noisy", 8)])
def test_nine_of_ten_searches_end_within_a_tenth_of_the_exhaustive_one(name: str, least: int) -> None:
    results = [search(name, seed) for seed in range(10)]
    assert sum(ratio <= 1.1 for ratio, _trials in results) >= least, results
    assert sorted(ratio for ratio, _trials in results)[5] <= 1.06
    assert max(trials for _ratio, trials in results) <= 40 < EXHAUSTIVE / 15


@pytest.mark.slow
def test_a_search_is_the_same_for_the_same_seed() -> None:
    assert search("convex", 3) == search("convex", 3)


def test_values_that_fail_are_avoided() -> None:
    found = Search((BATCH, WORKERS), 1)
    failures = 0
    while not found.done:
        batch, workers = found.suggest()
        fails = batch > 2000  # does not fit into memory
        failures += fails
        found.tell((batch, workers), math.inf if fails else edge(batch, workers))
    assert found.best()[0] <= 2000
    assert failures < found.count / 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"low": 10, "high": 10}, "two numbers"),
        ({"low": 0, "high": 10, "scale": "log"}, "above 0"),
        ({"low": 1, "high": 10, "scale": "cubic"}, "'linear' or 'log'"),
        ({"low": 1, "high": 10, "start": 11}, "start=11"),
        ({"low": 0.5, "high": 10}, "whole numbers"),
        ({"low": 1, "high": math.inf}, "two numbers"),
        ({"low": "1", "high": 10}, "low='1' is not accepted: a number"),
    ],
)
def test_bounds_that_do_not_fit_are_named(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        Optimizer(enabled=True).parameter("batch_size", **arguments)  # type: ignore[arg-type]
    assert "batch_size" in str(error.value)


def test_wrong_use_is_told() -> None:
    optimizer = Optimizer(enabled=True, folder=None)
    with pytest.raises(RuntimeError, match="nothing to tune"):
        optimizer.trial()
    optimizer.parameter("ttl", 1, 100, integer=False)
    with pytest.raises(ValueError, match="already"):
        optimizer.parameter("ttl", 1, 100)
    trial = optimizer.suggest()
    with pytest.raises(ValueError, match="one of seconds"):
        trial.report()
    for wrong in (0, -1, math.nan, math.inf, "1"):
        with pytest.raises(ValueError, match="above 0"):
            optimizer.suggest().report(wrong)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="too late"):
        optimizer.parameter("other", 1, 2)
    with pytest.raises(AttributeError, match="batch"):
        _ = trial.batch
    with pytest.raises(ValueError, match="trials=2"):
        Optimizer(trials=2)


def test_off_every_parameter_has_its_start_value_and_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(OptimizerSettings, "current", lambda: OptimizerSettings({}))
    monkeypatch.setattr(
        DataSettings, "current", lambda: DataSettings({"ANALYTICS_CHUNK_SIZE": "700", "ANALYTICS_MAX_WORKERS": "9"})
    )
    optimizer = perfagent.Optimizer("off", folder=str(tmp_path))
    optimizer.parameter("chunk_size", 10, 5000, scale="log")
    optimizer.parameter("max_workers", 1, 6)
    optimizer.parameter("ttl", 0, 60, integer=False)
    for _ in range(50):
        with optimizer.trial() as trial:
            assert (trial.chunk_size, trial["max_workers"], trial.ttl) == (700, 6, 30)
            assert not trial.is_experiment
    assert list(tmp_path.iterdir()) == []
    assert not optimizer.searching


def run(optimizer: Optimizer, cost: Callable[[float], float], times: int) -> list[float]:
    """Works so often; returns the values that were used."""
    used = []
    for _ in range(times):
        trial = optimizer.suggest()
        used.append(trial["batch_size"])
        trial.report(cost(trial["batch_size"]))
    return used


def valley(best: float) -> Callable[[float], float]:
    return lambda value: 1 + math.log(value / best) ** 2


def test_the_best_is_used_kept_and_taken_up_by_the_next_run(tmp_path: Path) -> None:
    def made() -> Optimizer:
        found = Optimizer("import", enabled=True, folder=str(tmp_path), seed=1)
        found.parameter("batch_size", 1, 10_000, 20, scale="log")
        return found

    first = made()
    run(first, valley(800), 3)  # a short program ends in the middle of its search
    second = made()
    used = run(second, valley(800), 60)
    assert second.searches == 1
    assert not second.searching
    assert len(used) - len([value for value in used if value == used[-1]]) < 28
    assert 600 < used[-1] < 1100
    assert second.parameters["batch_size"].value == used[-1]
    kept = json.loads((tmp_path / "import.json").read_text())
    assert kept["best"] == {"batch_size": used[-1]}
    third = made()
    assert set(run(third, valley(800), 20)) == {used[-1]}
    other = Optimizer("import", enabled=True, folder=str(tmp_path), seed=1)
    other.parameter("batch_size", 1, 100, 20, scale="log")
    assert run(other, valley(50), 1) == [20]  # other bounds: what was kept does not fit


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parameters": 1}', '{"best": {"batch_size": 1e9}, "measured": []}'])
def test_a_spoilt_file_is_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "import.json").write_text(text)
    optimizer = Optimizer("import", enabled=True, folder=str(tmp_path))
    optimizer.parameter("batch_size", 1, 100, 20)
    assert run(optimizer, valley(50), 1) == [20]


def test_it_looks_again_when_the_work_has_changed_and_not_for_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfagent.optimizer.COOLDOWN", 0.0)
    drawn = random.Random(5)
    optimizer = Optimizer("moving", enabled=True, folder=None, seed=2)
    optimizer.parameter("batch_size", 1, 10_000, 20, scale="log")
    noisy = [lambda value, best=best: valley(best)(value) * math.exp(drawn.gauss(0, 0.1)) for best in (50.0, 3000.0)]
    run(optimizer, noisy[0], 60)
    first = optimizer.parameters["batch_size"].value
    run(optimizer, noisy[0], 400)
    assert optimizer.searches == 1
    run(optimizer, noisy[1], 100)
    assert optimizer.searches == 2
    second = optimizer.parameters["batch_size"].value
    assert valley(50)(first) < 1.2
    assert valley(3000)(second) < 1.2


def test_drift_is_seen_in_what_is_far_beyond_the_noise_alone() -> None:
    drawn = random.Random(1)

    def alarms(scale: float, noise: float) -> bool:
        watch = drift.Drift()
        for _ in range(drift.WINDOW):
            watch.add(math.exp(drawn.gauss(0, noise)))
        return any(watch.add(scale * math.exp(drawn.gauss(0, noise))) for _ in range(40))

    assert sum(alarms(1.0, 0.3) for _ in range(100)) <= 12
    assert all(alarms(1.6, 0.05) for _ in range(100))
    assert not any(alarms(1.15, 0.02) for _ in range(100))


def test_threads_make_one_experiment_at_a_time_and_lose_none() -> None:
    optimizer = Optimizer("threads", enabled=True, folder=None, seed=3)
    optimizer.parameter("batch_size", 1, 1000, 20, scale="log")
    under_way, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        for _ in range(40):
            trial = optimizer.suggest()
            with lock:
                under_way[0] += trial.is_experiment
                most[0] = max(most[0], under_way[0])
            time.sleep(0.001)
            with lock:
                under_way[0] -= trial.is_experiment
            trial.report(valley(100)(trial["batch_size"]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert not optimizer.searching


def test_an_experiment_that_is_dropped_does_not_hold_up_the_next() -> None:
    optimizer = Optimizer("dropped", enabled=True, folder=None)
    optimizer.parameter("batch_size", 1, 1000, 20)
    held = optimizer.suggest()
    assert held.is_experiment
    assert not optimizer.suggest().is_experiment
    del held
    assert optimizer.suggest().is_experiment


def test_nothing_is_tried_while_memory_or_cpu_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = Optimizer("short", enabled=True, folder=None)
    optimizer.parameter("batch_size", 1, 1000, 20)
    monkeypatch.setattr(pressure, "level", pressure.EXCEEDED)
    assert set(run(optimizer, valley(100), 20)) == {20}


def test_a_block_is_timed_by_item_and_a_failing_one_counts_as_failed() -> None:
    optimizer = Optimizer("block", enabled=True, folder=None)
    optimizer.parameter("batch_size", 1, 1000, 20)
    with optimizer.trial() as trial:
        trial.items = 1000
        time.sleep(0.02)
    assert optimizer._search is not None
    (logarithm,) = optimizer._search.measured[20,]
    assert 0.02e-3 <= math.exp(logarithm) < 1e-3
    with pytest.raises(KeyError), optimizer.trial() as trial:
        raise KeyError
    assert optimizer._search.measured[trial["batch_size"],] == [math.inf]
    before = optimizer._search.count
    with optimizer.trial() as trial:
        trial.items = 0  # there was nothing to do
    assert optimizer._search.count == before


def test_values_and_trials_are_metrics() -> None:
    optimizer = Optimizer("metrics", enabled=True, folder=None)
    optimizer.parameter("batch_size", 1, 1000, 20)
    run(optimizer, valley(100), 40)
    value = metric.registry.instruments["perfagent.optimizer", "perfagent.optimizer.value"]
    series = value.of({"optimizer": "metrics", "parameter": "batch_size"})
    assert series.value == optimizer.best()["batch_size"]


def test_under_the_agent_the_values_are_sent(receiver: Receiver, run_program: RunProgram, tmp_path: Path) -> None:
    code = """if True:
        from perfagent import get_optimizer
        optimizer = get_optimizer("import")
        batch = optimizer.parameter("batch_size", 10, 1000, scale="log")
        for _ in range(5):
            with optimizer.trial() as trial:
                trial.items = trial.batch_size
        print(optimizer.enabled, get_optimizer("import") is optimizer)
    """
    env = agent_env(receiver, OPTIMIZER_ENABLED="true", PERFAGENT_HUB_DIR=str(tmp_path), ANALYTICS_CHUNK_SIZE="60")
    assert run_program("perfagent", "run", "python", "-c", code, env=env).check() == "True True\n"
    point = receiver.wait_for_metric("perfagent.optimizer.value")
    assert dict(point.attributes) == {"optimizer": "import", "parameter": "batch_size"}
    assert json.loads((tmp_path / "optimizer/import.json").read_text())["measured"][0][0] == [60]


@pytest.mark.slow
@pytest.mark.alone  # a ratio of times
def test_the_batch_size_of_real_inserts_is_nearly_as_good_as_the_best_of_all(tmp_path: Path) -> None:
    rows = [(number, "x" * 20) for number in range(4000)]

    def insert(batch: int) -> float:
        path = tmp_path / "rows.db"
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute("create table rows (id integer, text text)")
        begin = time.perf_counter()
        for at in range(0, len(rows), batch):
            database.executemany("insert into rows values (?, ?)", rows[at : at + batch])
            database.commit()
        seconds = time.perf_counter() - begin
        database.close()
        return seconds

    optimizer = Optimizer("inserts", enabled=True, folder=None, seed=4)
    optimizer.parameter("batch_size", 10, 4000, 20, scale="log")
    trials = 0
    while optimizer.searching:
        trial = optimizer.suggest()
        trial.report(insert(trial["batch_size"]))
        trials += 1
    found = int(optimizer.best()["batch_size"])

    assert trials <= 28
    others = (50, 100, 200, 400, 800, 1600, 2800, 4000)
    # In turns, so that a slow moment of the machine is one of all.
    rounds = [{batch: insert(batch) for batch in {20, found, *others}} for _ in range(5)]
    least = {batch: min(one[batch] for one in rounds) for batch in rounds[0]}
    assert least[20] > 2 * least[found], least
    assert least[found] < 1.5 * min(least.values()), least
