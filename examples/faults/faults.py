"""The ten faults, each in two variants: what is done to the running market, and what is the right answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from examples.faults.traffic import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from examples.faults.stage import Stage

    Change = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that can be provoked and taken away again.

    Args:
        name: of the fault, with its variant.
        cause: the kind of cause that is the right answer.
        about: words of which the right answer names one: a statement's table, a route, a service, a program.
        on: provokes it.
        off: takes it away.
        rates: requests a second where they differ from the usual ones.
    """

    name: str
    cause: str
    about: tuple[str, ...]
    on: Change
    off: Change
    rates: Mapping[str, float] = field(default_factory=dict)


def flagged(program: str = "market", **flags: Any) -> tuple[Change, Change]:
    """Sets flags of a program, and takes them back."""
    return lambda stage: stage.flag(program, **flags), lambda stage: stage.flag(program)


def statement(on: str, off: str) -> tuple[Change, Change]:
    """Runs a statement in the database, and the one that undoes it."""
    return lambda stage: stage.sql(on), lambda stage: stage.sql(off)


def release(**flags: Any) -> tuple[Change, Change]:
    """A new version with other code, and the one after it, with the former code again."""
    return lambda stage: stage.release("2.0.0", **flags), lambda stage: stage.release("2.0.1")


def held(statement: str, seconds: float, pause: float) -> tuple[Change, Change]:
    """A session that takes a lock again and again, as a job does that changes much in one transaction."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def hold(address: str) -> None:
        with psycopg.connect(address, application_name="stocktaking") as connection:
            while not ended.wait(pause):
                connection.execute(statement)  # type: ignore[call-overload]
                ended.wait(seconds)
                connection.rollback()

    def on(stage: Stage) -> None:
        ended.clear()
        threads.append(threading.Thread(target=hold, args=(stage.database,), daemon=True))
        threads[-1].start()

    def off(_: Stage) -> None:
        ended.set()
        threads.pop().join()

    return on, off


FAULTS = (
    Fault(
        "slow_query/a", "slow_query", ("reviews",),
        *statement("DROP INDEX reviews_product", "CREATE INDEX reviews_product ON reviews (product_id, written)"),
    ),
    Fault(
        "slow_query/b", "slow_query", ("order_lines",),
        *statement("DROP INDEX order_lines_order", "CREATE INDEX order_lines_order ON order_lines (order_id)"),
    ),
    Fault("lock/a", "lock", ("products",), *held("UPDATE products SET price = price", 3, 0.5)),
    Fault("lock/b", "lock", ("cart_items",), *held("LOCK TABLE cart_items IN EXCLUSIVE MODE", 1.5, 1)),
    Fault("leak/a", "memory_leak", ("market",), *flagged(newsletter=1500)),
    Fault("leak/b", "memory_leak", ("market",), *flagged(label_archive=600_000)),
    Fault("cpu_hog/a", "cpu", ("market",), *flagged(similar_at_once=True)),
    Fault("cpu_hog/b", "cpu", ("price", "market"), *flagged(instalment_rounds=2500)),
    Fault("n_plus_one/a", "n_plus_one", ("order_lines",), *release(lines_by_order=True)),
    Fault("n_plus_one/b", "n_plus_one", ("reviews",), *release(stars_by_product=True)),
    Fault("dead_cache/a", "cache", ("redis",), lambda stage: stage.close_cache(), lambda stage: stage.open_cache()),
    Fault("dead_cache/b", "cache", ("redis",), *flagged(keys_by_release=True)),
    Fault("slow_dependency/a", "slow_dependency", ("warehouse",), *flagged("warehouse", walk=0.9)),
    Fault("slow_dependency/b", "slow_dependency", ("bank", "/charges"), *flagged("bank", clearing=2.0)),
    Fault("error_burst/a", "errors", ("price",), *flagged(tax={"AT": 20, "DE": 19, "FR": 20})),
    Fault(
        "error_burst/b", "errors", ("/orders/{order_id}", "order_lines"),
        *statement(
            "ALTER TABLE order_lines RENAME COLUMN price TO unit_price",
            "ALTER TABLE order_lines RENAME COLUMN unit_price TO price",
        ),
    ),
    Fault("loop_block/a", "blocked_loop", ("market", "delivery"), *flagged(label_printer=0.35)),
    Fault("loop_block/b", "blocked_loop", ("market", "points"), *flagged(points_of_all=True)),
    Fault(
        "pool_starvation/a", "pool", ("market", "postgresql"), *flagged(charge_first=True),
        {**ROUTES, "POST /customers/{customer}/orders": 12},
    ),
    Fault("pool_starvation/b", "pool", ("market", "postgresql"), *flagged(signed_statements=4)),
)  # fmt: skip
"""Names of flags, routes and tables tell nothing of the fault: what the hub says must come from behaviour."""
