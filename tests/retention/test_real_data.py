"""Retention of real people through the whole chain: a file, `telemetry publish`, Kafka, a worker, ClickHouse, the views; beside pandas."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

import orjson
import pytest

from pipeline.demo import retail
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import Role, Stack, ready
from tests.retention import cdnow
from tests.retention.pandas_retention import retention, retention_within, share, visits
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(1_500)
STALE = "SELECT count() FROM (SELECT 1 FROM stale_hours GROUP BY kafka_partition, hour HAVING max(marked_offset) > max(cleared_offset))"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Role]]:
    with own_stack(tmp_path_factory.mktemp("chain")) as (stack, _):
        worker = stack.start_worker()
        wait_until(lambda: ready(worker), 60, "worker ready")
        yield stack, worker


def pour(stack: Stack, worker: Role, events: Iterable[dict[str, Any]], service: str) -> None:
    """Publish events in their order, until they are stored and every hour they came too late for is repaired."""
    file = stack.folder / f"{service}.ndjson"
    count = file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events)) and file.read_bytes().count(b"\n")
    env = {
        "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": stack.kafka,
        "TELEMETRY_CLICKHOUSE__URL": stack.clickhouse.url,
    }
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.cli.main", "publish", str(file), "--kafka"]
    published = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env}, timeout=600)
    assert published.returncode == 0, published.stderr
    at = [time.monotonic() - began]
    wait_until(lambda: stack.one(f"SELECT count() FROM events_raw WHERE service = '{service}'") >= count, 600, "all events are stored")
    at.append(time.monotonic() - began)
    stale: int = stack.one(STALE)
    wait_until(lambda: stack.one(STALE) == 0, 900, "no hour is stale")
    at.append(time.monotonic() - began)
    assert ready(worker)
    assert stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == count
    counted = f"SELECT sum(count) FROM panes WHERE metric = 'events' AND labels['service'] = '{service}'"
    wait_until(lambda: stack.one(counted) == count, 60, "every event is in its pane")
    sys.stderr.write(
        f"\n{service}: {count} events published in {at[0]:.1f} s, stored after {at[1]:.1f} s with {stale} hours left to repair, "
        f"repaired after {at[2]:.1f} s\n"
    )


def stored(stack: Stack, view: str, n: str, before: date, after: date = date.min) -> dict[tuple[date, int], tuple[int, int]]:
    rows = stack.query(f"SELECT toString(cohort_day) AS day, {n} AS n, cohort_size, retained FROM {view} ORDER BY ALL")
    cells = {(date.fromisoformat(row["day"]), row["n"]): (row["cohort_size"], row["retained"]) for row in rows}
    return {key: cell for key, cell in cells.items() if after <= key[0] < before}


def ratio(stack: Stack, view: str, condition: str, year: int) -> float:
    where = f"{condition} AND mature AND toYear(cohort_day) {'<' if year < 2000 else '>='} 2000"
    result: float = stack.one(f"SELECT sum(retained) / sum(cohort_size) FROM {view} WHERE {where}")
    return result


def test_cdnow(chain: tuple[Stack, Role]) -> None:
    """Of 23,570 customers 5.87 % buy again within 7 days and 17.46 % within 30; every cohort and day is what pandas says."""
    stack, worker = chain
    bought = list(cdnow.events(cdnow.FILE.cached()))
    pour(stack, worker, bought, "cdnow")
    frame = visits([event["user_id"] for event in bought], [event["occurred_at"] for event in bought], "UTC")
    on_day, within = retention(frame), retention_within(frame)
    assert sum(size for (_, n), (size, _) in on_day.items() if n == 0) == 23_570
    assert stored(stack, "retention", "day_n", date(2000, 1, 1)) == on_day
    assert stored(stack, "retention_within", "within_days", date(2000, 1, 1)) == within
    of_all = [ratio(stack, "retention_within", f"within_days = {n}", 1997) for n in (7, 30)]
    assert of_all == [share(within, 7), share(within, 30)]
    assert [round(100 * part, 2) for part in of_all] == [5.87, 17.46]
    assert stack.one("SELECT sum(menus) FROM menus_generated_daily") == 69_659


def test_online_retail(chain: tuple[Stack, Role]) -> None:
    """D1, D7 and D30 of 5,942 customers over two years, in days of both calendars, cohort by cohort as pandas says."""
    stack, worker = chain
    done = list(retail.events(retail.read_rows(retail.cached_file())))
    pour(stack, worker, done, retail.SERVICE)
    known = [event for event in done if "user_id" in event]
    for suffix, zone in (("", "UTC"), ("_paris", "Europe/Paris")):
        frame = visits([event["user_id"] for event in known], [event["occurred_at"] for event in known], zone)
        assert frame["user"].nunique() == 5_942
        on_day, within = retention(frame), retention_within(frame)
        assert stored(stack, f"retention{suffix}", "day_n", date.max, date(2000, 1, 1)) == on_day
        assert stored(stack, f"retention_within{suffix}", "within_days", date.max, date(2000, 1, 1)) == within
        last = max(event["occurred_at"] for event in known)
        ended = datetime.fromisoformat(last).date()
        shares = []
        for n in (1, 7, 30):
            mature = {key: cell for key, cell in on_day.items() if (ended - key[0]).days > n}
            assert ratio(stack, f"retention{suffix}", f"day_n = {n}", 2009) == share(mature, n)
            shares.append(f"D{n} {100 * share(mature, n):.2f} %")
        sys.stderr.write(f"\nOnline Retail II, days of {zone}: {', '.join(shares)}\n")
