"""Real page loads in Chromium with the real web-vitals package, looked for in ClickHouse. Needs Chromium and npm: run by its name only."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.browser.chromium import ORDINARY_USER_AGENT, Page, chromium
from tests.browser.conftest import WRITE_KEY, Site
from tests.integration.worker.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

ORDINARY = (f"--user-agent={ORDINARY_USER_AGENT}", "--disable-blink-features=AutomationControlled")
#: Google's, https://web.dev/articles/vitals: good up to the first, poor above the second.
THRESHOLDS = {"LCP": (2500, 4000), "INP": (200, 500), "CLS": (0.1, 0.25), "FCP": (1800, 3000), "TTFB": (800, 1800)}


def address(site: str, gateway: str, path: str = "/recipes/8f3a21c0", **options: object) -> str:
    return f"{site}{path}?{urlencode({'gateway': gateway, 'key': WRITE_KEY, **options})}"


async def visit(page: Page, url: str) -> tuple[str, dict[str, float]]:
    """Load, let it jump, click once; the session's id, and each vital as the browser's own entries have it."""
    await page.open(url)
    await page.until("seen.shifts.length > 0 && seen.LCP > 0", "the page has jumped")
    await page.click("#cook")
    await page.until("seen.clicks.length > 0 && performance.getEntriesByName('feature_new-planner').length > 0", "the click was seen")
    # web-vitals looks at a click when nothing else is to do, within a second; a page that is left before has no INP.
    await page.evaluate("new Promise((resolve) => requestIdleCallback(resolve, { timeout: 1500 })).then(() => true)")
    script = """({ session: telemetry.sessionId, LCP: seen.LCP, FCP: seen.FCP, TTFB: seen.TTFB, INP: Math.max(...seen.clicks),
        CLS: seen.shifts.reduce((sum, shift) => sum + shift), feature: performance.getEntriesByName('feature_new-planner')[0].duration })"""
    values = await page.evaluate(script)
    return values.pop("session"), values


def events_of(stack: Stack, view: str, session: str, count: int) -> list[dict[str, Any]]:
    """Rows of a typed view, waited for."""
    sql = f"SELECT * FROM {view} WHERE session_id = '{session}'"
    return wait_until(lambda: rows if len(rows := stack.query(sql)) >= count else [], 30, f"{count} rows in {view}: {stack.query(sql)}")


@pytest.mark.parametrize("beacon", ["taken", "refused"])
async def test_five_vitals_are_the_browsers_own(stack: Stack, site: Site, tmp_path: Path, beacon: str) -> None:
    """A visit to a page gives each vital once, with the value that the browser's entries have, sent by beacon or else by fetch."""
    async with chromium(tmp_path, *ORDINARY) as page:
        session, seen = await visit(page, address(site.url, site.gateway, beacon=beacon))
        await page.open("about:blank")
        rows = await asyncio.to_thread(events_of, stack, "web_vital", session, 5)
    assert {row["name"]: row["value"] for row in rows} == {name: pytest.approx(seen[name], abs=0.001) for name in THRESHOLDS}
    assert len(rows) == 5
    for row in rows:
        good, poor = THRESHOLDS[row["name"]]
        assert row["rating"] == ("good" if row["value"] <= good else "needs-improvement" if row["value"] <= poor else "poor")
        assert (row["page"], row["device"], row["navigation_type"]) == ("/recipes/8f3a21c0", "desktop", "navigate")
        assert (row["service"], row["version"], row["environment"], row["flags"]) == ("web", "1.4.2", "test", {"new-planner": "B"})
        assert row["metric_id"].startswith("v6-")
    assert seen["INP"] >= 120
    assert seen["CLS"] > 0.05


async def test_pages_are_numbers_under_their_template(stack: Stack, site: Site, tmp_path: Path) -> None:
    """What the browser measured is in the panes and in the view of measurements under `/meals/:id`, by its own value."""
    async with chromium(tmp_path, *ORDINARY) as page:
        session, seen = await visit(page, address(site.url, site.gateway, "/meals/550e8400-e29b-41d4-a716-446655440000"))
        await page.open("about:blank")
        await asyncio.to_thread(events_of, stack, "web_vital", session, 5)
    measured = stack.query(f"SELECT name, value, page FROM web_vitals WHERE session_id = '{session}'")
    assert {row["name"]: row["value"] for row in measured} == {name: pytest.approx(seen[name], abs=0.001) for name in THRESHOLDS}
    assert {row["page"] for row in measured} == {"/meals/:id"}
    sql = "SELECT labels['name'] AS name, sum(count) AS n, sum(sum) AS total FROM panes WHERE labels['page'] = '/meals/:id' GROUP BY name"
    panes = await asyncio.to_thread(wait_until, lambda: rows if len(rows := stack.query(sql)) == 5 else [], 30, "five panes")
    assert {row["name"]: (row["n"], row["total"] / 1e6) for row in panes} == {
        name: (1, pytest.approx(seen[name], abs=0.001)) for name in THRESHOLDS
    }


async def test_what_is_reported_again_is_measured_once(stack: Stack, site: Site, tmp_path: Path) -> None:
    """Who looks at another tab and comes back to a page that jumps worse has one CLS: panes count both reports, the view has the last."""
    async with chromium(tmp_path, *ORDINARY) as page:
        session, seen = await visit(page, address(site.url, site.gateway, "/again"))
        await page.hide()
        await page.show()
        await page.until("performance.now() > seen.shiftedAt + 1500", "a jump would be one of its own")  # two within a second add up
        await page.evaluate("document.querySelector('#late').style.height = '500px'")
        await page.until("seen.shifts.length === 2", "the page has jumped again")
        worse = await page.evaluate("seen.shifts[1]")
        await page.open("about:blank")
        sql = f"SELECT metric_id, value FROM web_vital WHERE session_id = '{session}' AND name = 'CLS' ORDER BY occurred_at"
        rows = await asyncio.to_thread(wait_until, lambda: rows if len(rows := stack.query(sql)) == 2 else [], 30, "two reports of CLS")
    assert [row["value"] for row in rows] == [pytest.approx(seen["CLS"], abs=0.001), pytest.approx(worse, abs=0.001)]
    assert rows[0]["metric_id"] == rows[1]["metric_id"]
    measured = stack.query(f"SELECT value, reports FROM web_vitals WHERE session_id = '{session}' AND name = 'CLS'")
    assert measured == [{"value": rows[1]["value"], "reports": 2}]
    panes = "SELECT sum(count) FROM panes WHERE labels['page'] = '/again' AND labels['name'] = 'CLS'"
    await asyncio.to_thread(wait_until, lambda: stack.one(panes) == 2, 30, "both reports in the panes")


async def test_features_are_shown_and_timed(stack: Stack, site: Site, tmp_path: Path) -> None:
    """A feature's exposure, and the time the browser took between its marks."""
    async with chromium(tmp_path, *ORDINARY) as page:
        session, seen = await visit(page, address(site.url, site.gateway))
        await page.open("about:blank")
        (timed,) = await asyncio.to_thread(events_of, stack, "feature_performance", session, 1)
        (shown,) = await asyncio.to_thread(events_of, stack, "feature_exposure", session, 1)
    assert (timed["flag"], timed["variant"], timed["duration_ms"]) == ("new-planner", "B", pytest.approx(seen["feature"], abs=0.001))
    assert (shown["flag"], shown["variant"]) == ("new-planner", "B")
    assert seen["feature"] >= 120


async def test_an_onboarding_is_abandoned_once_a_step(stack: Stack, site: Site, tmp_path: Path) -> None:
    """Who leaves at step 2, comes back, and leaves again at step 2 and then at step 3 has left twice; after the last step, never."""
    async with chromium(tmp_path, *ORDINARY) as page:
        await page.open(address(site.url, site.gateway, step=2))
        session = await page.evaluate("telemetry.sessionId")
        for step in (2, 2, 3, 5):
            await page.evaluate(f"step = {step}")
            await page.hide()
            await page.show()
        await page.open("about:blank")
        rows = await asyncio.to_thread(events_of, stack, "onboarding_abandoned", session, 2)
        await asyncio.to_thread(events_of, stack, "web_vital", session, 3)
    assert sorted(row["step"] for row in stack.query(f"SELECT step FROM onboarding_abandoned WHERE session_id = '{session}'")) == [2, 3]
    assert all(0 < row["time_spent_ms"] < 60_000 for row in rows)


async def test_a_session_outlives_its_pages(stack: Stack, site: Site, tmp_path: Path) -> None:
    """The second page of a tab belongs to the first one's session, and what waits is sent within seconds without anybody leaving."""
    async with chromium(tmp_path, *ORDINARY) as page:
        first, _ = await visit(page, address(site.url, site.gateway, "/a"))
        await page.open(address(site.url, site.gateway, "/b"))
        assert await page.evaluate("telemetry.sessionId") == first
        rows = await asyncio.to_thread(events_of, stack, "feature_exposure", first, 2)
    assert len(rows) == 2


async def test_a_robot_is_stored_and_not_counted(stack: Stack, site: Site, tmp_path: Path) -> None:
    """Chromium that says it is headless and driven has its visits stored with the reasons, and they are in no pane and no measurement."""
    async with chromium(tmp_path) as page:
        session, _ = await visit(page, address(site.url, site.gateway, "/robots/only"))
        await page.open("about:blank")
        rows = await asyncio.to_thread(events_of, stack, "web_vital", session, 5)
    assert [sorted(row["bot_reasons"]) for row in rows] == [["headless", "webdriver"]] * 5
    assert stack.query(f"SELECT * FROM web_vitals WHERE session_id = '{session}'") == []
    async with chromium(tmp_path / "person", *ORDINARY) as page:  # whose panes come later than the robot's would
        await visit(page, address(site.url, site.gateway, "/robots/and-people"))
        await page.open("about:blank")
    sql = "SELECT DISTINCT labels['page'] AS page FROM panes WHERE startsWith(labels['page'], '/robots/')"
    found = await asyncio.to_thread(wait_until, lambda: stack.query(sql), 30, "panes of a person")
    assert [row["page"] for row in found] == ["/robots/and-people"]


async def test_only_known_origins_may_read_answers(site: Site, tmp_path: Path) -> None:
    """JSON with a key in a header needs a preflight: Chromium lets the listed site through and keeps the other one out."""
    body = """JSON.stringify({ event_type: 'feedback', schema_version: 1, occurred_at: new Date().toISOString(),
        source: { service: 'web', environment: 'test' }, properties: { kind: 'praise' } })"""
    ask = f"""fetch('{site.gateway}/v1/events', {{ method: 'POST', body: {body},
        headers: {{ 'Content-Type': 'application/json', Authorization: 'Bearer {WRITE_KEY}' }} }})
        .then(async (answer) => [answer.status, (await answer.json()).accepted]).catch((error) => error.message)"""
    async with chromium(tmp_path, *ORDINARY) as page:
        await page.open(address(site.url, site.gateway))
        assert await page.evaluate(ask) == [202, 1]
        await page.open(address(site.unknown_url, site.gateway))
        assert await page.evaluate(ask) == "Failed to fetch"


@pytest.mark.parametrize("beacon", ["taken", "refused"])
async def test_vitals_come_from_origins_that_are_not_listed(stack: Stack, site: Site, tmp_path: Path, beacon: str) -> None:
    """Neither a beacon nor what stands in for it asks for a preflight, and neither waits for an answer that could be kept from it."""
    async with chromium(tmp_path, *ORDINARY) as page:
        session, _ = await visit(page, address(site.unknown_url, site.gateway, beacon=beacon))
        await page.open("about:blank")
        assert len(await asyncio.to_thread(events_of, stack, "web_vital", session, 5)) == 5
