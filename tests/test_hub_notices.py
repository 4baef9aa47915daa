"""What agents noticed, as the hub tells it: whatever a notice holds, it is one finding, and none once it is over."""

from __future__ import annotations

import html
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub.analyse.notice_findings import GATHERED, WORDED
from perfagent.hub.api.economics import SUMS
from tests.browser import NARROW, WIDE, Visit
from tests.hub import logs, record, resource, span, traces

pytest_plugins = ["tests.browser"]

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub

SHOP = resource("shop", "shop-1")
FIGURES = (
    "share", "worst_seconds", "requests", "kind", "call", "after", "attempts", "rate", "alive", "per_minute", "what",
    "pauses", "runs", "again", "seconds", "entries", "gained", "entries_per_hour", "bytes_per_hour", "instance", "type",
    "entries_per_request", "bytes_per_entry", "endpoint", "site", "assigned", "filled", "level",
)  # fmt: skip
ODD = ("", " ", "nan", "inf", "-1e400", "1e308", 1e308, -5, 2**62, True, "<b>", "{}%s\x07\n", "x" * 5000)


def notice(kind: str, subject: object, ago: float = 5.0, text: str = "it was seen", **told: Any) -> dict[str, Any]:
    """The event of one notice; `__` in a name is a dot."""
    found = record(text, ago=ago, perfagent__notice__subject=subject, **told)
    return {**found, "eventName": f"perfagent.{kind}"}


def found(hub: ServedHub, kind: str, **asked: Any) -> list[dict[str, Any]]:
    """The findings of a kind."""
    return [one for one in hub.get("insights", **(asked or {"hours": 1}))["items"] if one["kind"] == kind]


def test_whatever_a_notice_holds_the_findings_are_told(hub: ServedHub) -> None:
    records = []
    for kind, (number, odd) in itertools.product([*WORDED, *GATHERED, "query.plan", "unheard_of"], enumerate(ODD)):
        told = {f"perfagent.{kind}.{name}": odd for name in FIGURES}
        place = {"code__file__path": odd, "code__line__number": odd, "code__function__name": odd}
        records.append(notice(kind, f"{number} {odd}", perfagent__notice__count=odd, **told, **place))
    records += [notice("blocked_loop", odd) for odd in ODD]
    hub.send("logs", logs(SHOP, *records))
    for path in ("insights", "recommendations", "overview", "causes", "processes/shop-1/memory"):
        assert hub.ask(path, params={"hours": 1}).status_code == 200, path
    told = {one["kind"] for one in hub.get("insights", hours=1)["items"]}
    assert {*WORDED, *GATHERED} - told <= {"memory_leak"}  # which is the finding memory_growth
    hub.alerts()


def test_a_notice_is_one_finding_however_often_and_by_whomever_it_was_seen_and_is_over_after_five_minutes(
    hub: ServedHub,
) -> None:
    subject = 'C:\\app "new"\\\U0001f40d.py:3 {"perfagent.notice.subject": "other"}\n'
    for number in (1, 2):
        who = resource("shop", f"shop-{number}")
        seen = [notice("unclosed", subject, ago, perfagent__notice__count=3) for ago in (1800, 100, 5)]
        hub.send("logs", logs(who, *seen, notice("unclosed", "gone", 301), notice("unclosed", "else", 5)))
    hub.send("logs", logs(resource("bank"), notice("unclosed", subject)))
    told = {(one["service"], one["subject"]): one for one in found(hub, "unclosed")}
    assert set(told) == {("shop", subject), ("shop", "else"), ("bank", subject)}
    assert told["shop", subject]["metrics"]["times"] == 18
    assert told["shop", subject]["last_seen"] - told["shop", subject]["first_seen"] == pytest.approx(1795, abs=2)
    (alone,) = found(hub, "unclosed", hours=1, service="bank")
    assert alone["metrics"]["times"] == 1


def test_whatever_is_told_of_a_cache_the_findings_are_told(hub: ServedHub) -> None:
    for odd in ("inf", "nan", 1e308, -5.0, "x"):
        told = {f"perfagent__cache__{name}": odd for name in (*SUMS, "seconds", "size", "saved_seconds", "watched")}
        place = {"code__file__path": "/a.py", "code__line__number": odd}
        for shape in ("", "price:{}"):
            one = record(
                "told", cache__system="redis", cache__name=f"{odd}", perfagent__cache__shape=shape, **told, **place
            )
            hub.send("logs", logs(SHOP, {**one, "eventName": "perfagent.cache.economics"}))
    for path in ("caches/economics", "caches", "insights"):
        assert hub.ask(path, params={"hours": 1}).status_code == 200, path


def test_all_that_an_agent_gave_up_is_one_finding(hub: ServedHub) -> None:
    for ago, lever, means in ((200, "rate", "5 samples a second"), (60, "traces", "one trace in 2 is sent")):
        told = {"perfagent__overhead__means": means, "perfagent__overhead__share": 0.02}
        hub.send(
            "logs", logs(SHOP, notice("overhead", lever, ago, f"perfagent takes 2 %: {means} from now on", **told))
        )
    (one,) = found(hub, "overhead")
    assert one["evidence"] == "perfagent takes 2 %; for that 5 samples a second and one trace in 2 is sent"
    assert one["last_seen"] - one["first_seen"] == pytest.approx(140, abs=2)
    whole = "5 samples a second; keys are not watched; one trace in 4 is sent"
    told = {"perfagent__overhead__means": "one trace in 4 is sent", "perfagent__overhead__given_up": whole}
    hub.send("logs", logs(SHOP, notice("overhead", "traces", 5, "perfagent takes 3 %: one trace in 4 is sent", **told)))
    (one,) = found(hub, "overhead")
    assert one["evidence"].endswith("for that 5 samples a second, keys are not watched and one trace in 4 is sent")


@pytest.fixture
def twelve(hub: ServedHub) -> ServedHub:
    """A hub with twelve findings."""
    kept = {"code__file__path": "/srv/shop/orders.py", "code__function__name": "order"}
    for line in range(1, 13):
        hub.send("logs", logs(SHOP, notice("unclosed", f"/srv/shop/orders.py:{line}", code__line__number=line, **kept)))
    hub.send("traces", traces(SHOP, *(span(number, ago=20) for number in range(1, 20))))
    return hub


def test_the_overview_tells_how_many_findings_it_leaves_out(twelve: ServedHub, run_program: RunProgram) -> None:
    told = twelve.get("overview", hours=1)
    assert (len(told["findings"]), told["findings_total"]) == (10, len(twelve.get("insights", hours=1)["items"]))
    left = told["findings_total"] - 10
    env = {"PERFAGENT_HUB_URL": twelve.url, "PERFAGENT_HUB_TOKEN": twelve.access.token("viewer")}
    shown = run_program("perfagent", "dashboard", "--hours", "1", env=env).check()
    assert f"{left} more: {twelve.url}" in shown
    assert "#/overview?findings=all&from=-1h" in shown
    document = run_program("perfagent", "report", "--hours", "1", "--format", "html", env=env).check()
    assert all(html.escape(one["title"]) in document for one in twelve.get("insights", hours=1)["items"])


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light")])
def test_the_page_leads_from_the_worst_findings_to_all_of_them(
    twelve: ServedHub, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    left = twelve.get("overview", hours=1)["findings_total"] - 10
    with Visit(browser, twelve, size, scheme) as visit:
        visit.open("", "overview")
        assert visit.page.locator(".finding").count() == 10
        visit.keep(f"findings-{size[0]}-{scheme}")
        visit.page.get_by_role("link", name=f"{left} more").click()
        visit.until(f"document.querySelectorAll('.finding').length === {10 + left}")
        visit.width_fits()
        visit.keep(f"findings-all-{size[0]}-{scheme}")
        visit.page.get_by_role("link", name="The 10 worst alone").click()
        visit.until("document.querySelectorAll('.finding').length === 10")
        visit.check()


@pytest.mark.slow
def test_names_that_are_html_are_text_and_long_ones_fit_a_narrow_page(hub: ServedHub, browser: Browser) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    path = f"/srv/{'a_rather_long_name_of_a_folder/' * 6}{evil}/module.py"
    place = {"code__file__path": path, "code__line__number": 7, "code__function__name": evil}
    for kind in WORDED:
        hub.send("logs", logs(SHOP, notice(kind, f"{path}:7", text=evil, code__stacktrace=f"{path}\n" * 9, **place)))
    hub.send("traces", traces(SHOP, *(span(number, ago=20) for number in range(1, 20))))
    for size in (WIDE, NARROW):
        with Visit(browser, hub, size) as visit:
            visit.open("", "overview")
            visit.page.get_by_text("a_rather_long_name").first.wait_for()
            for each in visit.page.locator("main details > summary").all()[:20]:
                if each.is_visible():
                    each.click()
            visit.keep(f"notices-{size[0]}")
            visit.width_fits()
            assert "owned" not in visit.page.title()
            assert visit.page.locator("main img").count() == 0
            visit.check()
