"""What rules ask ClickHouse, on the real engine: values that panes do not have, and what is usual, against numbers written down by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import schemas
from alerting.engine.baseline import same_hours_ms, usual_of
from alerting.engine.judge import Judge
from alerting.engine.readings import Question, answer
from alerting.engine.rule import parse_rules
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import ALERTS_RAW, DEAD_LETTERS_RAW, PARTITION_PROGRESS, USER_DAYS_RAW
from schemas.decision import Reading
from schemas.timestamps import isoformat_of
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, pane_row, write, write_events, write_panes
from tests.integration.clickhouse.test_accepted_and_stored import claim, reach, read, store

NOW_MS = DAY_MS + 10 * HOUR_MS + 66_000
MINUTE_MS = DAY_MS + 10 * HOUR_MS + 60_000
BEFORE_MS = MINUTE_MS - 100_000
DAY_LONG_MS = 86_400_000
EVENTS_TOPIC = "nutricoach.telemetry.events.v1"
RULE = "rules: [{{name: r, condition: '{}', by: {}, channels: [c], severity: low, runbook: x}}]"


def question(condition: str, by: list[str] | None = None) -> Question:
    """The one question a rule asks about values."""
    (asked,) = Judge(parse_rules(RULE.format(condition, by or []))).questions(NOW_MS)
    return asked


async def ask(client: Client, asked: Question) -> Reading:
    return answer(asked, await client.query(asked.sql), NOW_MS)


def rows(reading: Reading) -> list[tuple[dict[str, str], float, float, float | None]]:
    return [(row.labels, row.numerator, row.denominator, row.value) for row in reading.rows]


def events(event_type: str, *properties: dict[str, Any], at_ms: int = BEFORE_MS, **more: Any) -> list[list[Any]]:
    number = at_ms * 1000 + sum(map(ord, event_type))
    return [
        event_row(UUID(int=number + n), offset=n, event_type=event_type, occurred_ms=at_ms, properties=of, **more)
        for n, of in enumerate(properties)
    ]


async def test_values_of_the_last_minutes_and_days(client: Client) -> None:
    """Ratings of a week, feedback of a day by its kind, and 429s of 15 minutes by API: only what lies in the window, without bots."""
    await write_events(
        client,
        [
            *events("satisfaction_rating", {"rating": 5}, {"rating": 2}, at_ms=MINUTE_MS - 7 * DAY_LONG_MS),
            *events("satisfaction_rating", {"rating": 1}, at_ms=MINUTE_MS - 7 * DAY_LONG_MS - 1),
            *events("satisfaction_rating", {"rating": 1}, at_ms=MINUTE_MS),
            *events("satisfaction_rating", {"rating": 1}, at_ms=BEFORE_MS, bot_reasons=["crawler"]),
            *events("feedback", {"kind": "idea"}, {"kind": "idea"}, {"kind": "it's"}),
            *events("external_api_call", *({"api": "usda", "status_code": code, "duration_ms": 1} for code in (200, 429, 500))),
            *events("external_api_call", {"api": "off", "status_code": 200, "duration_ms": 1}, at_ms=BEFORE_MS - 1),
            *events("external_api_call", {"api": "old", "status_code": 429, "duration_ms": 1}, at_ms=MINUTE_MS - 900_001),
        ],
    )
    assert rows(await ask(client, question("satisfaction_score[7d] < 4.0"))) == [({}, 7, 2, 3.5)]
    by_kind = await ask(client, question("feedback_count[24h] > 0", ["kind"]))
    assert rows(by_kind) == [({"kind": "idea"}, 2, 2, 2), ({"kind": "it's"}, 1, 1, 1)]
    assert rows(await ask(client, question('feedback_count{kind!="idea"}[24h] > 0'))) == [({}, 1, 1, 1)]
    by_api = rows(await ask(client, question("rate_limited_share[15m] > 1%", ["api"])))
    assert by_api == [({"api": "usda"}, 1, 3, pytest.approx(1 / 3)), ({"api": "off"}, 0, 1, 0)]


async def test_shares_of_what_was_refused_or_lost(client: Client) -> None:
    """Dead letters over all that came but the claims of gateways; nothing accepted is no share at all."""
    assert rows(await ask(client, question("data_loss[15m] > 0.1%"))) == [({}, 0, 0, None)]
    assert rows(await ask(client, question("dead_letter_share[15m] > 1%"))) == [({}, 0, 0, None)]
    came = {"payment": 97, "accepted_count": 50}
    pane_ms = BEFORE_MS // 10_000 * 10_000
    await write_panes(client, [pane_row("events", {"event_type": of, "service": "a"}, pane_ms, count=n) for of, n in came.items()])
    letters = [
        (EVENTS_TOPIC, BEFORE_MS),
        (EVENTS_TOPIC, BEFORE_MS),
        (EVENTS_TOPIC, BEFORE_MS),
        ("other", BEFORE_MS),
        (EVENTS_TOPIC, MINUTE_MS),
    ]
    await write(
        client, DEAD_LETTERS_RAW, [[topic, 0, n, at_ms / 1000, "x", "", None, None, None, None] for n, (topic, at_ms) in enumerate(letters)]
    )
    assert rows(await ask(client, question("dead_letter_share[15m] > 1%"))) == [({}, 3, 100, 0.03)]


async def test_a_loss_stays_what_it_was_when_later_claims_come(client: Client) -> None:
    """Of the last minute of the window nobody has said yet how much was accepted: the SQL of an alert gives the same before and after."""
    asked = question("data_loss[15m] > 0.1%")
    for minute, offset in ((599, 100), (600, 200)):
        await store(client, offset, offset + 1, minute=minute)
        await read(client, offset, offset + 2, minute=minute)
        await claim(client, 3, minute=minute, positions={3: offset + 3})
        await reach(client, offset + 3)
        assert rows(await ask(client, asked)) == [({}, 1, 3, 1 / 3)]


async def test_the_retention_of_the_newest_seven_mature_days(client: Client) -> None:
    """Users of the cohorts 8 to 14 days ago who were back on the seventh day after; one that is younger or older is not in it."""
    day, returns = 86_400, [(8, True), (8, False), (9, True), (14, False), (15, True), (7, True)]
    today = DAY_MS // 1000
    active = [(f"u-{n}", today - ago * day) for n, (ago, _) in enumerate(returns)]
    active += [(f"u-{n}", today - (ago - 7) * day) for n, (ago, came_back) in enumerate(returns) if came_back]
    await write(client, USER_DAYS_RAW, [[user, since] for user, since in active])
    await write(client, PARTITION_PROGRESS, [[0, 1, NOW_MS / 1000, NOW_MS / 1000]])
    assert rows(await ask(client, question("retention_7d < 40%"))) == [({}, 2, 4, 0.5)]


async def test_a_long_window_of_panes_is_read_by_series(client: Client) -> None:
    """Six hours of menus by provider, from panes of every partition; the pane at the window's end is not in it."""
    begin = MINUTE_MS - 6 * HOUR_MS
    menus = [
        ("a", "failed", begin, 3),
        ("a", "full", MINUTE_MS - 10_000, 7),
        ("b", "full", begin, 5),
        ("a", "failed", MINUTE_MS, 50),
        ("a", "failed", begin - 10_000, 50),
    ]
    await write_panes(
        client, [pane_row("menu_generation", {"provider": p, "outcome": o}, at, count=n, partition=n % 3) for p, o, at, n in menus]
    )
    by_provider = rows(await ask(client, question("error_rate[6h] > 5%", ["provider"])))
    assert by_provider == [({"provider": "a"}, 3, 10, 0.3), ({"provider": "b"}, 0, 5, 0)]


async def test_what_is_usual_leaves_out_deployments_incidents_and_gaps(client: Client) -> None:
    """Five hours of two flags: one each of a deployment, a gap, an incident of one flag, of another rule, and one that is as always."""
    hours = same_hours_ms(DAY_MS + 9 * HOUR_MS)
    deployed, gap, troubled, quiet = hours
    flags = [("new", 100), ("old", 40)]
    panes = [
        pane_row("feature_exposure", {"flag": flag, "variant": variant}, hour + 1_800_000, count=count + 10 * week, received_ms=DAY_MS)
        for week, hour in enumerate(hours)
        for flag, count in flags
        for variant in "AB"
    ]
    panes += [
        pane_row("events", {"event_type": "x", "service": "y"}, hour + slot * 600_000, count=1, received_ms=DAY_MS)
        for hour in hours
        for slot in range(6)
        if (hour, slot) != (gap, 4)
    ]
    await write_panes(client, panes)
    await write_events(client, events("deployment", {"phase": "started", "release": "1"}, at_ms=deployed + HOUR_MS - 1))
    await store_incident(client, "usage", {"flag": "new"}, troubled + HOUR_MS - 60_000, troubled + HOUR_MS + 60_000)
    await store_incident(client, "something else", {}, quiet, quiet + HOUR_MS)
    rule = parse_rules(RULE.format("feature_usage[1h] drop > 30%", ["flag"]).replace("name: r", "name: usage"))
    asked = next(q for q in Judge(rule).questions(NOW_MS) if q.window_from_ms == DAY_MS + 9 * HOUR_MS)
    reading = await ask(client, asked)
    assert rows(reading) == [
        ({"week": "4", "flag": "new"}, 260, 260, 260),
        ({"week": "4", "flag": "old"}, 140, 140, 140),
        ({"week": "3", "flag": "old"}, 120, 120, 120),
    ]
    usual = usual_of(reading, ["flag"])
    assert {dict(series)["flag"]: tuple(of) for series, of in usual.items()} == {"new": (None, 1), "old": (130, 2)}


async def store_incident(client: Client, rule: str, labels: dict[str, str], since_ms: int, until_ms: int) -> None:
    """One that began and ended, as the archive has it."""
    example = json.loads((Path(schemas.__file__).parent / "examples/alert/valid/whole.json").read_bytes())
    key = f"{since_ms:064x}"
    for state, at_ms in (("firing", since_ms), ("resolved", until_ms)):
        alert = example | {"incident_key": key, "transition_id": f"{at_ms:064x}", "rule": rule, "labels": labels, "state": state}
        alert |= {"since": isoformat_of(since_ms), "judged_to": isoformat_of(at_ms)}
        await insert(client, ALERTS_RAW, json.dumps(alert).encode(), 1)


async def test_the_usual_values_of_every_kind_can_be_asked(client: Client) -> None:
    """Ratios, means, quantiles and counts of an hour with 20 menus a week: the value of each week is that of the hour."""
    hours = same_hours_ms(DAY_MS + 9 * HOUR_MS)
    await write_panes(
        client,
        [pane_row("events", {"event_type": "x", "service": "y"}, hour + slot * 600_000, count=1) for hour in hours for slot in range(6)]
        + [
            pane_row("menu_generation", {"provider": "a", "outcome": outcome}, hour, count=n, total=n * 2_000_000_000, buckets={350: n})
            for hour in hours
            for outcome, n in (("full", 15), ("failed", 5))
        ],
    )
    middle = 2 ** ((350 + 0.5) / 32)
    for quantity, value in (("error_rate", 0.25), ("avg_time", 2_000), ("p95_time", middle), ("full_success_rate", 0.75), ("menus", 20)):
        against = "drop" if quantity == "menus" else "degradation"
        rule = parse_rules(RULE.format(f"{quantity}[1h] {against} > 30%", []))
        asked = next(q for q in Judge(rule).questions(NOW_MS) if q.window_from_ms == DAY_MS + 9 * HOUR_MS)
        usual = usual_of(await ask(client, asked), [])
        assert usual[()].value == pytest.approx(value, rel=1e-9), quantity
        assert usual[()].weeks == 4, quantity
