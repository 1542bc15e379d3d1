from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from pipeline.agents.loader import resume_position
from pipeline.clickhouse.state import Progress
from pipeline.runtime.errors import Stop
from pipeline.runtime.resume import Resume

TP = TopicPartition("nutricoach.telemetry.events.v1", 3)


@pytest.mark.parametrize(
    ("committed", "progress", "expected"),
    [
        (None, None, 40),
        (40, None, 40),
        (None, 70, 70),
        (70, 90, 70),
        (90, 70, 70),
    ],
)
def test_a_partition_resumes_where_both_accounts_agree(committed: int | None, progress: int | None, expected: int) -> None:
    """min(committed, progress); the start of the log when there is neither, the one there is when there is one."""
    known = None if progress is None else Progress(progress, 0)
    assert resume_position(Resume(TP, committed, log_start=40, log_end=100), known) == expected


def test_a_clickhouse_that_forgot_stops_the_worker() -> None:
    """Records were committed and ClickHouse knows of none: one line says so, and nothing is counted from the middle."""
    with pytest.raises(Stop, match="ClickHouse was emptied or is another one"):
        resume_position(Resume(TP, 60, log_start=40, log_end=100), None)
