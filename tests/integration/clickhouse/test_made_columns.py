"""Columns of typed views that are not what the sender wrote, but made of it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pipeline.clickhouse.client import Client
from tests.integration.clickhouse.rows import event_row, write_events

#: The thresholds as web.dev publishes them: name → last good value, last that is not poor.
PUBLISHED = {"LCP": (2500, 4000), "INP": (200, 500), "CLS": (0.1, 0.25), "FCP": (1800, 3000), "TTFB": (800, 1800), "FID": (100, 300)}


async def test_a_rating_is_that_of_the_value(client: Client) -> None:
    """At and just beyond each threshold of each vital, whatever the sender called it; `events` keeps what he did."""
    values = {name: (0, good, good * 1.001, poor, poor * 1.001) for name, (good, poor) in PUBLISHED.items()}
    rows = [
        event_row(uuid4(), offset=i, event_type="web_vital", properties={"name": name, "value": value, "rating": "good", "page": "/"})
        for i, (name, value) in enumerate((name, value) for name, five in values.items() for value in five)
    ]
    await write_events(client, rows)
    found = await client.query(
        "SELECT name, groupArray(rating) AS ratings FROM (SELECT * FROM web_vital ORDER BY name, value) GROUP BY name"
    )
    right = ["good", "good", "needs-improvement", "needs-improvement", "poor"]
    assert {row["name"]: row["ratings"] for row in found} == dict.fromkeys(PUBLISHED, right)
    assert await client.query("SELECT DISTINCT JSONExtractString(properties, 'rating') AS sent FROM events") == [{"sent": "good"}]


@pytest.mark.parametrize("text", ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"])
async def test_a_minute_is_an_instant(client: Client, text: str) -> None:
    """The text of `accepted_count.minute` is a column to compare times with."""
    event_id = uuid4()
    row = event_row(event_id, offset=1, event_type="accepted_count", properties={"source": "g", "minute": text, "count": 1})
    await write_events(client, [row])
    of_event = f"WHERE event_id = '{event_id}'"
    (found,) = await client.query(f"SELECT minute = toDateTime64('2026-11-23 10:00:00', 3, 'UTC') AS same FROM accepted_count {of_event}")
    assert found["same"] == 1
