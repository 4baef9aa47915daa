"""Tells every minute what caches were worth: an event of OTLP's logs for each cache and for the most telling shapes."""

from __future__ import annotations

from hashlib import blake2b

from perfagent import settings
from perfagent.runtime import companions, economics, governor, log, outbox
from perfagent.runtime.clock import monotonic, time_ns
from perfagent.runtime.companions import allocate_lock
from perfagent.runtime.economics import LOOKUP, STORE
from perfagent.runtime.economics.curve import FACTORS
from perfagent.runtime.economics.estimate import ratios
from perfagent.runtime.economics.model import WATCHED, Model
from perfagent.runtime.economics.tally import Tally
from perfagent.runtime.metric import GAUGE, registry
from perfagent.runtime.span import Scope
from perfagent.runtime.watch import Look, watch
from perfagent.settings.economics import EconomicsSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from perfagent.runtime.economics.model import Shape
    from perfagent.runtime.pipeline import Payload, Pipeline

    Observe = Callable[[], Iterator[tuple[float, dict[str, object]]]]

EVENT = "perfagent.cache.economics"
JOINT = "\u2060"
"""What the parts of a shape are joined by: `session:{}` in one piece would be taken for a secret and its value."""
TAKE = 1.0  # seconds between two looks at what happened
FIRST, EVERY = 10.0, 60.0  # seconds until the first report, and between two others
LAST = 0.3  # seconds that the end of the process waits for a look that is under way
SHAPES = 10  # of a cache, in one report
HOTTEST = 10
INFO = 9  # OTLP's severity number
LONGEST_KEY = 128
COST = 300  # ns that an event takes on the program's thread, one with another
HALVINGS = 4  # steps of the lever: from 4096 watched keys to 256

_scope = Scope("perfagent.cache")
P = "perfagent.cache."


class Economics(companions.Companion):
    """The models of this process' caches."""

    def __init__(self) -> None:
        self.keys = EconomicsSettings.current().keys
        self.models: dict[economics.Watched, Model] = {}
        self.most = WATCHED
        self._working = allocate_lock()
        self._began = monotonic()
        self._due = self._began + FIRST
        self._told: dict[economics.Watched, dict[str, object]] = {}

    def install(self) -> None:
        """Begins to look and to tell."""
        watch.add(Look("cache economics", TAKE, self.look))
        outbox.sources.insert(0, self.at_the_end)  # before the one that sends log records
        companions.all_of_them.append(self)
        governor.levers.append(governor.Lever("cache keys", governor.DETAIL, HALVINGS, self.lower))
        governor.costs["cache keys"] = self.cost
        declare(settings.current().namespace, self._what_if, self._saved)

    def reset(self) -> None:
        """In a forked child: see Companion."""
        self._working = allocate_lock()
        economics.reset()
        self.models.clear()
        self._told = {}
        self._began = monotonic()
        self._due = self._began + FIRST

    def lower(self, step: int) -> str:
        """Watches half of the keys with each step."""
        self.most = WATCHED >> step
        for model in list(self.models.values()):
            model.most = self.most
        return f"{self.most} keys of a cache are watched"

    def cost(self) -> int:
        """CPU ns that the program's threads have spent on being watched so far, by what an event costs."""
        return sum(model.stood_for for model in list(self.models.values())) * COST

    def look(self, last: bool = False) -> None:
        """Takes in what has happened, and tells where it is time."""
        if not self._working.acquire(timeout=LAST if last else 0):
            return
        try:
            for cache in list(economics.caches.values()):
                model = self.models.get(cache)
                if model is None:
                    if not cache.events:
                        continue
                    model = self.models[cache] = Model(cache)
                    model.most = self.most
                    model.remembers_names = self.keys != "shape"
                model.take()
            now = monotonic()
            if last or now >= self._due:
                self._report(now - self._began)
                self._began, self._due = now, now + EVERY
        finally:
            self._working.release()

    def at_the_end(self, pipeline: Pipeline) -> list[Payload]:
        """Tells what is left when the process ends."""
        if pipeline.stopping:
            self.look(last=True)
        return []

    def _report(self, seconds: float) -> None:
        log.connect()
        for model in self.models.values():
            if model.tallies:
                self._tell(model, seconds)
            else:
                self._told.pop(model.watched, None)

    def _tell(self, model: Model, seconds: float) -> None:
        cache, whole = model.watched, Tally()
        for tally in model.tallies.values():
            whole.add(tally)
        shared: dict[str, object] = {"cache.system": cache.system, "cache.name": cache.name, P + "seconds": seconds}
        if cache.address:
            shared[P + "address"] = cache.address
        told = {**shared, **_figures(whole), P + "watched": 1 / model.stands_for, P + "lost": cache.lost}
        cache.lost = 0
        # What a hit saves differs between shapes: so what the cache saves is the sum over them.
        saved = [one for one in (tally.saved for tally in model.tallies.values()) if one is not None]
        known = sum(tally.gets for tally in model.tallies.values() if tally.saved is not None)
        told[P + "saved_seconds"], told[P + "priced_gets"] = sum(saved), known
        found = model.size_curve(whole)
        if found is not None:
            told[P + "size"], told[P + "size_hits"] = found
            told[P + "size_known"] = bool(cache.most)
        hottest = model.frequent.top(HOTTEST)
        told[P + "hottest"] = [self._named(model, *one) for one, _ in hottest]  # type: ignore[misc]
        told[P + "hottest_gets"] = [least for _, least in hottest]
        told[P + "hottest_error"] = model.frequent.error
        self._told[cache] = told
        _emit(told)
        by_gets = sorted(model.tallies.items(), key=lambda pair: -(pair[1].gets + pair[1].sets))
        for shape, tally in by_gets[:SHAPES]:
            _emit({**shared, P + "shape": JOINT.join(shape), **_figures(tally), **_places(model, shape)})
        model.begin()

    def _named(self, model: Model, identity: int, shape: Shape) -> str:
        text = JOINT.join(shape)
        name = model.names.get(identity)
        if name is None or self.keys == "shape":
            return text
        if self.keys == "hash":
            return f"{text} #{blake2b(repr(name).encode(), digest_size=4).hexdigest()}"
        return name[:LONGEST_KEY]

    def _what_if(self, curve: str) -> Observe:
        def observe() -> Iterator[tuple[float, dict[str, object]]]:
            for cache, told in self._told.copy().items():
                if P + curve in told:
                    figures: Any = told
                    found = ratios(figures[P + "gets"], figures[P + "hits"], figures[P + curve])
                    for factor, ratio in zip(FACTORS, found, strict=True):
                        yield ratio, {**_named_by(cache), P + "factor": factor}

        return observe

    def _saved(self) -> Iterator[tuple[float, dict[str, object]]]:
        for cache, told in self._told.copy().items():
            if told[P + "priced_gets"]:
                yield told[P + "saved_seconds"] / told[P + "seconds"], _named_by(cache)  # type: ignore[operator]


def _named_by(cache: economics.Watched) -> dict[str, object]:
    return {"cache.system": cache.system, "cache.name": cache.name}


def _figures(tally: Tally) -> dict[str, object]:
    found: dict[str, object] = {
        P + name: getattr(tally, name)
        for name in (
            "gets", "hits", "sets", "lookup_seconds", "set_seconds", "bytes", "set_bytes", "fills", "fill_seconds",
            "duplicates", "wasted_seconds", "peak", "unread", "ttls", "ttl_seconds",
        )
    }  # fmt: skip
    found.update({P + cause: number for cause, number in tally.misses.items()})
    if tally.ttls:
        found[P + "ttl_hits"] = tally.ttl_hits
    return found


def _places(model: Model, shape: Shape) -> dict[str, object]:
    found: dict[str, object] = {}
    for kind, prefix in ((STORE, "set."), (LOOKUP, "")):
        place = model.places.get((shape, kind))
        if place is not None:
            found.update({f"{P}{prefix}{name}" if prefix else name: value for name, value in place.items()})
    return found


def _emit(attributes: dict[str, object]) -> None:
    moment = time_ns()
    record = log.LogRecord(_scope, moment, moment, INFO, "INFO", "", attributes, None)
    record.event_name = EVENT
    log.emit(record)


def declare(namespace: str, what_if: Callable[[str], Observe], saved: Observe) -> None:
    """Registers `<ns>.cache.saved` and `<ns>.cache.what_if.*`; arguments are what observes each."""
    name = f"{namespace}.cache"
    keys = ("cache.name", "cache.system", "perfagent.cache.factor")
    description = "Share of look-ups that would be hits with `perfagent.cache.factor` times the {} (estimated)."
    for what in ("ttl", "size"):
        registry.make(
            _scope, GAUGE, f"{name}.what_if.{what}.hit_ratio", "1", description.format(what),
            callback=what_if(f"{what}_hits"), keys=keys,
        )  # fmt: skip
    registry.make(
        _scope, GAUGE, f"{name}.saved", "s/s", "Seconds that a cache saves a second (estimated); less than 0 where "
        "it costs more than it saves.", callback=saved, keys=keys[:2],
    )  # fmt: skip
