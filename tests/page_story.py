"""What the tests of the page send: two services with a repeated query, failures, logs, vital signs, a cache, a hostile
name and a trace of 1,500 spans. The figures that the page must show stand here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import hub_story
from tests.hub import counter, gauge, histogram, level, logs, metrics, record, resource, span, traces

if TYPE_CHECKING:
    from tests.hub import ServedHub

ORDERS, RATINGS, FAILED = hub_story.ORDERS, hub_story.RATINGS, hub_story.FAILED
SLOWEST = hub_story.SLOWEST
BIG = f"{0x9000:032x}"
BIG_SPANS = 1500
HOSTILE = f"{0x9900:032x}"
SCRIPT = "<script>window.broken=1</script><img src=x onerror=window.broken=2>"
BIDI = "\u202eGPJ.exe"  # "exe.JPG" to whoever trusts the direction
EMOJI = "\U0001f469\u200d\U0001f680 Zürich 東京"
LONG = "x" * 10_000
MEMORY, CPU = 184e6, 0.37
HITS, MISSES = 120, 40


def send(hub: ServedHub) -> None:
    """Sends everything; returns when it is stored."""
    hub_story.send(hub.url, hub.access.token("agent"))
    shop = resource("shop", host__name="server-1", process__pid=4001, process__runtime__version="3.11.7")
    hub.send("traces", _big(shop))
    hub.send("traces", _hostile(shop))
    failed = f"query failed: {SCRIPT}"
    story = (record(failed, 17, trace=0x9900), record("stock is low", 13), record("order 1042 was placed", 9))
    hub.send("logs", logs(shop, *story))
    bounds = [0.001, 0.005, 0.01, 0.05]
    hub.send(
        "metrics",
        metrics(
            shop,
            gauge("process.cpu.utilization", CPU),
            level("process.memory.usage", MEMORY, unit="By"),
            level("process.thread.count", 12, unit="{thread}"),
            gauge("process.uptime", 600, unit="s"),
            histogram("perfagent.eventloop.lag", bounds, [90, 6, 3, 1, 0], 0.2),
            counter("perfagent.cache.hits", HITS, unit="{hit}", cache__name="prices"),
            counter("perfagent.cache.misses", MISSES, unit="{miss}", cache__name="prices"),
            counter("deprecated_function_calls_total", 7, unit="1", function="shop.pricing.old_price"),
        ),
    )


def _big(shop: dict[str, object]) -> dict[str, object]:
    trace = int(BIG, 16)
    spans = [span(0x900000, "GET /export", trace=trace, ms=4000, ago=8)]
    for number in range(1, BIG_SPANS):
        parent = 0x900000 + (number // 10) * 10 if number % 10 else 0x900000
        name = f"step {number}" if number % 10 else f"part {number // 10}"
        spans.append(span(0x900000 + number, name, trace=trace, parent=parent, kind=1, ago=8 - number / 400, ms=2))
    return traces(shop, *spans)


def _hostile(shop: dict[str, object]) -> dict[str, object]:
    trace = int(HOSTILE, 16)
    told: dict[str, Any] = {SCRIPT: SCRIPT, "bidi": BIDI}
    root = span(0x9900, f"GET /{SCRIPT}", trace=trace, ms=30, **told)
    names = (BIDI, EMOJI, LONG, "\x00\x1b[31mred", "${7*7}{{7*7}}")
    below = [span(0x9901 + at, name, trace=trace, parent=0x9900, kind=1, ms=2) for at, name in enumerate(names)]
    return traces(shop, root, *below)
