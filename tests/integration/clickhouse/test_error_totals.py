"""What an error rate is of: the alerter, the SQL of its alerts and the views say the same of the same jobs."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

from alerting.engine.judge import Judge
from alerting.engine.rule import parse_rules
from pipeline.clickhouse.client import Client
from schemas.pane import Flush, Pane
from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import from_ms
from tests.integration.clickhouse.rows import DAY_MS, event_row, pane_row, write_events, write_panes

JOBS = {"started": 40, "retried": 13, "completed": 24, "exhausted": 6}
(RULE,) = parse_rules("""
rules:
  - {name: jobs, condition: queue_exhausted_rate > 5%, channels: [ops], severity: low, owner: ops, window: 1m, runbook: https://example.org}
""")


async def test_jobs_that_have_not_ended_are_in_no_error_rate(client: Client) -> None:
    """6 of 30 that ended: as the alerter judges, by both statements of an alert, in the three views, and counted by hand."""
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
    judge, reached_ms = Judge([RULE]), DAY_MS + 60_000 - 1
    flushes = [
        Flush(source_partition=p, last_offset=99, watermark=from_ms(reached_ms), caught_up_at=None, panes=panes if p == 3 else [])
        for p in range(EVENT_PARTITIONS)
    ]
    judgement = [judgement for flush in flushes for judgement in judge.flush(flush, reached_ms)][-1]
    term = judgement.deciding.term
    assert (judgement.verdict, term.numerator, term.denominator, term.value) == ("true", 6, 30, 0.2)

    outcomes = list(Counter(JOBS).elements())
    job = {"queue": "menus", "job_id": "j", "attempt": 1}
    await write_events(
        client,
        [event_row(uuid4(), offset=i, event_type="queue_job", properties=job | {"outcome": outcome}) for i, outcome in enumerate(outcomes)],
    )
    await write_panes(client, [pane_row("queue_job", pane.labels, DAY_MS, count=pane.count) for pane in panes])
    numbers = [await client.query(sql) for sql in (judgement.sql(judgement.deciding), judgement.window_sql(judgement.deciding))]
    assert [list(rows[0].values()) for rows in numbers] == [[6, 30, 0.2], [6, 30, 0.2]]
    for view in ("error_rate", "error_rate_total"):
        rows = await client.query(f"SELECT total, errors, error_ratio FROM {view} WHERE metric = 'queue_job' AND window_s = 60")
        assert [list(row.values()) for row in rows] == [[30, 6, 0.2]], view
