"""`telemetry reconcile` as people run it, beside workers and without them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.repair.conftest import HOUR_MS, Past, of_session, user_of_each_partition
from tests.integration.repair.recomputed import from_events, from_panes, menus
from tests.integration.worker.stack import PANES, menu
from tests.waiting import wait_until

USERS = user_of_each_partition()
SESSIONS = user_of_each_partition("s")

pytestmark = pytest.mark.timeout(400)


def run(past: Past, *arguments: str, hours: int = 1) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of reconciling the hour."""
    begin, end = (datetime.fromtimestamp((past.hour_ms + n * HOUR_MS) / 1000, UTC).isoformat() for n in (0, hours))
    clickhouse = past.stack.clickhouse
    env = {
        "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": past.stack.kafka,
        "TELEMETRY_CLICKHOUSE__URL": clickhouse.url,
        "TELEMETRY_CLICKHOUSE__USER": clickhouse.user,
        "TELEMETRY_CLICKHOUSE__PASSWORD": clickhouse.password,
    }
    command = [sys.executable, "-m", "pipeline.cli.main", "reconcile", "--from", begin, "--to", end, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **env})
    return done.returncode, done.stdout, done.stderr


def document(past: Past, *arguments: str, hours: int = 1) -> tuple[int, dict[str, Any]]:
    code, out, err = run(past, "--format", "json", *arguments, hours=hours)
    assert err == ""
    return code, json.loads(out)


def exposure(past: Past, at_s: int, session: str, variant: str, event_id: str | None = None) -> dict[str, Any]:
    event = of_session(menu("web", past.hour_ms + at_s * 1000, ""), session)
    return event | {
        "event_type": "feature_exposure",
        "event_id": event_id or str(uuid.uuid4()),
        "properties": {"flag": "plan'ner", "variant": variant},
    }


def firsts(past: Past) -> dict[str, str]:
    return {row["subject"]: row["variant"] for row in past.stack.query("SELECT subject, variant FROM first_exposures")}


@pytest.fixture(scope="module")
def closed(past: Past) -> Past:
    """Menus and exposures of the hour, which has closed and was audited."""
    asyncio.run(past.stack.send(menu("shop", past.hour_ms + i * 20_000, user) for i in range(10) for user in USERS[:4]))
    asyncio.run(past.stack.send([exposure(past, 10, SESSIONS[0], "A"), exposure(past, 900, SESSIONS[0], "B")]))
    asyncio.run(past.stack.send([exposure(past, 20, SESSIONS[1], "A")]))
    wait_until(lambda: menus(past.stack, "shop") == (40, 40) and len(firsts(past)) == 2, 60, "all is stored")
    asyncio.run(past.close_hour())
    wait_until(lambda: min(past.audited_to().values(), default=0) == past.hour_ms + HOUR_MS, 60, "the hour is audited")
    return past


def test_a_period_that_is_right_is_said_to_be(closed: Past) -> None:
    """Exit 0, and what was compared: 40 menus and 3 exposures."""
    code, report = document(closed)
    assert (code, report["events"], report["pane_count"], report["fact_count"], report["refused"]) == (0, 43, 0, 0, [])
    assert report["open"] == []
    assert run(closed)[1].splitlines()[-1] == "nothing differs"


def test_open_panes_are_left_to_their_workers(closed: Past) -> None:
    """Of a period that goes on, the report says since when panes are open, and that nothing differs before."""
    code, report = document(closed, hours=3)
    assert code == 0
    open_from = datetime.fromtimestamp((closed.hour_ms + 105 * 60_000) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert report["open"] == [{"partition": partition, "from": open_from} for partition in range(12)]


def test_rows_removed_by_hand_are_named_and_come_back(closed: Past) -> None:
    """Panes and a fact that are gone from an hour audited long ago: exit 1 and each by name; with --repair they are as before."""
    right = from_panes(closed.stack, "shop")
    lost = closed.stack.query(
        "SELECT labels, toUnixTimestamp(toDateTime(start)) AS start, source_partition AS p, count, sum FROM panes "
        "WHERE metric = 'menu_generation' AND labels['provider'] = 'shop' AND source_partition = 2"
    )
    closed.stack.query("DELETE FROM panes_raw WHERE labels['provider'] = 'shop' AND source_partition = 2")
    closed.stack.query(f"DELETE FROM first_exposures_raw WHERE subject = '{SESSIONS[1]}'")
    code, report = document(closed)
    assert code == 1
    named = [
        (p["metric"], p["labels"], p["start"], p["partition"], p["stored"], p["right"]["count"], p["right"]["sum"]) for p in report["panes"]
    ]
    stamps = {row["start"]: datetime.fromtimestamp(row["start"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") for row in lost}
    expected = [("menu_generation", row["labels"], stamps[row["start"]], 2, None, row["count"], row["sum"]) for row in lost]
    assert sorted(map(str, named)) == sorted(map(str, expected))
    assert {pane["cause"] for pane in report["panes"]} == {"missing"}
    assert [(fact["subject"], fact["stored"], fact["right"]["variant"]) for fact in report["facts"]] == [(SESSIONS[1], None, "A")]
    assert from_panes(closed.stack, "shop") != right

    code, report = document(closed, "--repair")
    assert (code, report["pane_count"], report["fact_count"], report["repaired"]) == (0, len(lost), 1, True)
    assert from_panes(closed.stack, "shop") == right == from_events(closed.stack, "shop")
    assert firsts(closed)[SESSIONS[1]] == "A"
    assert document(closed)[1]["pane_count"] == 0


def test_what_is_repaired_is_published(closed: Past) -> None:
    """A reader of panes.v1 gets the repaired pane, without a watermark, and with an odd version."""
    closed.stack.query("DELETE FROM panes_raw WHERE labels['provider'] = 'shop' AND source_partition = 3")
    published = len(asyncio.run(closed.stack.read(PANES)))
    assert document(closed, "--repair")[0] == 0
    flushes = [json.loads(record.value) for record in asyncio.run(closed.stack.read(PANES))[published:]]
    panes = [pane for flush in flushes for pane in flush["panes"] if flush["source_partition"] == 3 and flush["watermark"] is None]
    assert sum(pane["count"] for pane in panes if pane["labels"].get("provider") == "shop") == 10
    assert all(pane["version"] % 2 for pane in panes)


def test_a_changed_pane_is_found_whatever_was_changed(closed: Past) -> None:
    """Buckets or labels that somebody has edited, with the same events and the same sum, are put right."""
    right = closed.stack.query("SELECT labels, start, source_partition, count, sum, buckets FROM panes WHERE count > 0 ORDER BY ALL")
    one = "labels['provider'] = 'shop' AND source_partition = 1"
    closed.stack.query(f"ALTER TABLE panes_raw UPDATE buckets = map(5, 1) WHERE {one} SETTINGS mutations_sync = 2")
    closed.stack.query(
        "INSERT INTO panes_raw (metric, labels, start, source_partition, count, last_offset, first_received_at, version) SELECT "
        "metric, map('provider', 'nobody', 'outcome', 'full'), start, 1, 4, last_offset, first_received_at, 1 "
        f"FROM panes WHERE {one} LIMIT 1"
    )
    code, out, _ = run(closed, "--repair")
    assert code == 0
    assert out.splitlines()[-1] == "11 panes, 0 first exposures and 0 days of users differ: repaired"
    assert (
        closed.stack.query("SELECT labels, start, source_partition, count, sum, buckets FROM panes WHERE count > 0 ORDER BY ALL") == right
    )


def test_a_fact_without_its_event_gives_way_to_the_right_one(closed: Past) -> None:
    """The first exposure's event was removed, and one that never was has been made up: the later one, and none, are right."""
    closed.stack.query(f"DELETE FROM events_raw WHERE session_id = '{SESSIONS[0]}' AND JSONExtractString(properties, 'variant') = 'A'")
    closed.stack.query(
        "INSERT INTO first_exposures_raw (subject, flag, first_at, event_id, variant) "
        f"VALUES ('nobody', 'plan\\'ner', fromUnixTimestamp64Milli({closed.hour_ms + 5}), '{uuid.uuid4()}', 'A')"
    )
    assert document(closed)[1]["fact_count"] == 2
    assert document(closed, "--repair")[0] == 0
    assert firsts(closed) == {SESSIONS[0]: "B", SESSIONS[1]: "A"}


def active_days(past: Past) -> set[tuple[str, int]]:
    rows = past.stack.query("SELECT DISTINCT user_id, toUnixTimestamp(since) AS s FROM user_days_raw")
    return {(row["user_id"], row["s"]) for row in rows}


@pytest.mark.long
def test_days_of_users_come_back_and_made_up_ones_go(closed: Past) -> None:
    """Of days that are gone, made up, or older than any event that is left, the first are added, the second removed, the third kept."""
    right = active_days(closed)
    assert {(user, since % 86_400) for user, since in right} & {(user, part) for user in USERS[:4] for part in (0, 79_200, 82_800)}
    since = closed.hour_ms // 1000 // 86_400 * 86_400 + {22: 79_200, 23: 82_800}.get(closed.hour_ms // HOUR_MS % 24, 0)
    old = since - 81 * 86_400
    closed.stack.query(f"DELETE FROM user_days_raw WHERE user_id IN ('{USERS[0]}', '{USERS[1]}') AND toUnixTimestamp(since) = {since}")
    closed.stack.query(f"INSERT INTO user_days_raw VALUES ('no\\'body', {since}), ('ancient', {old})")
    code, report = document(closed)
    assert (code, report["user_day_count"], report["fact_count"]) == (1, 3, 0)
    assert {(day["user_id"], day["stored"]) for day in report["user_days"]} == {(USERS[0], False), (USERS[1], False), ("no'body", True)}
    code, report = document(closed, "--repair")
    assert (code, report["user_day_count"], report["repaired"]) == (0, 3, True)
    assert active_days(closed) == right | {("ancient", old)}
    assert document(closed)[1]["user_day_count"] == 0


def test_an_hour_that_may_lack_events_is_refused(closed: Past) -> None:
    """Panes whose first record was received 81 days ago are not emptied, although their events are gone; exit 1 says so."""
    old = "now64(3, 'UTC') - toIntervalDay(81)"
    hour = f"fromUnixTimestamp64Milli({closed.hour_ms - HOUR_MS})"
    closed.stack.query(
        "INSERT INTO panes_raw (metric, labels, start, source_partition, count, last_offset, first_received_at, version) "
        f"SELECT 'menu_generation', map('provider', 'ancient', 'outcome', 'full'), {hour}, 4, 9, 1, {old}, 2"
    )
    past_hour = Past(closed.stack, closed.worker, closed.hour_ms - HOUR_MS)
    code, report = document(past_hour, "--repair")
    assert (code, report["pane_count"], [refused["partition"] for refused in report["refused"]]) == (1, 0, [4])
    assert menus(closed.stack, "ancient") == (9, 0)


def test_late_events_differ_until_the_worker_has_repaired_them(closed: Past) -> None:
    """A repair by hand and the worker's own, at the same time, end in the same panes; the cause is told while a mark is there."""
    asyncio.run(closed.stack.send(menu("tardy", closed.hour_ms + 1000, user) for user in USERS))
    wait_until(lambda: menus(closed.stack, "tardy")[1] == 12, 60, "late events are stored")
    code, report = document(closed, "--repair")
    assert code == 0
    assert {pane["cause"] for pane in report["panes"]} <= {"late"}
    assert from_panes(closed.stack, "tardy") == from_events(closed.stack, "tardy")
    assert menus(closed.stack, "tardy") == (12, 12)
