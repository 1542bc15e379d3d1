from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.oracle import Report, Where, judge
from tests.chaos.sent import Sent
from tests.chaos.traffic import Traffic
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import Stack, ready
from tests.waiting import wait_until

SECONDS = 4.0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_calm_run_has_no_difference_until_somebody_touches_a_number(tmp_path: Path) -> None:
    """What the real broker and engine say agrees with what was sent; one row removed and one pane altered by hand are both named."""
    with own_stack(tmp_path) as (stack, _):
        worker = stack.start_worker()
        wait_until(lambda: ready(worker), 60, "the worker is ready")
        sent = Sent()
        traffic = Traffic(sent, 3, kafka=stack.kafka, gateway_url=lambda: "", events_per_s=150, gateway_share=0, with_incident=False)
        asyncio.run(traffic.run(SECONDS))
        calm = judged(sent, stack)
        assert calm.differences == ()
        assert calm.counters["events"] == SECONDS * 150
        assert min(calm.counters[name] for name in ("repeats", "moved", "conflicts", "poison_in_log", "late", "clamped")) > 0

        worker.stop()
        event_id, place = an_event(stack)
        stack.query(f"ALTER TABLE telemetry.events_raw DELETE WHERE event_id = '{event_id}' SETTINGS mutations_sync = 1")
        stack.query(
            "INSERT INTO telemetry.panes_raw "
            "(metric, labels, start, source_partition, count, sum, buckets, last_offset, first_received_at, version) "
            "SELECT metric, labels, start, source_partition, count + 1, sum, buckets, last_offset, first_received_at, version + 1 "
            "FROM telemetry.panes WHERE metric = 'recipe_interaction' ORDER BY start, source_partition LIMIT 1"
        )
        touched = judged(sent, stack)
        assert any(line.startswith(f"L1 event {event_id}, acknowledged by Kafka") for line in touched.differences)
        assert f"L5 {place} counts (event {event_id}) and has no row in events_raw" in touched.differences
        assert sum(line.startswith("L4 panes recipe_interaction{action=") for line in touched.differences) == 1
        assert {line.split(" ")[0] for line in touched.differences} == {"L1", "L4", "L5"}


def judged(sent: Sent, stack: Stack) -> Report:
    where = Where(stack.kafka, stack.clickhouse.url, stack.clickhouse.user, stack.clickhouse.password, with_alerts=False)
    return asyncio.run(judge(sent, where, deadline_s=90))


def an_event(stack: Stack) -> tuple[str, str]:
    """An id, and its place as 'partition/offset'."""
    (row,) = stack.query("SELECT toString(event_id) AS id, kafka_partition AS p, kafka_offset AS o FROM events ORDER BY id LIMIT 1")
    return row["id"], f"{row['p']}/{row['o']}"
