"""The views of web vitals against numpy over the last report of each measurement, and page templates against the worker's own."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from pipeline.aggregation.paths import path_template
from pipeline.clickhouse.client import Client
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, instant, write_events
from tests.unit.aggregation.test_paths import IDS, WORDS

#: Google's, https://web.dev/articles/vitals: good up to the first, poor above the second.
THRESHOLDS = {"LCP": (2500, 4000), "INP": (200, 500), "CLS": (0.1, 0.25), "FCP": (1800, 3000), "TTFB": (800, 1800)}
SCALE = {"LCP": 2500.0, "INP": 200.0, "CLS": 0.1, "FCP": 1800.0, "TTFB": 800.0, "FID": 100.0}
FIELDS = ("name", "page", "device", "version")


def report(number: int, *, at_ms: int, version: str | None = None, **properties: Any) -> list[Any]:
    row = event_row(UUID(int=number), offset=number, event_type="web_vital", occurred_ms=at_ms, properties=properties)
    row[5] = version
    return row


def rating(name: str, value: float) -> str:
    good, poor = THRESHOLDS.get(name, (100, 300))  # FID had these
    return "good" if value <= good else "needs-improvement" if value <= poor else "poor"


def visits(seed: int) -> tuple[list[list[Any]], dict[tuple[Any, ...], list[float]]]:
    """Reports in random order, some measurements reported up to four times, and the last values by day, name, page, device, version."""
    chance = random.Random(seed)
    rows: list[list[Any]] = []
    expected: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for day, name, page, device, version, count in (
        (0, "LCP", "/", "mobile", "1.0", 49),
        (0, "LCP", "/", "mobile", "1.1", 50),
        (0, "LCP", "/", None, None, 51),
        (0, "CLS", "/recipes", "desktop", "1.0", 200),
        (0, "INP", "/", "mobile", "1.0", 64),
        (1, "INP", "/", "mobile", "1.0", 52),
        (1, "TTFB", "/", "mobile", "1.0", 60),
        (1, "FCP", "/", "mobile", "1.0", 77),
        (1, "FID", "/", "mobile", "1.0", 80),
    ):
        for visit in range(count):
            last = 0.0
            for again in range(chance.choice((1, 1, 2, 4))):
                last += round(SCALE[name] * chance.lognormvariate(-0.3, 0.8), 4)
                properties = {"name": name, "page": page, "device": device, "value": last, "metric_id": f"v6-{len(expected)}{name}{visit}"}
                properties["rating"] = rating(name, last)
                at_ms = DAY_MS + day * 24 * HOUR_MS + visit * 1000 + again * 100_000
                rows.append(report(len(rows), at_ms=at_ms, version=version, **properties))
            expected[day, name, page, device or "", version or ""].append(last)
    chance.shuffle(rows)
    return rows, expected


async def test_p75_is_numpys_over_the_last_report_of_each_measurement(client: Client) -> None:
    """By day, page, device and release: count, 75th percentile from 50 measurements on, share of poor, and what Google would say."""
    rows, values = visits(seed=5)
    await write_events(client, rows)
    answer = await client.query("SELECT toDayOfYear(day) - toDayOfYear(min(day) OVER ()) AS d, * EXCEPT day FROM web_vitals_p75")
    found = {(row["d"], *(row[field] for field in FIELDS)): (row["n"], row["p75"], row["poor_ratio"], row["assessment"]) for row in answer}
    expected = {}
    for key, last in values.items():
        name, n = key[1], len(last)
        p75 = float(np.quantile(last, 0.75, method="inverted_cdf")) if n >= 50 else None
        poor = sum(rating(name, value) == "poor" for value in last) / n
        expected[key] = (n, p75, poor, "legacy" if name == "FID" else rating(name, p75) if p75 is not None else "insufficient")
    assert found == expected


@pytest.mark.parametrize(("name", "bounds"), THRESHOLDS.items())
async def test_a_value_on_a_threshold_is_still_the_better_one(client: Client, name: str, bounds: tuple[float, float]) -> None:
    """2500 ms are good and 4000 ms need improvement; only what is above is worse."""
    good, poor = bounds
    for page, value in (("/a", good), ("/b", good * 1.001), ("/c", poor), ("/d", poor * 1.001)):
        rows = [
            report(ord(page[1]) * 100 + i, at_ms=DAY_MS, name=name, value=value, rating=rating(name, value), page=page) for i in range(50)
        ]
        await write_events(client, rows)
    answer = await client.query("SELECT assessment FROM web_vitals_p75 ORDER BY page")
    assert [row["assessment"] for row in answer] == ["good", "needs-improvement", "needs-improvement", "poor"]


async def test_a_measurement_is_its_last_report(client: Client) -> None:
    """Later replaces earlier even where it is lower; of two at one instant the higher stays; without an id each event stands alone."""
    at = DAY_MS
    one = {"name": "INP", "page": "/a?x=1", "metric_id": "v6-1", "rating": "good"}
    await write_events(
        client,
        [
            report(1, at_ms=at + 10, value=90.0, **one),
            report(2, at_ms=at + 20, value=300.0, **one | {"rating": "needs-improvement"}),
            report(3, at_ms=at + 30, value=120.0, **one),
            report(4, at_ms=at, value=0.3, name="CLS", page="/a", metric_id="v6-1", rating="poor"),
            report(5, at_ms=at, value=0.2, name="CLS", page="/a", metric_id="v6-1", rating="needs-improvement"),
            report(6, at_ms=at, value=700.0, name="LCP", page="/a", rating="good", navigation_type="reload", device="mobile"),
            report(7, at_ms=at, value=700.0, name="LCP", page="/a", rating="good"),
        ],
    )
    answer = await client.query("SELECT * FROM web_vitals ORDER BY name, device DESC, metric_id")
    assert [(r["name"], r["metric_id"], r["value"], r["rating"], r["page"], r["reports"]) for r in answer] == [
        ("CLS", "v6-1", 0.3, "poor", "/a", 2),
        ("INP", "v6-1", 120.0, "good", "/a", 3),
        ("LCP", str(UUID(int=6)), 700.0, "good", "/a", 1),
        ("LCP", str(UUID(int=7)), 700.0, "good", "/a", 1),
    ]
    assert answer[2] | {"navigation_type": "reload", "device": "mobile", "flags": {"new-planner": "B"}, "user_id": "u-1"} == answer[2]
    assert (answer[1]["occurred_at"], answer[1]["device"], answer[1]["version"]) == (instant(at + 30), "", "")


async def test_bots_measure_nothing(client: Client) -> None:
    """What a bot reports neither is a measurement nor replaces one."""
    vital = {"name": "LCP", "page": "/", "rating": "good", "metric_id": "v6-1"}
    rows = [
        event_row(
            UUID(int=i),
            offset=i,
            event_type="web_vital",
            properties=vital | {"value": value, "metric_id": f"v6-{i // 2}"},
            bot_reasons=bots,
        )
        for i, (value, bots) in enumerate([(1.0, []), (9.0, ["crawler"]), (9.0, ["headless", "webdriver"])])
    ]
    await write_events(client, rows)
    assert await client.query("SELECT metric_id, value FROM web_vitals") == [{"metric_id": "v6-0", "value": 1.0}]


async def test_pages_have_the_templates_that_panes_have(client: Client) -> None:
    """The view's rules and the worker's make the same of ids and words and of thousands of random mixtures of their parts."""
    chance = random.Random(3)
    parts = [
        "a",
        "f",
        "z",
        "G",
        "0",
        "7",
        "12",
        "2024",
        "-",
        "_",
        ".",
        ":",
        ":id",
        "@",
        "%40",
        "{",
        "[",
        "`",
        "~",
        "é",
        "рецепт",
        "soup",
        "x" * 16,
    ]
    mixtures = ["".join(chance.choices(parts, k=chance.randrange(1, 9))) for _ in range(4_000)]
    segments = [*IDS.split(), *WORDS.split(), *mixtures]
    heads = ["/", "", "https://app.example/", "//", "/a/https://b/"]
    tails = ["", "?x=1", "#a?b", "?a#b", "/", "/edit"]
    pages = [chance.choice(heads) + segment + chance.choice(tails) for segment in segments] + ["?x", "#", "https://app.example", "/"]
    rows = [report(i, at_ms=DAY_MS, name="LCP", value=float(i), rating="good", page=page) for i, page in enumerate(pages)]
    await write_events(client, rows)
    answer = await client.query("SELECT toUInt32(value) AS i, page FROM web_vitals")
    assert len(answer) == len(pages)
    found = {pages[row["i"]]: row["page"] for row in answer}
    assert {page: template for page, template in found.items() if template != path_template(page)} == {}
