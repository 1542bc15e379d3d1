"""What an error rate is of: the board of the alerter, the SQL of its alerts and the views say the same of the same jobs."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

from alerting.engine.board import Board, Tally
from alerting.engine.condition import Comparison
from alerting.engine.evidence import sql_as_judged, sql_when_closed
from alerting.engine.quantity import Quantity
from pipeline.clickhouse.client import Client
from schemas.metrics import METRICS
from schemas.pane import Flush, Pane
from schemas.timestamps import from_ms
from tests.integration.clickhouse.rows import DAY_MS, event_row, pane_row, write_events, write_panes

JOBS = {"started": 40, "retried": 13, "completed": 24, "exhausted": 6}
FAILURES = Comparison(
    "job_errors > 5%", Quantity("job_errors", "error_ratio", "ratio", METRICS["queue_job"], "queue_job"), (), None, ">", 0.05
)


async def test_jobs_that_have_not_ended_are_in_no_error_rate(client: Client) -> None:
    """6 of 30 that ended: on the alerter's board, by both statements of an alert, in the three views, and counted by hand."""
    panes = [
        Pane(
            metric="queue_job",
            labels={"queue": "menus", "outcome": outcome},
            start=from_ms(DAY_MS),
            count=count,
            sum=0,
            buckets={},
            last_offset=99,
            version=198,
        )
        for outcome, count in JOBS.items()
    ]
    board = Board(["queue_job"], 12)
    board.fold(Flush(source_partition=3, last_offset=99, watermark=from_ms(DAY_MS + 60_000), caught_up_at=None, panes=panes))
    assert sum(board.tally(FAILURES, DAY_MS, DAY_MS + 60_000), Tally()) == Tally(6, 30)

    outcomes = list(Counter(JOBS).elements())
    job = {"queue": "menus", "job_id": "j", "attempt": 1}
    await write_events(
        client,
        [event_row(uuid4(), offset=i, event_type="queue_job", properties=job | {"outcome": outcome}) for i, outcome in enumerate(outcomes)],
    )
    await write_panes(client, [pane_row("queue_job", pane.labels, DAY_MS, count=pane.count) for pane in panes])
    numbers = [
        await client.query(sql_as_judged(FAILURES, DAY_MS, DAY_MS + 60_000, [99] * 12)),
        await client.query(sql_when_closed(FAILURES, DAY_MS, DAY_MS + 60_000)),
    ]
    assert [list(rows[0].values()) for rows in numbers] == [[6, 30, 0.2], [6, 30, 0.2]]
    for view in ("error_rate", "error_rate_total"):
        rows = await client.query(f"SELECT total, errors, error_ratio FROM {view} WHERE metric = 'queue_job' AND window_s = 60")
        assert [list(row.values()) for row in rows] == [[30, 6, 0.2]], view
