from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.worker.stack import DLQ, PANES, Stack, menu, ready
from tests.waiting import wait_until


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def totals(stack: Stack, service: str) -> dict[str, int]:
    """Counts of menu_generation by outcome, of the provider a test uses for its name."""
    series = f"metric = 'menu_generation' AND labels['provider'] = '{service}'"
    sql = f"SELECT labels['outcome'] AS outcome, sum(count) AS n FROM panes WHERE {series} GROUP BY 1"
    return {row["outcome"]: row["n"] for row in stack.query(sql) if row["n"]}


async def test_events_become_rows_panes_and_dead_letters(stack: Stack) -> None:
    """Good events are counted once, repeats not again, poison is one dead letter each with its reason and its bytes."""
    service, at = "spine", now_ms()
    events = [menu(service, at - i * 1000, f"u-{i}", "failed" if i % 4 == 0 else "full") for i in range(40)]
    conflict = events[1] | {"properties": events[1]["properties"] | {"recipe_count": 9}}
    poison = b'{"event_type":"menu_generated","source":{"service":"spine-bad"}}'
    workers = [stack.start_worker(), stack.start_worker()]
    await stack.send([*events, *events[:7]])
    await stack.send([conflict, poison])
    wait_until(lambda: all(ready(worker) for worker in workers), 60, "two workers ready")
    wait_until(lambda: totals(stack, service) == {"failed": 10, "full": 30}, 60, "panes hold 40 menus")

    assert stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 40
    assert stack.one(f"SELECT count() FROM menu_generated WHERE service = '{service}' AND outcome = 'failed'") == 10
    letters = {row["error_code"]: row for row in stack.query("SELECT * FROM dead_letters WHERE service IN ('spine', 'spine-bad')")}
    assert set(letters) == {"event_id_conflict", "missing_field"}
    assert "properties" in letters["missing_field"]["reason"]
    on_topic = {dict(record.headers)["dlq.error_code"]: record.value for record in await stack.read(DLQ)}
    assert on_topic[b"missing_field"] == poison
    assert json.loads(on_topic[b"event_id_conflict"]) == conflict


async def test_a_record_on_the_wrong_partition_is_counted_on_its_own(stack: Stack) -> None:
    """Events written to one partition whatever their key are forwarded with a header, once, and counted where they belong."""
    service = "moved"
    events = [menu(service, now_ms(), f"m-{i}") for i in range(30)]
    stack.start_worker()
    await stack.send(events, partition=5)
    await stack.send(events[:3], partition=5)
    wait_until(lambda: totals(stack, service) == {"full": 30}, 60, "every moved event is counted once")
    rows = stack.query(f"SELECT DISTINCT kafka_partition AS p FROM events WHERE service = '{service}'")
    assert len(rows) > 5


async def test_late_events_are_repaired_within_a_minute(stack: Stack) -> None:
    """Events whose panes have closed are in the numbers 60 s later at the latest, in ClickHouse and on panes.v1; days have them at once."""
    service, at = "late", now_ms()
    stack.start_worker()
    users = [f"l-{i}" for i in range(24)]
    await stack.send([menu(service, at, user) for user in users])
    wait_until(lambda: totals(stack, service) == {"full": 24}, 60, "the events of now are counted")
    long_ago = at - 5 * 3_600_000
    await stack.send([menu(service, long_ago - i * 60_000, user, "failed", 50.0) for i in range(3) for user in users])
    wait_until(lambda: totals(stack, service) == {"full": 24, "failed": 72}, 60, "late events are in the panes")
    days = {(user, datetime.fromtimestamp(ms / 1000, UTC).date()) for ms in (at, long_ago, long_ago - 120_000) for user in users}
    assert {(row["user_id"], row["day"]) for row in stack.query("SELECT * FROM user_days WHERE user_id LIKE 'l-%'")} == {
        (user, day.isoformat()) for user, day in days
    }
    flushed: dict[Any, int] = {}
    for record in await stack.read(PANES):
        flush = json.loads(record.value)
        for pane in flush["panes"]:
            if pane["labels"] == {"provider": service, "outcome": "failed"}:
                assert flush["watermark"] is None
                flushed[flush["source_partition"], pane["start"]] = pane["count"]
    assert sum(flushed.values()) == 72


async def test_first_exposures_are_the_earliest_whatever_comes_when(stack: Stack) -> None:
    """The variant of a subject is that of its earliest exposure, also when that arrives last."""
    at = now_ms()
    shown = [menu("exposure", at + delta, "x-1") | {"event_type": "feature_exposure"} for delta in (2_000, 1_000, 0)]
    for event, variant in zip(shown, "CBA", strict=True):
        event["properties"] = {"flag": "planner", "variant": variant}
    stack.start_worker()
    await stack.send(shown[:2])
    sql = "SELECT variant FROM first_exposures WHERE subject = 'x-1' AND flag = 'planner'"
    wait_until(lambda: [row["variant"] for row in stack.query(sql)] == ["B"], 60, "the earlier of two")
    await stack.send(shown[2:])
    wait_until(lambda: [row["variant"] for row in stack.query(sql)] == ["A"], 60, "the earliest of three")


@pytest.mark.long
async def test_a_stale_hour_outlives_the_worker_that_marked_it(stack: Stack) -> None:
    """A worker killed between marking an hour and repairing it leaves the repair to the next one, though no event comes any more."""
    service, at = "heir", now_ms()
    first = stack.start_worker()
    await stack.send([menu(service, at, "h-1")])
    wait_until(lambda: totals(stack, service) == {"full": 1}, 60, "the event of now is counted")
    await stack.send([menu(service, at - 3 * 3_600_000, "h-1", "failed")])
    wait_until(lambda: stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 2, 60, "the late event is stored")
    first.kill()
    stack.start_worker()
    wait_until(lambda: totals(stack, service) == {"full": 1, "failed": 1}, 60, "the late event is in the panes")
